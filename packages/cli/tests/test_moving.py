"""`pulpo move`: the accounts of what was taken, put and refused."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pulpo_cli.moving import Accounts, Moving
from pulpo_core import (
    AdapterError,
    Envelope,
    Message,
    PulpoError,
    PulpoJson,
    Queue,
    QueueNotFound,
    Settling,
    Unavailable,
    open_queue,
)

from .actors import publish
from .conftest import Pulpo


async def test_what_the_other_queue_refuses_does_not_hold_up_the_rest(url: str) -> None:
    async with open_queue(url) as source, open_queue(f"{url}-other?max_body=300") as target:
        bodies = [Message(body={"payload": "x" * size}) for size in (1, 400, 2)]
        await source.publish([PulpoJson().encode(message) for message in bodies])
        accounts = await moved(source, target)

        assert (accounts.taken, accounts.put, accounts.moved, accounts.in_both) == (3, 2, 2, 0)
        assert len(accounts.failed) == 1
        assert (await source.stats()).ready == 1


async def test_an_acknowledgement_that_fails_leaves_the_message_in_both_and_says_so(url: str) -> None:
    async with open_queue(url) as source, open_queue(f"{url}-other") as target:
        await source.publish([Envelope(body=b"{}")])
        accounts = Accounts()
        with pytest.raises(Unavailable):
            await moving(Forgetful(source), target, accounts).run()

        assert (accounts.put, accounts.moved, accounts.in_both) == (1, 0, 1)
        assert (await target.stats()).ready == 1


async def test_a_queue_that_goes_away_ends_the_move_and_what_was_in_hand_is_given_back(url: str) -> None:
    async with open_queue(url) as source, open_queue(f"{url}-other") as target:
        await source.publish([Envelope(body=b"{}"), Envelope(body=b"{}")])
        accounts = Accounts()
        with pytest.raises(Unavailable):
            await moving(source, Gone(target), accounts).run()

        assert (accounts.taken, accounts.put, accounts.failed, accounts.in_both) == (2, 0, {}, 2)
        assert (await source.stats()).ready == 2


async def test_a_queue_that_was_removed_ends_the_move_and_what_was_in_hand_is_given_back(url: str) -> None:
    async with open_queue(url) as source, open_queue(f"{url}-other") as target:
        await source.publish([Envelope(body=b"{}"), Envelope(body=b"{}")])
        accounts = Accounts()
        with pytest.raises(QueueNotFound):
            await moving(source, Gone(target, QueueNotFound("removed")), accounts).run()

        assert (accounts.taken, accounts.put, accounts.in_both) == (2, 0, 0)
        assert (await source.stats()).ready == 2


async def test_two_messages_of_one_identity_are_both_moved(url: str) -> None:
    twin = PulpoJson().encode(Message(header={"uid": "twin"}))
    async with open_queue(url) as source, open_queue(f"{url}-other") as target:
        await source.publish([Envelope(body=b"{}")])
        await source.publish([twin] * 150)

        assert (await moved(source, target)).moved == 151


async def moved(source: Queue, target: Queue) -> Accounts:
    accounts = Accounts()
    await moving(source, target, accounts).run()
    return accounts


def moving(source: object, target: object, accounts: Accounts) -> Moving:
    return Moving(source, target, accounts=accounts, limit=None, show=lambda *_: None)  # type: ignore[arg-type] # a part of a queue


class Forgetful:
    """A queue whose acknowledgements do not arrive."""

    def __init__(self, queue: Queue) -> None:
        self.receive = queue.receive

    async def settle(self, batch: Sequence[Settling]) -> Sequence[AdapterError | None]:
        """Fail."""
        return [Unavailable("gone", in_doubt=True) for _ in batch]


class Gone:
    """A queue that does not answer when it is published to, unless with another error."""

    def __init__(self, queue: Queue, error: PulpoError | None = None) -> None:
        self.capabilities = queue.capabilities
        self._error = error or Unavailable("gone", in_doubt=True)

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        """Fail."""
        raise self._error


def test_a_dry_run_counts_and_moves_nothing(pulpo: Pulpo, url: str) -> None:
    publish(url, Message(), Message())

    assert pulpo("move", "--dry-run", "--queue", url, "--to", f"{url}-other").out == "would move 2 ready messages\n"
    assert pulpo("stats", "--queue", url, "--json").json["ready"] == 2


def test_the_accounts_are_told_as_json(pulpo: Pulpo, url: str) -> None:
    publish(url, Message(), Message(body={"payload": "x" * 400}))

    outcome = pulpo("move", "--yes", "--queue", url, "--to", f"{url}-other?max_body=300", "--json")

    assert outcome.status == 1
    told = outcome.json
    assert {name: told[name] for name in ("taken", "put", "moved", "in_both")} == {
        "taken": 2,
        "put": 1,
        "moved": 1,
        "in_both": 0,
    }
    assert list(told["failed"]) == [outcome.complaint.split(": ")[1]]


def test_an_empty_queue_is_moved_without_a_question(pulpo: Pulpo, url: str) -> None:
    assert pulpo("move", "--queue", url, "--to", f"{url}-other").out == "moved 0 messages\n"


def test_a_queue_is_not_moved_to_itself(pulpo: Pulpo, url: str) -> None:
    outcome = pulpo("move", "--queue", url, "--to", url, "--yes")

    assert (outcome.status, outcome.out) == (2, "")
    assert "the same queue" in outcome.complaint


def test_nothing_is_moved_to_where_it_would_be_gone(pulpo: Pulpo, tmp_path: Path) -> None:
    source = f"file://{tmp_path}/shop.db"
    assert pulpo("publish", "--queue", source, "--payload", "x").status == 0

    outcome = pulpo("move", "--queue", source, "--to", "memory://elsewhere", "--yes")

    assert (outcome.status, outcome.out) == (2, "")
    assert "ends with this command" in outcome.complaint
    assert pulpo("stats", "--queue", source, "--json").json["ready"] == 1


def test_two_urls_of_one_queue_are_noticed_however_little_is_remembered_of_a_long_move(
    pulpo: Pulpo, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulpo_cli.moving._REMEMBERED", 1)
    publish(url, *[Message()] * 300)

    outcome = pulpo("move", "--queue", url, "--to", f"{url}?lease=60s", "--yes")

    assert (outcome.status, outcome.out) == (2, "moved 300 messages\n")
    assert "both URLs seem to name the same queue" in outcome.err
    assert pulpo("stats", "--queue", url, "--json").json["ready"] == 300

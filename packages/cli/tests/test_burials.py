"""Buried messages told apart, chosen from, and kicked at a rate."""

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from pulpo_cli.burials.choice import Choice, Filter
from pulpo_cli.burials.groups import group_records, pattern_of
from pulpo_cli.burials.kicking import Kicking
from pulpo_core import Bury, Clock, Message, MessageNotFound, PulpoJson, RateLimit, Record, State
from pulpo_core.testing import LoopClock, run_virtual

from .actors import bury, publish
from .conftest import Pulpo

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


def record(number: int = 1, **facts: object) -> Record:
    """A buried message of type ``mail``."""
    envelope = PulpoJson().encode(Message(request_type="mail"))
    return Record(id=str(number), state=State.BURIED, envelope=envelope, **facts)  # type: ignore[arg-type] # by name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KeyError: 'name'", "KeyError: 'address'"),
        ("ConnectionError: no answer from 10.0.0.1:5432", "ConnectionError: no answer from 10.0.0.27:5432"),
        ("ValueError: order 17 is closed", "ValueError: order 9,000 is closed"),
        ('LookupError: "a"', 'LookupError: "b c"'),
        ("Gone: 6f9619ff-8b86-d011-b42d-00cf4fc964ff", "Gone: 0f9619ff-8b86-d011-b42d-00cf4fc964f0"),
    ],
)
def test_errors_that_differ_in_particulars_have_one_pattern(one: str, other: str) -> None:
    assert pattern_of(one).replace(",…", "") == pattern_of(other).replace(",…", "")


def test_errors_of_different_causes_have_different_patterns() -> None:
    assert pattern_of("KeyError: 'name'") != pattern_of("ValueError: 'name'")
    assert pattern_of("timed out") != pattern_of("refused")


@pytest.mark.parametrize("error", ["a" * 2_000, "'" * 2_000, "a:" * 1_000, "'a" * 1_000])
def test_no_error_takes_long_to_be_told_apart(error: str) -> None:
    began = time.perf_counter()
    for _ in range(100):
        pattern_of(error)

    assert time.perf_counter() - began < 5  # a search that tries again at each character takes minutes


def test_a_group_knows_its_oldest_and_its_newest() -> None:
    times = [NOW, NOW - timedelta(days=2), None, NOW - timedelta(hours=1)]
    [group] = group_records([record(n, reason="fatal", buried_at=at) for n, at in enumerate(times)])

    assert (group.times[0], group.times[-1]) == (NOW - timedelta(days=2), NOW)
    assert len(group.records) == 4


@pytest.mark.parametrize(
    ("filter_", "passes"),
    [
        (Filter(), True),
        (Filter(reasons=["fatal"]), True),
        (Filter(reasons=["expired", "fatal"]), True),
        (Filter(reasons=["expired"]), False),
        (Filter(error=re.compile("key.rror", re.IGNORECASE)), True),
        (Filter(error=re.compile("^name")), False),
        (Filter(types=["mail"]), True),
        (Filter(types=["sms"]), False),
        (Filter(older_than=timedelta(minutes=59)), True),
        (Filter(older_than=timedelta(minutes=61)), False),
        (Filter(newer_than=timedelta(minutes=61)), True),
        (Filter(newer_than=timedelta(minutes=59)), False),
        (Filter(reasons=["fatal"], types=["sms"]), False),
    ],
)
def test_a_filter_lets_through_what_fits_all_it_says(filter_: Filter, passes: bool) -> None:
    buried = record(reason="fatal", error="KeyError: 'name'", buried_at=NOW - timedelta(hours=1))

    assert filter_.passes(buried, NOW) is passes


def test_what_was_buried_nobody_knows_when_passes_no_filter_by_age() -> None:
    assert not Filter(older_than=timedelta()).passes(record(), NOW)
    assert not Filter(newer_than=timedelta(days=9999)).passes(record(), NOW)


@pytest.mark.parametrize(
    "choice", [Choice(), Choice(ids=["1"], every=True), Choice(ids=["1"], filter=Filter(types=["mail"]))]
)
def test_a_choice_is_ids_or_all_or_filters(choice: Choice) -> None:
    with pytest.raises(Exception, match="give either IDs, or --all, or filters"):
        choice.check()


class Grave:
    """A queue of which only the kicking is of interest: it notes when what was kicked."""

    def __init__(self, clock: Clock, *, gone: Sequence[str] = ()) -> None:
        self.clock, self.gone = clock, gone
        self.calls: list[tuple[float, Sequence[str]]] = []

    async def kick(self, ids: Sequence[str] | None = None, *, limit: int | None = None) -> int:
        """Kick *ids*, unless one of them is gone."""
        if set(ids or ()) & set(self.gone):
            raise MessageNotFound("gone")
        self.calls.append((self.clock.monotonic(), ids or ()))
        return len(ids or ())


def kicking(clock: Clock, grave: Grave, rate: str | None) -> Kicking:
    limit = None if rate is None else RateLimit.of(rate)
    return Kicking(queue=grave, clock=clock, rate=limit, show=lambda *_: None)  # type: ignore[arg-type] # see Grave


def test_a_rate_is_kept() -> None:
    async def work() -> None:
        clock = LoopClock()
        grave = Grave(clock)
        began = clock.monotonic()
        await kicking(clock, grave, "10/s").found([str(n) for n in range(35)])

        assert [len(ids) for _, ids in grave.calls] == [10, 10, 10, 5]
        assert [round(at - began, 6) for at, _ in grave.calls] == [0, 1, 2, 3]

    run_virtual(work())


def test_a_rate_below_one_in_a_second_is_kept_as_well() -> None:
    async def work() -> None:
        clock = LoopClock()
        grave = Grave(clock)
        began = clock.monotonic()
        await kicking(clock, grave, "30/m").found(["1", "2", "3"])

        assert [round(at - began, 6) for at, _ in grave.calls] == [0, 2, 4]

    run_virtual(work())


def test_what_is_gone_meanwhile_is_told_and_holds_nobody_up() -> None:
    async def work() -> None:
        clock = LoopClock()
        run = kicking(clock, Grave(clock, gone=["2"]), None)
        await run.found(["1", "2", "3"])

        assert (run.kicked, run.missing) == (2, ["2"])

    run_virtual(work())


# ------------------------------------------------------------------------------------------------------ the commands


@pytest.fixture
def graves(url: str) -> str:
    """Three buried messages: two mails that failed for one reason, one text message for another."""
    publish(url, *(Message(request_type=kind) for kind in ("mail", "mail", "sms")))
    bury(url, Bury("fatal", "KeyError: 'a'"), Bury("fatal", "KeyError: 'b'"), Bury("expired", "expired at noon"))
    return url


def test_groups_are_by_reason_type_and_pattern_with_oldest_and_newest(pulpo: Pulpo, graves: str) -> None:
    groups = pulpo("buried", "list", "--group", "--queue", graves, "--json").json["groups"]

    assert [(each["count"], each["reason"], each["request_type"], each["error"]) for each in groups] == [
        (2, "fatal", "mail", "KeyError: …"),
        (1, "expired", "sms", "expired at noon"),
    ]
    assert groups[0]["oldest"] <= groups[0]["newest"]


def test_a_list_can_be_filtered(pulpo: Pulpo, graves: str) -> None:
    listed = pulpo("buried", "list", "--error", "keyerror", "--queue", graves, "--json").json["records"]

    assert [each["error"] for each in listed] == ["KeyError: 'a'", "KeyError: 'b'"]
    assert pulpo("buried", "list", "--type", "fax", "--queue", graves).err == "nothing like that is buried\n"


@pytest.mark.parametrize(
    ("filters", "kicked"),
    [
        (["--reason", "fatal"], 2),
        (["--reason", "fatal", "--limit", "1"], 1),
        (["--type", "sms"], 1),
        (["--error", "noon$"], 1),
        (["--older-than", "1h"], 0),
        (["--newer-than", "1h"], 3),
    ],
)
def test_kick_takes_what_the_filters_let_through(pulpo: Pulpo, graves: str, filters: list[str], kicked: int) -> None:
    said = pulpo("buried", "kick", *filters, "--yes", "--queue", graves, "--json")

    assert said.json == {"chosen": kicked, "kicked": kicked, "missing": 0, "partial": False, "dry_run": False}
    assert pulpo("stats", "--queue", graves, "--json").json["buried"] == 3 - kicked


@pytest.mark.parametrize("which", [["--all"], ["--reason", "fatal", "--reason", "expired"]])
def test_a_dry_run_shows_the_causes_and_changes_nothing(pulpo: Pulpo, graves: str, which: list[str]) -> None:
    kick = pulpo("buried", "kick", *which, "--dry-run", "--queue", graves)
    delete = pulpo("buried", "delete", *which, "--dry-run", "--queue", graves)

    assert kick.lines[-1] == "would kick 3 messages"
    assert delete.lines[-1] == "would remove 3 messages"
    assert "KeyError: …" in kick.out
    assert pulpo("stats", "--queue", graves, "--json").json["buried"] == 3


def test_delete_takes_the_same_filters(pulpo: Pulpo, graves: str) -> None:
    outcome = pulpo("buried", "delete", "--reason", "expired", "--yes", "--queue", graves, "--json")

    assert len(outcome.json["deleted"]) == 1
    assert pulpo("stats", "--queue", graves, "--json").json["buried"] == 2


@pytest.mark.parametrize("value", ["fast", "0/s", "10/fortnight", "-1/s"])
def test_what_is_no_rate_is_told_in_one_line(pulpo: Pulpo, graves: str, value: str) -> None:
    outcome = pulpo("buried", "kick", "--all", "--yes", "--rate", value, "--queue", graves)

    assert outcome.status == 2
    assert "is not a rate; write 10/s" in outcome.complaint


def test_what_is_no_regular_expression_is_told_in_one_line(pulpo: Pulpo, graves: str) -> None:
    outcome = pulpo("buried", "kick", "--error", "(", "--queue", graves)

    assert outcome.status == 2
    assert "'(' is not a regular expression" in outcome.complaint


def test_a_limit_goes_with_what_is_not_named(pulpo: Pulpo, graves: str) -> None:
    assert "--limit goes with" in pulpo("buried", "kick", "1", "--limit", "1", "--queue", graves).complaint


def test_where_nothing_is_meant_nobody_is_asked(pulpo: Pulpo, url: str) -> None:
    assert pulpo("buried", "kick", "--reason", "fatal", "--queue", url).out == "kicked 0 messages\n"
    assert pulpo("buried", "delete", "--all", "--queue", url).out == "removed 0 messages\n"

"""What lies in a queue, and one handing-out of it."""

from datetime import UTC, datetime

import attrs
import pytest

from pulpo_core.domain.envelope import Delivery, Envelope, Lease
from pulpo_core.domain.message import DEFAULT_PRIORITY

SECRET = b"4111 1111 1111 1111"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def delivery(**changes) -> Delivery:
    return Delivery(**{"id": "7", "envelope": Envelope(body=SECRET), "lease": Lease(30.0), **changes})


def test_an_envelope_needs_nothing_but_its_bytes():
    assert attrs.asdict(Envelope(body=b"x")) == {
        "body": b"x",
        "uid": "",
        "priority": DEFAULT_PRIORITY,
        "not_before": None,
        "expiration": None,
        "published_at": None,
        "group": None,
        "dedup_id": None,
        "attributes": {},
        "metadata": {},
    }


def test_a_delivery_is_the_first_attempt_unless_the_queue_says_otherwise():
    assert (delivery().attempt, delivery().lost, delivery().receipt) == (1, 0, None)


@pytest.mark.parametrize("described", [repr, str, "{}".format])
@pytest.mark.parametrize("thing", [Envelope(body=SECRET, metadata={"Body": SECRET}), delivery(receipt=SECRET)])
def test_no_description_shows_a_body(thing, described):
    assert str(SECRET) not in described(thing)
    assert "4111" not in described(thing)


def test_envelopes_of_equal_content_are_equal_and_cannot_be_keys():
    assert Envelope(body=b"x", expiration=NOON) == Envelope(body=b"x", expiration=NOON)
    assert Envelope(body=b"x") != Envelope(body=b"y")
    with pytest.raises(TypeError, match="unhashable"):
        hash(Envelope(body=b"x"))


def test_a_delivery_equals_itself_alone_since_two_may_carry_the_same_message():
    one, other = delivery(), delivery()

    assert one == one  # noqa: PLR0124 - that is the claim
    assert one != other
    assert len({one, other}) == 2


def test_only_the_lease_of_a_delivery_ever_changes():
    given = delivery()

    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        given.attempt = 2
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        given.envelope.body = b""
    given.lease.deadline = 60.0
    assert given.lease.deadline == 60.0


def test_a_handler_that_holds_the_delivery_sees_its_lease_go():
    given = delivery()
    assert not given.lease_lost

    given.lease.lost = True

    assert given.lease_lost

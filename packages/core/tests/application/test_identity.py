"""Identities of messages."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from pulpo_core import follow_up_uid, new_uid
from pulpo_core.testing import ManualClock, SeededJitter

MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


@given(MOMENTS, st.integers(0, 1000))
def test_a_new_uid_is_a_version_7_uuid_of_its_millisecond(moment, seed):
    uid = uuid.UUID(new_uid(ManualClock(moment), SeededJitter(seed)))

    assert uid.version == 7
    assert uid.variant == uuid.RFC_4122
    assert uid.int >> 80 == int(moment.timestamp() * 1000)


@given(MOMENTS, st.integers(1, 10**9))
def test_uids_of_later_milliseconds_are_later_as_text(moment, milliseconds):
    later = moment + timedelta(milliseconds=milliseconds) if moment.year < 9000 else moment
    first, second = new_uid(ManualClock(moment), SeededJitter(1)), new_uid(ManualClock(later), SeededJitter(2))

    assert first < second or later == moment or int(later.timestamp() * 1000) == int(moment.timestamp() * 1000)


def test_many_uids_of_one_millisecond_are_all_different():
    clock, jitter = ManualClock(), SeededJitter(1)

    assert len({new_uid(clock, jitter) for _ in range(10_000)}) == 10_000


def test_every_random_bit_is_used():
    class Bits:
        def __init__(self, bits: int) -> None:
            self.bits = bits

        def random(self) -> float:
            raise AssertionError

        def getrandbits(self, bits: int) -> int:
            return self.bits & ((1 << bits) - 1)

    clock = ManualClock()
    none, every = (uuid.UUID(new_uid(clock, Bits(bits))).int for bits in (0, -1))

    assert (none ^ every).bit_count() == 74


@given(st.text(), st.integers(0, 100))
def test_the_uid_of_a_follow_up_is_a_uuid_that_depends_on_parent_and_index_alone(parent, index):
    uid = follow_up_uid(parent, index)

    assert uuid.UUID(uid).version == 5
    assert uid == follow_up_uid(parent, index)
    assert uid != follow_up_uid(parent, index + 1)
    assert uid != follow_up_uid(parent + "x", index)


def test_the_uid_of_a_follow_up_is_what_others_would_derive():
    parent = "0190163d-8694-739b-aea5-966c26f8ad91"

    assert follow_up_uid(parent, 0) == str(uuid.uuid5(uuid.UUID(parent), "0"))
    assert follow_up_uid("sqs:abc", 3) == str(uuid.uuid5(uuid.uuid5(uuid.NAMESPACE_URL, "sqs:abc"), "3"))

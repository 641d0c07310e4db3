"""Deliveries that wait for a slot: in order, and one at a time within a group."""

from pulpo_core.application.buffer import Buffer, GroupBuffer
from pulpo_core.application.held import Held

from .fakes import delivery


def held(name: str, group: str | None = None) -> Held:
    return Held(delivery(name, group=group), 0.0)


def filled(buffer: Buffer, *names: str) -> dict[str, Held]:
    """Names are a letter for the group and a number; ``-1`` has no group."""
    every = {name: held(name, None if name[0] == "-" else name[0]) for name in names}
    for each in every.values():
        buffer.put(each)
    return every


def taken(buffer: Buffer) -> list[str]:
    names = []
    while (each := buffer.take()) is not None:
        names.append(each.delivery.id)
    return names


def test_a_plain_buffer_keeps_the_order_of_arrival():
    buffer = Buffer()
    filled(buffer, "a1", "a2", "-1")

    assert len(buffer.waiting) == 3
    assert taken(buffer) == ["a1", "a2", "-1"]
    assert buffer.take() is None


def test_a_buffer_can_be_emptied():
    buffer = Buffer()
    filled(buffer, "a1", "a2")

    assert [each.delivery.id for each in buffer.drain()] == ["a1", "a2"]
    assert buffer.drain() == []


def test_one_of_each_group_is_taken_and_everything_without_group():
    buffer = GroupBuffer()
    filled(buffer, "a1", "a2", "b1", "-1", "b2", "-2")

    assert taken(buffer) == ["a1", "b1", "-1", "-2"]


def test_the_next_of_a_group_can_be_taken_when_the_one_before_is_settled():
    buffer = GroupBuffer()
    every = filled(buffer, "a1", "a2", "a3")

    assert taken(buffer) == ["a1"]
    assert buffer.settled(every["a1"], done=True) == []
    assert taken(buffer) == ["a2"]


def test_when_one_of_a_group_comes_back_its_siblings_are_given_back_in_order_and_no_others():
    buffer = GroupBuffer()
    every = filled(buffer, "a1", "b1", "a2", "-1", "a3", "b2")
    assert taken(buffer) == ["a1", "b1", "-1"]

    assert [each.delivery.id for each in buffer.settled(every["a1"], done=False)] == ["a2", "a3"]
    assert taken(buffer) == []
    buffer.settled(every["b1"], done=True)
    assert taken(buffer) == ["b2"]


def test_a_group_can_go_on_after_its_siblings_were_given_back():
    buffer = GroupBuffer()
    every = filled(buffer, "a1", "a2")
    taken(buffer)
    buffer.settled(every["a1"], done=False)
    filled(buffer, "a1", "a2")

    assert taken(buffer) == ["a1"]


def test_what_has_no_group_concerns_no_group():
    buffer = GroupBuffer()
    every = filled(buffer, "-1", "a1", "a2")
    taken(buffer)

    assert buffer.settled(every["-1"], done=False) == []
    assert taken(buffer) == []


def test_emptying_leaves_busy_groups_busy():
    buffer = GroupBuffer()
    every = filled(buffer, "a1", "a2")
    taken(buffer)
    buffer.drain()
    filled(buffer, "a3")

    assert taken(buffer) == []
    buffer.settled(every["a1"], done=True)
    assert taken(buffer) == ["a3"]


def test_one_that_was_given_back_says_nothing_about_its_group_when_it_is_settled():
    """Its answer may come late, when the first of the group is at work again."""
    buffer = GroupBuffer()
    every = filled(buffer, "a1", "a2")
    taken(buffer)
    [given_back] = buffer.settled(every["a1"], done=False)
    filled(buffer, "a1", "a2")
    assert taken(buffer) == ["a1"]

    assert buffer.settled(given_back, done=False) == []
    assert taken(buffer) == []
    assert len(buffer.waiting) == 1


def test_what_has_no_group_is_taken_past_a_group_that_is_busy():
    buffer = GroupBuffer()
    filled(buffer, "a1", "a2", "-1")

    assert taken(buffer) == ["a1", "-1"]

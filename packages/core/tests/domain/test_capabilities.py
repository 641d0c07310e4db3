"""Capabilities are data that people and programs read."""

import inspect
from datetime import timedelta

import attrs
import pytest

from pulpo_core.domain.capabilities import Capabilities, Order, Peek
from pulpo_core.domain.lifecycle import State


def test_every_capability_is_explained():
    explained = inspect.cleandoc(Capabilities.__doc__)  # Python 3.13 has taken the indentation out already

    assert [field.name for field in attrs.fields(Capabilities) if f"\n    {field.name}: " not in explained] == []


def test_capabilities_are_fixed_once_declared():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Capabilities().max_batch = 5


def test_what_an_adapter_does_not_declare_is_what_an_unlimited_queue_in_memory_can_do():
    assert attrs.asdict(Capabilities()) == {
        "order": Order.PRIORITY,
        "priority": True,
        "max_delay": None,
        "max_retry_delay": None,
        "min_retry_delay": timedelta(),
        "granularity": timedelta(milliseconds=1),
        "lease": timedelta(seconds=30),
        "max_hold": None,
        "exact_attempts": True,
        "attempt_slack": 0,
        "max_receives": None,
        "max_body_bytes": None,
        "max_batch": 100,
        "max_wait": timedelta(seconds=20),
        "prompt_interrupt": True,
        "peek": frozenset({Peek.ID, Peek.READY, Peek.DELAYED, Peek.BURIED}),
        "count_states": frozenset({"ready", "delayed", "reserved", "buried"}),
        "purge_states": frozenset({"ready", "delayed", "buried"}),
        "atomic_follow_ups": False,
        "late_ack": False,
        "groups": False,
        "pause": False,
        "durability": "nothing",
    }


def test_states_and_kinds_of_peek_are_named_as_the_lifecycle_names_them():
    named = Capabilities()

    assert {*named.count_states, *named.purge_states} < set(State)
    assert set(Peek) - {Peek.ID} < set(State)


def test_words_that_people_write_and_read_are_stable():
    assert list(Order) == ["priority", "group", "none"]
    assert list(Peek) == ["id", "ready", "delayed", "buried"]

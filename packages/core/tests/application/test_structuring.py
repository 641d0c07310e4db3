"""Bodies into typed values: strict about kinds, silent about contents."""

import socket
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any, Literal

import attrs
import pytest

from pulpo_core import HandlerError, TranslationError
from pulpo_core.application.structuring import is_structured, structurer


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Address:
    street: str
    number: int = 0


@dataclass
class Point:
    x: float
    y: float


@attrs.frozen
class Order:
    id: str
    count: int
    price: float
    paid: bool
    address: Address
    tags: list[str] = attrs.field(factory=list)
    when: datetime | None = None
    day: date | None = None
    colour: Colour = Colour.RED
    kind: Literal["a", "b"] = "a"
    where: Point | None = None
    amounts: dict[str, int] = attrs.field(factory=dict)
    anything: Any = None


FULL = {
    "id": "o1",
    "count": 2,
    "price": 1.5,
    "paid": False,
    "address": {"street": "s", "number": 4},
    "tags": ["x", "y"],
    "when": "2026-01-02T03:04:05+00:00",
    "day": "2026-01-02",
    "colour": "blue",
    "kind": "b",
    "where": {"x": 1, "y": 2.5},
    "amounts": {"a": 1},
    "anything": [1, {"a": None}],
    "unknown": "is ignored, since producers may be ahead of workers",
}


def test_a_body_becomes_a_value_with_all_of_its_parts():
    order = structurer(Order)(FULL)

    assert order.address == Address("s", 4)
    assert order.where == Point(1, 2.5)
    assert (order.colour, order.kind, order.paid, order.amounts) == (Colour.BLUE, "b", False, {"a": 1})
    assert order.when == datetime.fromisoformat("2026-01-02T03:04:05+00:00")
    assert order.anything == [1, {"a": None}]


def test_what_has_a_default_may_be_missing():
    order = structurer(Order)({"id": "o", "count": 0, "price": 0, "paid": True, "address": {"street": ""}})

    assert (order.tags, order.when, order.address.number) == ([], None, 0)


FAULTS = {
    "a text is no number": ({"count": "2"}, "count", "expected int, not str"),
    "a fraction is no whole number": ({"count": 1.0}, "count", "expected int, not float"),
    "true is no number": ({"count": True}, "count", "expected int, not bool"),
    "a number is no truth": ({"paid": 1}, "paid", "expected bool, not int"),
    "a number is no text": ({"id": 7}, "id", "expected str, not int"),
    "nothing is no text": ({"id": None}, "id", "expected str, not NoneType"),
    "a text is no price": ({"price": "1.5"}, "price", "expected float, not str"),
    "a part of a part": ({"address": {"street": 5}}, "address.street", "expected str, not int"),
    "a missing part of a part": ({"address": {}}, "address", "required field missing"),
    "one of a list": ({"tags": ["x", 5]}, "tags[1]", "expected str, not int"),
    "no such word": ({"colour": "secret-value"}, "colour", "not acceptable"),
    "no such choice": ({"kind": "secret-value"}, "kind", "not acceptable"),
    "no moment": ({"when": "secret-value"}, "when", "not acceptable"),
    "one of a mapping": ({"amounts": {"a": "x"}}, "amounts", "expected int, not str"),
}


@pytest.mark.parametrize(("change", "field", "what"), FAULTS.values(), ids=FAULTS)
def test_a_body_that_does_not_fit_is_told_by_the_path_of_its_field(change, field, what):
    with pytest.raises(TranslationError) as caught:
        structurer(Order)({**FULL, **change})

    text = str(caught.value)
    assert text.startswith("the body does not fit Order: ")
    assert field in text
    assert what in text
    assert "secret-value" not in text


def test_all_fields_at_fault_are_told_at_once():
    with pytest.raises(TranslationError) as caught:
        structurer(Order)({"id": 1, "count": "x"})

    for field in ("id", "count", "price", "paid", "address"):
        assert field in str(caught.value)


@pytest.mark.parametrize("body", [None, 5, "text", [], [1]])
def test_what_is_no_mapping_does_not_fit(body):
    with pytest.raises(TranslationError):
        structurer(Order)(body)


def test_a_class_that_says_no_of_its_own_does_not_quote_the_value():
    @attrs.frozen
    class Picky:
        name: str = attrs.field()

        @name.validator
        def _check(self, attribute, value):
            raise ValueError(f"{value} will not do")

    with pytest.raises(TranslationError) as caught:
        structurer(Picky)({"name": "secret-value"})

    assert "secret-value" not in str(caught.value)


@pytest.mark.parametrize("kind", [Order, Point, Address])
def test_attrs_classes_and_dataclasses_are_structured(kind):
    assert is_structured(kind)


@pytest.mark.parametrize("kind", [dict, str, int, Any, None, dict[str, int], Order("o", 1, 1, True, Address("s"))])
def test_nothing_else_is(kind):
    assert not is_structured(kind)


def test_a_class_with_a_field_that_JSON_cannot_hold_is_refused_at_registration():  # noqa: N802 - its name
    @attrs.frozen
    class Odd:
        connection: socket.socket

    with pytest.raises(HandlerError, match="Odd"):
        structurer(Odd)


def test_a_class_whose_annotations_cannot_be_resolved_is_refused_at_registration():
    @attrs.frozen
    class Odd:
        something: "Nowhere"  # noqa: F821 - that is the point

    with pytest.raises(HandlerError, match="Odd"):
        structurer(Odd)

"""JSON as pulpo reads and writes it."""

import enum
import json
import math
from collections import OrderedDict, UserDict, namedtuple
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulpo_core import InvalidMessage, TranslationError
from pulpo_core.translators.documents import MAX_DEPTH, dumps, loads

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=10)


@given(st.dictionaries(TEXT, VALUES))
def test_what_is_written_is_read_back_unchanged(document):
    assert loads(dumps(document)) == document


@given(st.dictionaries(TEXT, VALUES))
def test_anybody_s_json_reader_reads_the_same(document):
    assert json.loads(dumps(document)) == document


@given(VALUES)
def test_anybody_s_json_is_read_the_same_with_and_without_white_space_and_escapes(value):
    for options in ({}, {"indent": 2}, {"ensure_ascii": False}):
        text = json.dumps(value, **options)
        assert loads(text.encode()) == value
        assert loads(f"\r\n\t {text} \n".encode()) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_and_nothing_else_happens(data):
    try:
        loads(data)
    except TranslationError:
        return
    json.loads(data)


NOT_JSON = {
    "nothing": (b"", "expected a value"),
    "white space": (b" \n", "expected a value"),
    "no value": (b"hello", "expected a value"),
    "half an object": (b'{"a": 1', "not JSON"),
    "a comma too many": (b"[1,]", "not JSON|expected a value"),
    "two documents": (b'{"a": 1} {"b": 2}', "something follows the document at character 9"),
    "a comment": (b"1 // one", "something follows"),
    "single quotes": (b"{'a': 1}", "not JSON"),
    "not a number": (b"NaN", "not acceptable JSON: NaN is not JSON"),
    "infinity": (b'{"a": -Infinity}', "not acceptable JSON: -Infinity is not JSON"),
    "a raw line feed in a text": (b'"a\nb"', "not JSON: Invalid control character at character 2 of 5"),
    "another encoding": ("\u20ac".encode("utf-16"), "not UTF-8: byte 0 of 4"),
    "a lone byte": (b'{"a": "\xe9"}', "not UTF-8: byte 7 of 10"),
    "a mark of byte order": (b"\xef\xbb\xbf{}", "expected a value at character 0"),
    "a number of thousands of digits": (b"9" * 5_000, "not acceptable JSON"),
    "a very deep list": (b"[" * 100_000, "nested too deeply|not JSON"),
    "a very deep object": (b'{"a":' * 100_000, "nested too deeply|not JSON"),
}


@pytest.mark.parametrize(("data", "text"), NOT_JSON.values(), ids=NOT_JSON)
def test_what_is_not_strict_json_is_refused_with_the_place(data, text):
    with pytest.raises(TranslationError, match=text):
        loads(data)


def test_the_place_counts_from_the_beginning_of_the_bytes_as_they_came():
    with pytest.raises(TranslationError, match="character 13 of 14"):
        loads(b'  \n  {"a": 1 x')


def test_a_refusal_quotes_nothing_of_the_document():
    for data in (b'{"secret-value": secret-value}', b'{"a": 1} secret-value', b"secret-value"):
        with pytest.raises(TranslationError) as caught:
            loads(data)
        assert "secret" not in str(caught.value)


class Colour(enum.Enum):
    RED = "red"


class Word(str, enum.Enum):  # noqa: UP042 - users have such ones
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


Pair = namedtuple("Pair", "a b")

LIKE_JSON = {
    "a tuple": ((1, 2), [1, 2]),
    "a named tuple": (Pair(1, 2), [1, 2]),
    "a word of an enumeration of words": (Word.RED, "red"),
    "a number of an enumeration of numbers": (Level.LOW, 1),
    "an ordered dictionary": (OrderedDict(a=1), {"a": 1}),
    "a very large number": (10**400, 10**400),
    "a negative nothing": (-0.0, -0.0),
}


@pytest.mark.parametrize(("value", "carried"), LIKE_JSON.values(), ids=LIKE_JSON)
def test_what_means_the_same_in_json_is_carried(value, carried):
    assert loads(dumps({"value": value})) == {"value": carried}


UNFIT = {
    "an object": (object(), "value: .* type object"),
    "bytes": (b"x", "value: .* type bytes"),
    "a set": ({1}, "value: .* type set"),
    "a date": (datetime(2026, 1, 1), "value: .* type datetime"),
    "a decimal": (Decimal(1), "value: .* type Decimal"),
    "an enumeration": (Colour.RED, "value: .* type Colour"),
    "not a number": (math.nan, "value: JSON has no nan"),
    "infinity": (math.inf, "value: JSON has no inf"),
    "deep inside": ({"a": [0, {"b": {1}}]}, r"value\.a\[1\]\.b: .* type set"),
    "a key that is no text": ({1: "a"}, "value: keys must be text, not int"),
    "a key that is nothing": ({"a": {None: "a"}}, r"value\.a: keys must be text, not NoneType"),
    "a mapping that is no dictionary": (MappingProxyType({"a": 1}), "value: .* type mappingproxy"),
    "a mapping of a user": (UserDict(a=1), "value: .* type UserDict"),
    "a lone surrogate": ("a\ud800", "value: the text has a lone surrogate"),
    "a lone surrogate inside": ({"a": ["\udfff"]}, r"value\.a\[0\]: the text has a lone surrogate"),
    "a key with a lone surrogate": ({"\ud800": 1}, "a key of value: the text has a lone surrogate"),
    "a number of thousands of digits": (10**5_000, "JSON cannot carry it"),
}


@pytest.mark.parametrize(("value", "text"), UNFIT.values(), ids=UNFIT)
def test_what_json_cannot_carry_is_refused_by_the_name_of_its_field(value, text):
    with pytest.raises(InvalidMessage, match=text):
        dumps({"fine": 1, "value": value})


@pytest.mark.parametrize("key", [1, None, True, 1.5])
def test_a_key_of_the_document_itself_is_a_text_too(key):
    with pytest.raises(InvalidMessage, match="keys must be text"):
        dumps({key: 1})


def nested(levels: int) -> list:
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


def test_so_many_levels_are_written_and_no_more():
    assert loads(dumps({"value": nested(MAX_DEPTH - 1)}))
    with pytest.raises(InvalidMessage, match=f"^value.*nested more than {MAX_DEPTH} levels deep"):
        dumps({"value": nested(MAX_DEPTH + 1)})


def test_what_contains_itself_is_too_deep():
    circle: dict = {}
    circle["a"] = circle
    with pytest.raises(InvalidMessage, match="nested more than"):
        dumps(circle)


def test_text_is_written_as_it_is_and_nothing_is_wasted_on_white_space():
    assert dumps({"a": "é€😀", "b": [1, 2]}) == '{"a":"é€😀","b":[1,2]}'.encode()


def test_what_is_written_at_the_deepest_can_be_read():
    deepest = {"value": nested(MAX_DEPTH)}
    while True:
        try:
            written = dumps(deepest)
        except InvalidMessage:
            break
        assert loads(written) == deepest
        deepest = {"value": [deepest["value"]]}


@pytest.mark.parametrize("levels", [MAX_DEPTH + 3, 500, 900])
def test_what_is_deeper_than_anything_written_is_not_read(levels):
    with pytest.raises(TranslationError, match=r"levels deep|nested too deeply"):
        loads(b"[" * levels + b"]" * levels)
    with pytest.raises(TranslationError, match=r"levels deep|nested too deeply"):
        loads(b'{"a":' * levels + b"1" + b"}" * levels)


def test_many_brackets_side_by_side_are_not_deep():
    document = {"rows": [[n, {"n": [n]}] for n in range(1_000)]}

    assert loads(dumps(document)) == document

"""Messages as plain text."""

import pytest
from hypothesis import given

from pulpo_core import ConfigurationError, Envelope, InvalidMessage, Message, PlainText, TranslationError

from .test_documents import TEXT


@given(TEXT)
def test_any_text_goes_out_and_comes_back_as_the_payload(text):
    translator = PlainText()
    envelope = translator.encode(Message(body={"payload": text}))

    assert envelope.body == text.encode()
    assert translator.translate(envelope) == Message(body={"payload": text})


def test_the_type_may_be_fixed():
    assert PlainText(request_type="line").translate(Envelope(body=b"x")).request_type == "line"


def test_other_encodings_than_utf_8_may_be_named():
    translator = PlainText(encoding="latin-1")

    assert translator.translate(Envelope(body=b"\xe9")).payload == "é"
    assert translator.encode(Message(body={"payload": "é"})).body == b"\xe9"


def test_bytes_of_another_encoding_are_refused_with_the_place():
    with pytest.raises(TranslationError, match="not utf-8 text: byte 2 of 3"):
        PlainText().translate(Envelope(body=b"ab\xe9"))


def test_text_that_the_encoding_lacks_is_refused_with_the_place():
    with pytest.raises(InvalidMessage, match=r"body\.payload: latin-1 cannot carry character 1"):
        PlainText(encoding="latin-1").encode(Message(body={"payload": "a€"}))


@pytest.mark.parametrize("body", [{}, {"payload": None}, {"payload": 5}, {"payload": b"x"}, {"a": "x"}])
def test_what_is_no_text_is_refused(body):
    with pytest.raises(InvalidMessage, match="payload"):
        PlainText().encode(Message(body=body))


def test_a_body_with_more_than_the_payload_is_refused_since_the_rest_would_be_lost():
    with pytest.raises(InvalidMessage, match="body: plain text carries the payload alone, not also 'more'"):
        PlainText().encode(Message(body={"payload": "x", "more": 1}))


@pytest.mark.parametrize("encoding", ["utf-9", "rot13", "hex"])
def test_an_encoding_that_is_none_is_told_when_the_translator_is_made(encoding):
    with pytest.raises(ConfigurationError, match=f"encoding: {encoding!r}"):
        PlainText(encoding=encoding)

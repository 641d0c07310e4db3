"""Whatever the bytes, a translator makes a message of them or says that it cannot, soon, and without quoting them."""

import json
import time
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pulpo_core import (
    AnyJson,
    Envelope,
    EventBridgeEvent,
    InvalidMessage,
    Message,
    PlainText,
    PulpoJson,
    S3Notification,
    SnsNotification,
    TranslationError,
)
from tests.soak import scaled

from .corpus import HEADERS, SECRET, WRONG, corpus

TRANSLATORS = {
    "PulpoJson": PulpoJson(),
    "AnyJson": AnyJson(),
    "AnyJson with a path": AnyJson(type_from="header.request_type"),
    "PlainText": PlainText(),
    "PlainText in ASCII": PlainText(encoding="ascii"),
    "SnsNotification": SnsNotification(),
    "SnsNotification, raw": SnsNotification(raw=True, type_attribute="type"),
    "SNS around pulpo's own": SnsNotification(inner=PulpoJson()),
    "EventBridgeEvent": EventBridgeEvent(),
    "S3Notification": S3Notification(),
    "S3 through SNS": SnsNotification(inner=S3Notification()),
}

CORPUS = dict(corpus())

#: Real seconds that one body may take, on a slow and busy machine.
SOON = 20.0

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def attempted(call, refusal):
    """What *call* gives, or `None` when it is refused in the one way that is allowed, and without a quotation."""
    try:
        return call()
    except refusal as error:
        text = str(error)
    assert SECRET not in text, "an error does not quote the body"
    assert len(text) < 500
    return None


def translated(translator, body):
    """The message in *body*, or `None`."""
    message = attempted(lambda: translator.translate(Envelope(body=body)), TranslationError)
    assert message is None or isinstance(message, Message)
    return message


@pytest.mark.parametrize("name", TRANSLATORS)
def test_every_body_of_the_corpus_is_translated_or_refused(name):
    for body in CORPUS.values():
        began = time.monotonic()
        translated(TRANSLATORS[name], body)
        assert time.monotonic() - began < SOON


@pytest.mark.parametrize("name", TRANSLATORS)
def test_what_was_translated_is_published_again_or_refused_by_name(name):
    for body in CORPUS.values():
        message = translated(TRANSLATORS[name], body)
        if message is not None:
            received = message.received(id="1", uid="u", attempts=0)
            attempted(lambda received=received: PulpoJson().encode(received.resolved(NOW)), InvalidMessage)


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(WRONG),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(HEADERS) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)
shapes = st.one_of(
    documents,
    st.fixed_dictionaries({"header": documents, "body": documents}, optional={"id": documents}),
    st.fixed_dictionaries({"Type": st.just("Notification"), "Message": documents, "MessageAttributes": documents}),
    st.fixed_dictionaries({"detail-type": documents, "detail": documents}),
    st.fixed_dictionaries({"Records": documents}),
)
bodies = st.binary(max_size=200) | shapes.map(lambda document: json.dumps(document).encode())


def any_body_to_every_translator(examples):
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(bodies)
    def try_all(body):
        for translator in TRANSLATORS.values():
            translated(translator, body)

    return try_all


test_any_body_is_translated_or_refused = any_body_to_every_translator(300)

test_any_body_is_translated_or_refused_for_long = pytest.mark.soak(any_body_to_every_translator(scaled(20_000)))

"""Whatever lies in a queue, the worker goes on: each body is handled or buried with a reason, and none is logged."""

import itertools
import json
import logging
from contextlib import asynccontextmanager
from datetime import timedelta

import attrs
import greenstalk
import pytest

from pulpo_core import (
    AdapterError,
    AnyJson,
    Dispatcher,
    Envelope,
    Handlers,
    PlainText,
    Policy,
    PulpoJson,
    Route,
    SnsNotification,
    Until,
    open_queue,
)
from tests.servers import BeanstalkdServer

from .corpus import SECRET, corpus

_NUMBERS = itertools.count()

CORPUS = dict(corpus())

TRANSLATORS = {"its own": PulpoJson(), "any JSON": AnyJson(), "text": PlainText(), "SNS": SnsNotification()}


@attrs.frozen
class Typed:
    """What a handler asks for that wants to know what it gets."""

    count: int


@pytest.fixture
def memory():
    return f"memory://hostile-{next(_NUMBERS)}?max_body=4000000"


@pytest.fixture
def file(tmp_path):
    return f"file://{tmp_path / 'hostile.db'}"


@pytest.fixture
def beanstalkd_with_room():
    with BeanstalkdServer(options=["-z", "4000000"]) as server:
        yield server.url("hostile")


@pytest.fixture
def sqs(own_sqs_server, aws_credentials):
    return sqs_queue(own_sqs_server, "")


@pytest.fixture
def sqs_fifo(own_sqs_server, aws_credentials):
    return sqs_queue(own_sqs_server, ".fifo")


def sqs_queue(server, suffix):
    """A queue, and the one that its messages are buried in."""
    name = f"hostile-{next(_NUMBERS)}"
    server.create(f"{name}{suffix}")
    server.create(f"{name}-buried{suffix}")
    return f"sqs://{name}{suffix}?endpoint_url={server.url}"


QUEUES = ["memory", "file", "beanstalkd_with_room", "sqs", "sqs_fifo"]


async def stored(url, bodies):
    """The names of *bodies* that the queue has taken; others it refuses, each by itself."""
    envelopes = [Envelope(body=body, uid=f"hostile-{number}") for number, body in enumerate(bodies.values())]
    async with open_queue(url) as queue:
        answers = await queue.publish(envelopes)
    assert len(answers) == len(bodies)
    refused = {name: answer for name, answer in zip(bodies, answers, strict=True) if not isinstance(answer, str)}
    for name, answer in refused.items():
        assert isinstance(answer, AdapterError), name
        assert SECRET not in str(answer)
    return [name for name in bodies if name not in refused]


async def worked_off(url, translator):
    """Run a worker until the queue is empty; how many it has handled, and its ledger."""
    handled = 0
    handlers = Handlers()

    @handlers("typed")
    async def typed(body: Typed):
        raise AssertionError("its body does not fit")

    @handlers.default
    async def anything(message):
        nonlocal handled
        handled += 1

    route = Route(url, handlers, translator=translator, policy=Policy(max_attempts=3), wait=timedelta(seconds=1))
    dispatcher = Dispatcher(route, until=Until(burst=True), grace=20)
    await dispatcher.run()
    [ledger] = dispatcher.ledgers.values()
    return handled, ledger


@asynccontextmanager
async def quiet(caplog):
    """Nothing of any body is logged inside, at whatever level."""
    caplog.set_level(logging.DEBUG)
    yield
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("kind", "translator"),
    [*[("memory", name) for name in TRANSLATORS], *[(kind, "its own") for kind in QUEUES[1:]], ("file", "SNS")],
)
async def test_each_hostile_body_is_handled_or_buried_with_a_reason(kind, translator, request, caplog):
    url = request.getfixturevalue(kind)
    async with quiet(caplog):
        taken = await stored(url, CORPUS)
        handled, ledger = await worked_off(url, TRANSLATORS[translator])
        async with open_queue(url) as queue:
            page = await queue.buried(limit=10_000)

    assert ledger.balanced
    assert ledger.received == len(taken) == handled + ledger.buried + ledger.dropped + expired(ledger, handled)
    assert len(page.records) == ledger.buried
    for record in page.records:
        assert record.reason in {"untranslatable", "expired", "no-handler"}
        assert SECRET not in (record.error or "")


def expired(ledger, handled):
    """Acknowledged without a handler: nothing may be."""
    return ledger.acked - handled


@pytest.mark.parametrize("kind", QUEUES)
async def test_the_bytes_of_what_is_buried_are_those_that_came(kind, request):
    url = request.getfixturevalue(kind)
    bodies = {name: body for name, body in CORPUS.items() if len(body) < 10_000}
    taken = await stored(url, bodies)
    await worked_off(url, PulpoJson())
    async with open_queue(url) as queue:
        page = await queue.buried(limit=10_000)

    assert page.records, "some of them are"
    came = {bodies[name] for name in taken}
    assert {record.envelope.body for record in page.records} <= came


async def test_attributes_that_somebody_else_has_put_into_a_queue_do_no_harm(sqs, own_sqs_server, caplog):
    name = sqs.removeprefix("sqs://").partition("?")[0]
    text = {"DataType": "String"}
    hostile = [
        {"pulpo": {**text, "StringValue": value}}
        for value in (
            "[]",
            "{",
            '{"uid": 5}',
            '{"attempts_base": -1}',
            '{"encoding": "base64"}',
            '{"not_before": 1}',
        )
    ]
    hostile += [
        {"pulpo.burial": {**text, "StringValue": "[" * 50_000}},
        {"pulpo": {**text, "StringValue": "[" * 50_000}},
    ]
    async with quiet(caplog):
        for attributes in hostile:
            entry = {"QueueUrl": f"/{name}", "MessageBody": '{"body": {}}', "MessageAttributes": attributes}
            own_sqs_server.state.send_message(entry, own_sqs_server.now())
        handled, ledger = await worked_off(sqs, PulpoJson())

    assert ledger.received == handled == len(hostile)
    assert ledger == attrs.evolve(ledger, acked=handled, buried=0, in_hand=0)


async def test_records_that_somebody_else_has_put_beside_a_tube_do_no_harm(beanstalkd_with_room, caplog):
    good = {"pulpo": 1, "job": 1, "body": "x", "reason": "r", "error": "", "attempts": 1, "reserves": 1, "lost": 0}
    good |= {"kicks": 0, "at": "2026-01-01T00:00:00+00:00"}
    wrong = [{**good, key: value} for key in good for value in ([], {}, None, -1, "x", 1.5)]
    records = [b"[" * 50_000, b"\xff", b"", b"[]", b"1", *[json.dumps(each).encode() for each in wrong]]
    with greenstalk.Client(address_of(beanstalkd_with_room), use="hostile.buried", encoding=None) as client:
        for record in records:
            client.put(record)
    async with quiet(caplog):
        await stored(beanstalkd_with_room, {"bad": b"\xff", "worse": b"[]"})
        _, ledger = await worked_off(beanstalkd_with_room, PulpoJson())
        async with open_queue(beanstalkd_with_room) as queue:
            page = await queue.buried()
            assert await queue.kick() == 2

    assert ledger.buried == 2
    assert [record.reason for record in page.records] == ["untranslatable"] * 2


def address_of(url):
    """Host and port in *url*."""
    host, _, port = url.removeprefix("beanstalkd://").partition("/")[0].partition(":")
    return host, int(port)

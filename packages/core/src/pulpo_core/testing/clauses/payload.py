"""Bodies are bytes that nobody looks into, up to a limit that is kept."""

from __future__ import annotations

import base64
import json

from pulpo_core.domain.errors import AdapterError, MessageTooLarge
from pulpo_core.testing.bench import Bench
from pulpo_core.testing.registry import clause

from .needs import TRIABLE_LIMIT

_TEXTS = (
    "../../etc/passwd",
    "a/b\\c",
    "\"quoted\" 'quoted' `quoted`",
    "".join(map(chr, range(128))),
    "\ufeffbyte order mark",
    "öäü ß ñ 漢字 🐙 \U0010ffff",
    "\u2028\u2029\u200b",
    "100%s %d {0} ${HOME} $(id)",
    "line\r\nbreaks\rof\nall kinds\r\n\r\n",
    "null",
    "NaN",
)

_BINARY = (
    bytes(range(256)),
    b"\x00",
    b"\r\n",
    b"\xed\xa0\x80 a lone surrogate",
    b"\xff\xfe not UTF-8 \xc3\x28",
    b"   blanks around   ",
)

_LOOKALIKES = (
    b'{"id": "1", "header": {"request_type": "x", "uid": "forged", "priority": 0}, "body": {}}',
    b'{"Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": "inner"}',
    b'{"uid": "forged", "reason": "fatal", "error": "", "origin": "elsewhere"}',
    base64.b64encode(b"looks encoded, but is what was sent"),
    b"delete 1\r\n",
)


@clause("C020")
async def an_empty_body_is_a_body(bench: Bench) -> None:
    """An empty body comes back empty, or is refused at publish; it is never changed or lost."""
    (answer,) = await bench.call(bench.queue.publish([bench.envelope(b"")]))
    if isinstance(answer, AdapterError):
        assert not answer.temporary, "trying again would not help"
        return
    assert (await bench.take_one()).envelope.body == b""


@clause("C021")
async def bytes_are_kept(bench: Bench) -> None:
    """Whatever the bytes, they come back the same."""
    await _round_trip(bench, *_BINARY)


@clause("C024")
async def texts_are_kept(bench: Bench) -> None:
    """Texts that mean something to file systems, formats or terminals come back the same."""
    await _round_trip(bench, *[text.encode() for text in _TEXTS], *[json.dumps(text).encode() for text in _TEXTS])


@clause("C028")
async def lookalikes_are_not_believed(bench: Bench) -> None:
    """A body that looks like an envelope, a record or a command is still only a body."""
    await _round_trip(bench, *_LOOKALIKES)


async def _round_trip(bench: Bench, *bodies: bytes) -> None:
    await bench.publish(*[bench.envelope(body) for body in bodies])
    received = [delivery.envelope.body for delivery in await bench.take(len(bodies))]
    assert sorted(received) == sorted(bodies)


@clause("C022", needs=[TRIABLE_LIMIT])
async def the_limit_itself_fits(bench: Bench) -> None:
    """A body of exactly the declared limit is stored and comes back whole."""
    body = _body_of(bench, 0)

    await bench.publish(bench.envelope(body))

    assert (await bench.take_one()).envelope.body == body, "a body at the limit was changed"


@clause("C023", needs=[TRIABLE_LIMIT])
async def one_byte_more_is_refused(bench: Bench) -> None:
    """A body one byte over the limit is `MessageTooLarge`, nothing of it is stored, and the queue works on."""
    (answer,) = await bench.call(bench.queue.publish([bench.envelope(_body_of(bench, 1))]))

    assert isinstance(answer, MessageTooLarge), f"expected MessageTooLarge, not {answer!r}"
    await bench.nothing_comes("nothing was stored")
    await bench.publish(bench.envelope(b"small"))
    assert (await bench.take_one()).envelope.body == b"small"


@clause("C008", needs=[TRIABLE_LIMIT])
async def a_bad_neighbour_does_no_harm(bench: Bench) -> None:
    """An envelope that cannot be stored is an error in its place; its neighbours are stored."""
    batch = [bench.envelope(b"one"), bench.envelope(_body_of(bench, 1)), bench.envelope(b"two")]

    first, bad, last = await bench.call(bench.queue.publish(batch))

    assert isinstance(bad, MessageTooLarge), f"expected MessageTooLarge in the second place, not {bad!r}"
    taken = {delivery.id: delivery.envelope.body for delivery in await bench.take(2)}
    assert taken == {first: b"one", last: b"two"}


@clause("C029", needs=[TRIABLE_LIMIT])
async def a_heavy_batch_is_published_whole(bench: Bench) -> None:
    """Bodies that fit one by one are published in one batch, whatever they weigh together."""
    bodies = [b"%d" % number + _body_of(bench, -1)[: len(_body_of(bench, -1)) * 2 // 3] for number in range(4)]

    await bench.publish(*[bench.envelope(body) for body in bodies])

    assert sorted(delivery.envelope.body for delivery in await bench.take(4)) == bodies


def _body_of(bench: Bench, over: int) -> bytes:
    """A body so many bytes over the limit."""
    return b"x" * ((bench.caps.max_body_bytes or 0) + over)

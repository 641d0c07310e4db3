"""An SQS server that does next to nothing: it is to be faster than every client that is measured on it.

``python -m benchmarks.sqs_stub PORT [LATENCY]``. Speaks the JSON protocol over HTTP/1.1, and the
query protocol for the requests of old clients; answers LATENCY seconds late, as a network would
have it; counts requests by queue under ``GET /counts/NAME``. Nothing becomes visible again by
itself, no group, no delay, no limit is kept, and no signature is looked at.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections import Counter, deque
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any, Final
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

Asked = Mapping[str, Any]

_ATTRIBUTES: Final = {"ApproximateReceiveCount": "1", "SentTimestamp": "1763719200000", "SenderId": "AIDA"}


class Queue:
    """Messages that wait, those in somebody's hands, and how many requests there were."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: deque[dict[str, Any]] = deque()
        self.held: dict[str, dict[str, Any]] = {}
        self.requests: Counter[str] = Counter()
        self.arrival = asyncio.Event()

    def put(self, entry: Asked) -> dict[str, Any]:
        name = f"m-{next(_numbers)}"
        digest = hashlib.md5(entry["MessageBody"].encode(), usedforsecurity=False).hexdigest()
        self.ready.append(
            {
                "MessageId": name,
                "Body": entry["MessageBody"],
                "MD5OfBody": digest,
                "Attributes": _ATTRIBUTES,
                "MessageAttributes": entry.get("MessageAttributes") or {},
            }
        )
        self.arrival.set()
        return {"MessageId": name, "MD5OfMessageBody": digest}

    def take(self, limit: int) -> list[dict[str, Any]]:
        taken = []
        while self.ready and len(taken) < limit:
            message = {**self.ready.popleft(), "ReceiptHandle": f"r-{next(_numbers)}"}
            self.held[message["ReceiptHandle"]] = message
            taken.append(message)
        return taken

    def hide(self, entry: Asked) -> None:
        if not int(entry["VisibilityTimeout"]) and entry["ReceiptHandle"] in self.held:
            self.ready.append(self.held.pop(entry["ReceiptHandle"]))
            self.arrival.set()


_numbers = count()
_queues: dict[str, Queue] = {}


def _queue(asked: Asked) -> Queue:
    name = str(asked.get("QueueUrl") or asked["QueueName"]).rpartition("/")[2]
    if name not in _queues:
        _queues[name] = Queue(name)
    return _queues[name]


async def _receive(queue: Queue, asked: Asked) -> dict[str, Any]:
    limit, wait = int(asked.get("MaxNumberOfMessages", 1)), float(asked.get("WaitTimeSeconds", 0))
    loop = asyncio.get_running_loop()
    end = loop.time() + wait
    while not (taken := queue.take(limit)) and loop.time() < end:
        queue.arrival.clear()
        try:
            async with asyncio.timeout_at(end):
                await queue.arrival.wait()
        except TimeoutError:
            break
    return {"Messages": taken} if taken else {}


def _attributes(queue: Queue) -> dict[str, str]:
    return {
        "QueueArn": f"arn:aws:sqs:eu-west-1:000000000000:{queue.name}",
        "ApproximateNumberOfMessages": str(len(queue.ready)),
        "ApproximateNumberOfMessagesNotVisible": str(len(queue.held)),
        "ApproximateNumberOfMessagesDelayed": "0",
        "VisibilityTimeout": "30",
        "MaximumMessageSize": "1048576",
    }


def _each(asked: Asked, act: Callable[[Asked], Any]) -> dict[str, Any]:
    return {"Successful": [{"Id": entry["Id"], **(act(entry) or {})} for entry in asked["Entries"]], "Failed": []}


def _delete(queue: Queue, entry: Asked) -> None:
    queue.held.pop(entry["ReceiptHandle"], None)


_ANSWERS: Final[Mapping[str, Callable[[Queue, Asked, str], dict[str, Any]]]] = {
    "CreateQueue": lambda queue, _, url: {"QueueUrl": f"{url}/000000000000/{queue.name}"},
    "GetQueueUrl": lambda queue, _, url: {"QueueUrl": f"{url}/000000000000/{queue.name}"},
    "GetQueueAttributes": lambda queue, _, __: {"Attributes": _attributes(queue)},
    "SetQueueAttributes": lambda *_: {},
    "SendMessage": lambda queue, asked, _: queue.put(asked),
    "SendMessageBatch": lambda queue, asked, _: _each(asked, queue.put),
    "DeleteMessage": lambda queue, asked, _: _delete(queue, asked) or {},
    "DeleteMessageBatch": lambda queue, asked, _: _each(asked, lambda entry: _delete(queue, entry)),
    "ChangeMessageVisibility": lambda queue, asked, _: queue.hide(asked) or {},
    "ChangeMessageVisibilityBatch": lambda queue, asked, _: _each(asked, queue.hide),
}


class Connection(asyncio.Protocol):
    """One client. Requests of one connection are answered one after another, as HTTP/1.1 has it."""

    def __init__(self, url: str, latency: float, tasks: set[asyncio.Task[None]]) -> None:
        self._url = url
        self._latency = latency
        self._tasks = tasks
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment] # a TCP server's

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].decode("latin-1")
            headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            length = int(headers.get("content-length", 0))
            if "100-continue" in headers.get("expect", ""):
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            task = asyncio.get_running_loop().create_task(self._answer(head.split(" ", 2)[1], headers, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        if path.startswith("/counts/"):
            said: dict[str, Any] = dict(_queue({"QueueName": path}).requests)
            self._write(json.dumps(said).encode(), "application/json")
        elif target := headers.get("x-amz-target"):
            said = await self._said(_OPERATIONS[target.rpartition(".")[2]], json.loads(body))
            self._write(json.dumps(said).encode(), "application/x-amz-json-1.0")
        else:
            asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            said = await self._said(asked["Action"], asked if path == "/" else {"QueueUrl": path, **asked})
            self._write(_as_xml(asked["Action"], said).encode(), "text/xml")

    async def _said(self, operation: str, asked: Asked) -> dict[str, Any]:
        if operation == "ListQueues":
            return {"QueueUrls": [f"{self._url}/000000000000/{name}" for name in _queues]}
        queue = _queue(asked)
        queue.requests[operation] += 1
        if operation == "ReceiveMessage":
            said = await _receive(queue, asked)
        else:
            said = _ANSWERS[operation](queue, asked, self._url)
        if self._latency:
            await asyncio.sleep(self._latency)
        return said

    def _write(self, body: bytes, kind: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


#: Names in the case in which the headers, which are in lower case here, do not have them.
_OPERATIONS: Final = {name.lower(): name for name in (*_ANSWERS, "ReceiveMessage", "ListQueues")}


def _as_xml(operation: str, said: Mapping[str, Any]) -> str:
    """An answer of the query protocol, as far as clients of one message at a time need it."""
    inside = "".join(_element(name, value) for name, value in said.items())
    return (
        f'<{operation}Response xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><{operation}Result>{inside}'
        f"</{operation}Result><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{operation}Response>"
    )


def _element(name: str, value: Any) -> str:
    if name == "Messages":
        return "".join(_element("Message", message) for message in value)
    if isinstance(value, Mapping):
        kept = {key: each for key, each in value.items() if key not in {"Attributes", "MessageAttributes"}}
        return f"<{name}>{''.join(_element(key, each) for key, each in kept.items())}</{name}>"
    return f"<{name}>{escape(str(value))}</{name}>"


async def _serve(port: int, latency: float) -> None:
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()
    url = f"http://127.0.0.1:{port}"
    server = await loop.create_server(lambda: Connection(url, latency, tasks), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 0.0))

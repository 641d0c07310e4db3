"""Queues that behave as AWS documents SQS: a model without I/O, whose time is an argument.

What it has and moto has not: receipt handles that grow stale, `MessageNotInflight`, the ceiling of
12 hours counted from the receive, five minutes of deduplication whatever became of the message,
rising sequence numbers, the source of what was redriven, sizes in bytes with attributes, refused
characters, the limit of messages in flight, and one message for one receive, always.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

MAX_MESSAGE_BYTES: Final = 1_048_576
CEILING: Final = 43_200
DEDUPLICATION_SECONDS: Final = 300
MAX_ATTRIBUTES: Final = 10

_REFUSED: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENTRY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ATTRIBUTE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_FIFO_ID: Final = re.compile(r"[A-Za-z0-9!-/:-@\[-`{-~]{1,128}")

#: Codes of the JSON protocol and what the older one called them: clients are told both.
QUERY_CODES: Final[Mapping[str, str]] = {
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
    "ReceiptHandleIsInvalid": "ReceiptHandleIsInvalid",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
    "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
    "InvalidParameterValueException": "InvalidParameterValue",
    "PurgeQueueInProgress": "AWS.SimpleQueueService.PurgeQueueInProgress",
}


class SqsError(Exception):
    """A request, or one entry of it, that SQS refuses."""

    def __init__(self, code: str, message: str = "", *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    @property
    def query_code(self) -> str:
        """What the older protocol calls it."""
        return QUERY_CODES.get(self.code, self.code)


def _invalid(message: str) -> SqsError:
    return SqsError("InvalidParameterValueException", message)


@attrs.define(eq=False)
class StoredMessage:
    """One message, wherever it is."""

    id: str
    body: str
    attributes: Mapping[str, Any]
    system: dict[str, str]
    sent_at: float
    visible_at: float
    number: int
    group: str | None = None
    receives: int = 0
    first_received_at: float | None = None
    received_at: float | None = None
    handle: str | None = None

    def in_flight(self, now: float) -> bool:
        """Whether somebody holds it, or has hidden it."""
        return self.handle is not None and self.visible_at > now


@attrs.define(eq=False)
class StoredQueue:
    """One queue and what is in it."""

    name: str
    url: str
    arn: str
    attributes: dict[str, str]
    messages: dict[str, StoredMessage] = attrs.field(factory=dict)
    handles: dict[str, str] = attrs.field(factory=dict)
    sent: dict[str, tuple[float, str, str]] = attrs.field(factory=dict)
    in_flight_limit: int = 120_000

    @property
    def fifo(self) -> bool:
        """Whether it keeps order within groups."""
        return self.name.endswith(".fifo")

    def number(self, name: str, default: int) -> int:
        """An attribute as a number."""
        return int(self.attributes.get(name, default))

    @property
    def redrive(self) -> Mapping[str, Any]:
        """The redrive policy; empty when there is none."""
        policy: Mapping[str, Any] = json.loads(self.attributes.get("RedrivePolicy") or "{}")
        return policy


@attrs.define(eq=False)
class SqsState:
    """All queues of one region and account.

    Attributes:
        ignores_stale_deletes: a deletion with the handle of an earlier receive is answered with
            success and does nothing, as on standard queues of AWS; else it deletes.
    """

    endpoint: str = ""
    region: str = "eu-west-1"
    account: str = "000000000000"
    ignores_stale_deletes: bool = True
    queues: dict[str, StoredQueue] = attrs.field(factory=dict)
    _numbers: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1))

    def queue(self, url: str) -> StoredQueue:
        """The queue that *url* names."""
        name = url.rpartition("/")[2]
        if name not in self.queues:
            raise SqsError("QueueDoesNotExist", "The specified queue does not exist.")
        return self.queues[name]

    # --- queues

    def create_queue(self, asked: Mapping[str, Any], now: float) -> dict[str, Any]:
        """CreateQueue."""
        name, attributes = asked["QueueName"], dict(asked.get("Attributes") or {})
        if name.endswith(".fifo") != (attributes.get("FifoQueue") == "true"):
            raise _invalid("The name of a FIFO queue can only end with .fifo, and FifoQueue must be true")
        existing = self.queues.get(name)
        if existing is None:
            url, arn = f"{self.endpoint}/{self.account}/{name}", f"arn:aws:sqs:{self.region}:{self.account}:{name}"
            existing = self.queues[name] = StoredQueue(name, url, arn, attributes)
        for key, value in attributes.items():
            if existing.attributes.get(key) != value:
                raise SqsError("QueueNameExists", f"A queue already exists with a different value for {key}")
        return {"QueueUrl": existing.url}

    def get_queue_url(self, asked: Mapping[str, Any], now: float) -> dict[str, Any]:
        """GetQueueUrl."""
        if asked.get("QueueOwnerAWSAccountId", self.account) != self.account:
            raise SqsError("QueueDoesNotExist", "The specified queue does not exist.")
        return {"QueueUrl": self.queue(asked["QueueName"]).url}

    def get_queue_attributes(self, asked: Mapping[str, Any], now: float) -> dict[str, Any]:
        """GetQueueAttributes."""
        queue = self.queue(asked["QueueUrl"])
        self._forget(queue, now)
        messages = queue.messages.values()
        hidden = [each for each in messages if each.visible_at > now]
        told = {
            "QueueArn": queue.arn,
            "VisibilityTimeout": "30",
            "MaximumMessageSize": str(MAX_MESSAGE_BYTES),
            "MessageRetentionPeriod": "345600",
            **({"FifoQueue": "true", "ContentBasedDeduplication": "false"} if queue.fifo else {}),
            **queue.attributes,
            "ApproximateNumberOfMessages": str(len(messages) - len(hidden)),
            "ApproximateNumberOfMessagesDelayed": str(sum(each.handle is None for each in hidden)),
            "ApproximateNumberOfMessagesNotVisible": str(sum(each.handle is not None for each in hidden)),
        }
        return {"Attributes": told}

    def set_queue_attributes(self, asked: Mapping[str, Any], now: float) -> dict[str, Any]:
        """SetQueueAttributes."""
        self.queue(asked["QueueUrl"]).attributes.update(asked["Attributes"])
        return {}

    def purge_queue(self, asked: Mapping[str, Any], now: float) -> dict[str, Any]:
        """PurgeQueue."""
        self.queue(asked["QueueUrl"]).messages.clear()
        return {}

    def delete_queue(self, asked: Mapping[str, Any], now: float) -> dict[str, Any]:
        """DeleteQueue."""
        del self.queues[self.queue(asked["QueueUrl"]).name]
        return {}

    # --- sending

    def send_message(self, asked: Mapping[str, Any], now: float) -> dict[str, Any]:
        """SendMessage."""
        return self._send(self.queue(asked["QueueUrl"]), asked, now)

    def send_message_batch(self, asked: Mapping[str, Any], now: float) -> dict[str, Any]:
        """SendMessageBatch."""
        queue = self.queue(asked["QueueUrl"])
        if sum(_size(entry) for entry in asked["Entries"]) > MAX_MESSAGE_BYTES:
            raise SqsError("BatchRequestTooLong", "The length of all the messages put together is more than the limit.")
        return _batch(asked, lambda entry: self._send(queue, entry, now))

    def _send(self, queue: StoredQueue, entry: Mapping[str, Any], now: float) -> dict[str, Any]:
        _check_message(queue, entry)
        dedup = self._dedup_id(queue, entry)
        if dedup is not None:
            sent_at, id_, sequence = queue.sent.get(dedup, (-1e9, "", ""))
            if now - sent_at < DEDUPLICATION_SECONDS:
                return {"MessageId": id_, "MD5OfMessageBody": _md5(entry["MessageBody"]), "SequenceNumber": sequence}
        message = self._store(queue, entry, now)
        if dedup is not None:
            message.system["MessageDeduplicationId"] = dedup
            queue.sent[dedup] = now, message.id, message.system["SequenceNumber"]
        sequence_number = {"SequenceNumber": message.system["SequenceNumber"]} if queue.fifo else {}
        return {"MessageId": message.id, "MD5OfMessageBody": _md5(message.body), **sequence_number}

    @staticmethod
    def _dedup_id(queue: StoredQueue, entry: Mapping[str, Any]) -> str | None:
        if not queue.fifo:
            return None
        if "MessageDeduplicationId" in entry:
            return str(entry["MessageDeduplicationId"])
        if queue.attributes.get("ContentBasedDeduplication") != "true":
            raise _invalid("The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId")
        return hashlib.sha256(entry["MessageBody"].encode()).hexdigest()

    def _store(self, queue: StoredQueue, entry: Mapping[str, Any], now: float) -> StoredMessage:
        number = next(self._numbers)
        system = {"SenderId": "AIDATESTING", "SentTimestamp": str(int(now * 1000))}
        if queue.fifo:
            system |= {"MessageGroupId": entry["MessageGroupId"], "SequenceNumber": f"{number:020}"}
        if trace := (entry.get("MessageSystemAttributes") or {}).get("AWSTraceHeader"):
            system["AWSTraceHeader"] = trace["StringValue"]
        delay = entry.get("DelaySeconds", queue.number("DelaySeconds", 0))
        message = StoredMessage(
            id=str(uuid.UUID(int=number << 64 | hash(queue.name) & 0xFFFF_FFFF)),
            body=entry["MessageBody"],
            attributes=dict(entry.get("MessageAttributes") or {}),
            system=system,
            sent_at=now,
            visible_at=now + delay,
            number=number,
            group=entry.get("MessageGroupId") if queue.fifo else None,
        )
        queue.messages[message.id] = message
        return message

    # --- receiving

    def receive_message(self, asked: Mapping[str, Any], now: float) -> dict[str, Any]:
        """ReceiveMessage, without waiting."""
        queue = self.queue(asked["QueueUrl"])
        count = asked.get("MaxNumberOfMessages", 1)
        if not 1 <= count <= 10:
            raise _invalid("MaxNumberOfMessages must be between 1 and 10, if provided.")
        self._forget(queue, now)
        in_flight = 0
        if len(queue.messages) >= queue.in_flight_limit:
            in_flight = sum(message.in_flight(now) for message in queue.messages.values())
        if in_flight >= queue.in_flight_limit:
            if queue.fifo:
                return {}
            raise SqsError("OverLimit", "Too many messages in flight.", status=403)
        visibility = asked.get("VisibilityTimeout", queue.number("VisibilityTimeout", 30))
        taken = self._take(queue, min(count, queue.in_flight_limit - in_flight), visibility, now)
        return {"Messages": [_told(message, asked) for message in taken]} if taken else {}

    def _take(self, queue: StoredQueue, count: int, visibility: int, now: float) -> list[StoredMessage]:
        taken: list[StoredMessage] = []
        redriven: list[StoredMessage] = []
        closed = {each.group for each in queue.messages.values() if each.in_flight(now)} if queue.fifo else set()
        for message in queue.messages.values():
            if len(taken) == count:
                break
            if message.visible_at > now or (message.group is not None and message.group in closed):
                closed.add(message.group)
            elif queue.redrive and message.receives >= int(queue.redrive["maxReceiveCount"]):
                redriven.append(message)
            else:
                self._hand_out(queue, message, visibility, now)
                taken.append(message)
        for message in redriven:
            self._move_on(queue, message, now)
        return taken

    def _move_on(self, queue: StoredQueue, message: StoredMessage, now: float) -> None:
        """Move *message*, which was received too often, to where the redrive policy says."""
        target = self.queue(str(queue.redrive["deadLetterTargetArn"]).rpartition(":")[2])
        del queue.messages[message.id]
        message.handle = None
        message.visible_at = now
        message.system["DeadLetterQueueSourceArn"] = queue.arn
        if target.fifo:
            message.sent_at = now
        target.messages[message.id] = message

    def _hand_out(self, queue: StoredQueue, message: StoredMessage, visibility: int, now: float) -> None:
        message.receives += 1
        message.received_at = now
        message.first_received_at = message.first_received_at or now
        message.visible_at = now + visibility
        message.handle = f"{message.id}#{message.receives}#{next(self._numbers)}"
        queue.handles[message.handle] = message.id

    @staticmethod
    def _forget(queue: StoredQueue, now: float) -> None:
        """Drop what is older than the retention; the oldest come first."""
        retention = queue.number("MessageRetentionPeriod", 345_600)
        for message in list(itertools.takewhile(lambda each: each.sent_at + retention <= now, queue.messages.values())):
            del queue.messages[message.id]

    # --- settling

    def delete_message(self, asked: Mapping[str, Any], now: float) -> dict[str, Any]:
        """DeleteMessage."""
        self._delete(self.queue(asked["QueueUrl"]), asked["ReceiptHandle"], now)
        return {}

    def delete_message_batch(self, asked: Mapping[str, Any], now: float) -> dict[str, Any]:
        """DeleteMessageBatch."""
        queue = self.queue(asked["QueueUrl"])
        return _batch(asked, lambda entry: self._delete(queue, entry["ReceiptHandle"], now))

    def _delete(self, queue: StoredQueue, handle: str, now: float) -> dict[str, Any]:
        message = self._held(queue, handle)
        if message is None:
            return {}
        stale = message.handle != handle
        if queue.fifo and (stale or message.visible_at <= now):
            raise _invalid("Value for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.")
        if not (stale and self.ignores_stale_deletes):
            del queue.messages[message.id]
        return {}

    @staticmethod
    def _held(queue: StoredQueue, handle: str) -> StoredMessage | None:
        """The message of *handle*; `None` when it is gone."""
        if handle not in queue.handles:
            raise SqsError("ReceiptHandleIsInvalid", f'The input receipt handle "{handle[:20]}" is not valid.')
        return queue.messages.get(queue.handles[handle])

    def change_message_visibility(self, asked: Mapping[str, Any], now: float) -> dict[str, Any]:
        """ChangeMessageVisibility."""
        return self._hide(self.queue(asked["QueueUrl"]), asked, now)

    def change_message_visibility_batch(self, asked: Mapping[str, Any], now: float) -> dict[str, Any]:
        """ChangeMessageVisibilityBatch."""
        queue = self.queue(asked["QueueUrl"])
        return _batch(asked, lambda entry: self._hide(queue, entry, now))

    def _hide(self, queue: StoredQueue, entry: Mapping[str, Any], now: float) -> dict[str, Any]:
        seconds = entry["VisibilityTimeout"]
        if not 0 <= seconds <= CEILING:
            raise _invalid(f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Must be 0 to 43200.")
        message = self._held(queue, entry["ReceiptHandle"])
        if message is None or message.handle != entry["ReceiptHandle"] or message.visible_at <= now:
            raise SqsError("MessageNotInflight", "The message referred to is not in flight.")
        if message.received_at is not None and now + seconds - message.received_at > CEILING:
            raise _invalid(
                f"Value {seconds} for parameter VisibilityTimeout is invalid."
                " Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]."
            )
        message.visible_at = now + seconds
        return {}


OPERATIONS: Final[Mapping[str, Callable[[SqsState, Mapping[str, Any], float], dict[str, Any]]]] = {
    "ChangeMessageVisibility": SqsState.change_message_visibility,
    "ChangeMessageVisibilityBatch": SqsState.change_message_visibility_batch,
    "CreateQueue": SqsState.create_queue,
    "DeleteMessage": SqsState.delete_message,
    "DeleteMessageBatch": SqsState.delete_message_batch,
    "DeleteQueue": SqsState.delete_queue,
    "GetQueueAttributes": SqsState.get_queue_attributes,
    "GetQueueUrl": SqsState.get_queue_url,
    "PurgeQueue": SqsState.purge_queue,
    "ReceiveMessage": SqsState.receive_message,
    "SendMessage": SqsState.send_message,
    "SendMessageBatch": SqsState.send_message_batch,
    "SetQueueAttributes": SqsState.set_queue_attributes,
}


def _batch(asked: Mapping[str, Any], act: Callable[[Mapping[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    entries = asked["Entries"]
    ids = [entry["Id"] for entry in entries]
    if not entries:
        raise SqsError("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(entries) > 10:
        raise SqsError("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10.")
    if len(set(ids)) < len(ids):
        raise SqsError("BatchEntryIdsNotDistinct", "Two or more batch entries have the same Id.")
    if not all(_ENTRY_ID.fullmatch(id_) for id_ in ids):
        raise SqsError("InvalidBatchEntryId", "The Id of a batch entry is not valid.")
    done: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for entry in entries:
        try:
            done.append({"Id": entry["Id"], **act(entry)})
        except SqsError as error:
            failed.append({"Id": entry["Id"], "SenderFault": True, "Code": error.query_code, "Message": error.message})
    return {"Successful": done, "Failed": failed}


def _check_message(queue: StoredQueue, entry: Mapping[str, Any]) -> None:
    body, attributes = entry["MessageBody"], entry.get("MessageAttributes") or {}
    limit = queue.number("MaximumMessageSize", MAX_MESSAGE_BYTES)
    if not body:
        raise SqsError("MissingParameter", "The request must contain the parameter MessageBody.")
    if _size(entry) > limit:
        raise _invalid(f"One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes.")
    if len(attributes) > MAX_ATTRIBUTES:
        raise _invalid(f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [10].")
    for name, value in attributes.items():
        _check_attribute(name, value)
    if _REFUSED.search(body):
        raise SqsError("InvalidMessageContents", "Invalid characters found in the message body.")
    if not 0 <= entry.get("DelaySeconds", 0) <= 900:
        raise _invalid("Value for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.")
    _check_fifo(queue, entry)


def _check_attribute(name: str, value: Mapping[str, Any]) -> None:
    text = value.get("StringValue")
    if not _ATTRIBUTE_NAME.fullmatch(name) or name.lower().startswith(("aws.", "amazon.")):
        raise _invalid(f"The message attribute name {name!r} is invalid.")
    if not (text or value.get("BinaryValue")):
        raise _invalid(f"The message attribute {name!r} must contain a non-empty value.")
    if text and _REFUSED.search(text):
        raise SqsError("InvalidMessageContents", "Invalid characters found in a message attribute.")


def _check_fifo(queue: StoredQueue, entry: Mapping[str, Any]) -> None:
    group = entry.get("MessageGroupId")
    if not queue.fifo:
        if "MessageDeduplicationId" in entry:
            raise _invalid("The request includes a parameter that is not valid for this queue type.")
        return
    if group is None:
        raise SqsError("MissingParameter", "The request must contain the parameter MessageGroupId.")
    if entry.get("DelaySeconds"):
        raise _invalid("The request includes a parameter that is not valid for this queue type. Reason: DelaySeconds.")
    for text in (group, entry.get("MessageDeduplicationId", "x")):
        if not _FIFO_ID.fullmatch(text):
            raise _invalid("MessageGroupId and MessageDeduplicationId take letters, digits and punctuation only.")


def _size(entry: Mapping[str, Any]) -> int:
    total = len(entry.get("MessageBody", "").encode("utf-8", "surrogatepass"))
    for name, value in (entry.get("MessageAttributes") or {}).items():
        total += len(name.encode()) + len(value.get("DataType", "").encode())
        total += len((value.get("StringValue") or value.get("BinaryValue") or "").encode("utf-8", "surrogatepass"))
    return total


def _told(message: StoredMessage, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A message as ReceiveMessage tells it; attributes only as far as they were asked for."""
    told: dict[str, Any] = {
        "MessageId": message.id,
        "ReceiptHandle": message.handle,
        "Body": message.body,
        "MD5OfBody": _md5(message.body),
    }
    if "All" in (asked.get("MessageSystemAttributeNames") or asked.get("AttributeNames") or ()):
        told["Attributes"] = {
            **message.system,
            "ApproximateReceiveCount": str(message.receives),
            "ApproximateFirstReceiveTimestamp": str(int((message.first_received_at or 0) * 1000)),
        }
    if message.attributes and "All" in (asked.get("MessageAttributeNames") or ()):
        told["MessageAttributes"] = dict(message.attributes)
    return told


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()

"""Publishing to topics of SNS, by ARN or by exact name.

A name is looked up among all topics of the region, page by page, and must match to the letter; who
has the ARN needs neither the look-up nor the permission for it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import attrs

from pulpo_core import (
    AdapterError,
    ConfigurationError,
    InvalidMessage,
    MessageTooLarge,
    PermissionDenied,
    QueueNotFound,
)

from .batching import Answer, call_batch, chunks
from .client import Client, Endpoint, open_client
from .codec import byte_count, fifo_id, fits, is_text, size, text_attribute

#: SNS takes this much for a message with its attributes, and for all messages of one request together.
MAX_MESSAGE_BYTES: Final = 262_144

_MAX_SUBJECT: Final = 100  # characters; ASCII without control characters, the first not a blank
_SUBJECT: Final = re.compile(r"[!-~][ -~]{0,99}")
_ARN: Final = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]+):\d{1,20}:([A-Za-z0-9_-]{1,256}(?:\.fifo)?)")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,256}(?:\.fifo)?")


@attrs.frozen(kw_only=True, slots=True)
class Notification:
    """What is published to a topic.

    Attributes:
        subject: a line of ASCII, up to 100 characters; mail subscribers see it.
        attributes: texts beside the content; subscriptions filter by them.
        group, dedup_id: of FIFO topics, which need both.
    """

    content: str
    subject: str | None = None
    attributes: Mapping[str, str] = attrs.field(factory=dict)
    group: str | None = None
    dedup_id: str | None = None


@attrs.define(slots=True, eq=False)
class SnsTopic:
    """A topic, to publish to."""

    _client: Client
    arn: str

    @property
    def name(self) -> str:
        """The last part of its ARN."""
        return self.arn.rpartition(":")[2]

    async def publish(self, notification: Notification | str) -> str:
        """Publish one notification; its id at SNS.

        Raises:
            InvalidMessage: SNS takes no such subject or attribute; nothing was sent.
            MessageTooLarge: it is over what SNS takes; nothing was sent.
            AdapterError: SNS did not confirm it; `in_doubt` when it may be published all the same.
            ConfigurationError: the topic is gone, or may not be published to.
        """
        [answer] = await self.publish_many([notification])
        if isinstance(answer, str):
            return answer
        raise answer

    async def publish_many(self, notifications: Sequence[Notification | str]) -> list[str | AdapterError]:
        """Publish notifications, ten to a request; for each its id, or why it was not published.

        Raises:
            InvalidMessage, MessageTooLarge, ConfigurationError: see `publish`; nothing was sent.
        """
        entries = [self._entry(Notification(content=n) if isinstance(n, str) else n) for n in notifications]
        answers: list[str | AdapterError] = []
        for batch in chunks(entries, size=_entry_size, max_bytes=MAX_MESSAGE_BYTES):
            said = await call_batch(self._client, "PublishBatch", f"topic {self.name!r}", {"TopicArn": self.arn}, batch)
            answers += [_id_or_error(answer) for answer in said]
        return answers

    def _entry(self, notification: Notification) -> dict[str, Any]:
        _check_texts(notification)
        attributes = {name: text_attribute(text) for name, text in notification.attributes.items()}
        entry: dict[str, Any] = {"Message": notification.content, "MessageAttributes": attributes}
        if notification.subject is not None:
            entry["Subject"] = notification.subject
        if self.arn.endswith(".fifo"):
            entry |= _fifo(notification, self.name)
        length = _entry_size(entry)
        if length > MAX_MESSAGE_BYTES:
            raise MessageTooLarge(
                f"the notification takes {length:,} bytes with its attributes; SNS carries up to {MAX_MESSAGE_BYTES:,}"
            )
        return entry


def _check_texts(notification: Notification) -> None:
    if not notification.content:
        raise InvalidMessage("content: SNS publishes no empty notification")
    if not is_text(notification.content):
        raise InvalidMessage("content: SNS takes no control characters but tab and line breaks, and no lone surrogates")
    if notification.subject is not None and not _SUBJECT.fullmatch(notification.subject):
        raise InvalidMessage(f"subject: expected 1 to {_MAX_SUBJECT} ASCII characters in one line, the first no blank")
    for name, text in notification.attributes.items():
        if not text or not fits(name, text):
            raise InvalidMessage(f"attributes: SNS takes no attribute {name!r:.80} with that name or text")


def _fifo(notification: Notification, name: str) -> dict[str, str]:
    if notification.group is None or notification.dedup_id is None:
        raise InvalidMessage(f"topic {name!r} is a FIFO topic: a notification needs a group and a dedup_id")
    return {"MessageGroupId": fifo_id(notification.group), "MessageDeduplicationId": fifo_id(notification.dedup_id)}


def _entry_size(entry: Mapping[str, Any]) -> int:
    return size(entry["Message"], entry["MessageAttributes"]) + byte_count(entry.get("Subject", ""))


def _id_or_error(answer: Answer) -> str | AdapterError:
    return answer if isinstance(answer, AdapterError) else str(answer["MessageId"])


@asynccontextmanager
async def open_topic(
    topic: str,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    profile: str | None = None,
    timeout: timedelta = timedelta(seconds=10),
) -> AsyncIterator[SnsTopic]:
    """The topic of that ARN or exact name, to publish to inside the context.

    Raises:
        ConfigurationError: it is neither, or there is no such topic, or no region, or no credentials.
        PermissionDenied: topics may not be listed, which a name needs.
        Unavailable: SNS does not answer.
    """
    arn = _ARN.fullmatch(topic)
    if not arn and not _NAME.fullmatch(topic):
        raise ConfigurationError(f"{topic!r:.300} is neither the ARN nor the name of a topic")
    if arn and region not in {None, arn[1]}:
        raise ConfigurationError(f"topic {topic!r} is not in region {region!r}")
    endpoint = Endpoint(region=arn[1] if arn else region, url=endpoint_url, profile=profile, timeout=timeout)
    async with open_client("sns", endpoint) as client:
        yield SnsTopic(client, topic if arn else await _look_up(client, topic))


async def _look_up(client: Client, name: str) -> str:
    page: Mapping[str, Any] = {}
    try:
        while True:
            page = await client.call("ListTopics", f"topic {name!r}", _next(page))
            for topic in page.get("Topics") or ():
                arn = str(topic["TopicArn"])
                if arn.rpartition(":")[2] == name:
                    return arn
            if not page.get("NextToken"):
                break
    except PermissionDenied as error:
        raise PermissionDenied(f"topic {name!r}: to find it by name, topics are listed: {error}") from error
    raise QueueNotFound(f"there is no topic {name!r} in {client.region} for these credentials ({client.url})")


def _next(page: Mapping[str, Any]) -> dict[str, str]:
    return {"NextToken": page["NextToken"]} if page.get("NextToken") else {}

"""One queue as it was found at AWS: where it is, its limits, and where it sets messages aside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import attrs

from pulpo_core import ConfigurationError, PermissionDenied, QueueNotFound, Unavailable

from .address import Address, parse_address
from .client import Client

#: What a new queue takes since August 2025, message attributes included; older ones say 262,144.
DEFAULT_MAX_MESSAGE_BYTES: Final = 1_048_576


@attrs.frozen(kw_only=True, slots=True)
class Source:
    """One queue of SQS.

    Attributes:
        url: what requests call it.
        arn: its identity everywhere; what burial records name as their origin.
        max_message_bytes: longest body and attributes together.
        max_receives: after so many receives AWS moves a message to *dead_letter_arn*; `None` for never.
        content_dedup: whether the queue makes deduplication ids of bodies.
        denied: why its attributes could not be read; they are AWS's defaults then.
    """

    name: str
    url: str
    arn: str
    fifo: bool = False
    max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES
    max_receives: int | None = None
    dead_letter_arn: str | None = None
    content_dedup: bool = False
    denied: PermissionDenied | None = None


async def find(client: Client, address: Address) -> Source:
    """The queue at *address*.

    A caller that may send but not read attributes gets a source with AWS's defaults; see `Source.denied`.

    Raises:
        QueueNotFound: there is none.
        PermissionDenied: its URL may not be asked for.
        Unavailable: AWS does not answer.
    """
    try:
        url = address.url or await _ask_for_url(client, address)
        attributes = await read_attributes(client, name=address.name, url=url)
    except QueueNotFound as error:
        raise QueueNotFound(_missing(client, address)) from error
    except PermissionDenied as error:
        if address.url is None and "GetQueueUrl" in str(error):
            raise
        return Source(
            name=address.name, url=url, arn=_guessed_arn(client, address, url), fifo=address.fifo, denied=error
        )
    return _source(address, url, attributes)


async def _ask_for_url(client: Client, address: Address) -> str:
    owner = {"QueueOwnerAWSAccountId": address.account} if address.account else {}
    answer = await client.call("GetQueueUrl", f"queue {address.name!r}", {"QueueName": address.name, **owner})
    return _told(answer, "QueueUrl", address.name)


def _told(answer: Mapping[str, Any], name: str, queue: str) -> str:
    """A part of an answer that AWS never leaves out; something in between may have answered instead."""
    value = answer.get(name)
    if not isinstance(value, str):
        raise Unavailable(f"queue {queue!r}: the answer lacks its {name}")
    return value


async def read_attributes(client: Client, *, name: str, url: str) -> Mapping[str, str]:
    """Every attribute of a queue, as AWS tells them."""
    wanted = {"QueueUrl": url, "AttributeNames": ["All"]}
    answer = await client.call("GetQueueAttributes", f"queue {name!r}", wanted)
    attributes: Mapping[str, str] = answer.get("Attributes") or {}
    return attributes


def _missing(client: Client, address: Address) -> str:
    whose = f"account {address.account}" if address.account else "the account of these credentials"
    return (
        f"there is no queue {address.name!r} in {address.region or client.region} for {whose} ({client.url});"
        " create it with `pulpo queue create`, or correct the name, region= or account="
    )


def _guessed_arn(client: Client, address: Address, url: str) -> str:
    account = address.account or parse_address(url).account or ""
    return f"arn:aws:sqs:{address.region or client.region}:{account}:{address.name}"


def _source(address: Address, url: str, attributes: Mapping[str, str]) -> Source:
    redrive = _redrive_policy(address.name, attributes)
    receives = redrive.get("maxReceiveCount")
    return Source(
        name=address.name,
        url=url,
        arn=_told(attributes, "QueueArn", address.name),
        fifo=address.fifo,
        max_message_bytes=int(attributes.get("MaximumMessageSize", DEFAULT_MAX_MESSAGE_BYTES)),
        max_receives=int(receives) if receives else None,
        dead_letter_arn=redrive.get("deadLetterTargetArn"),
        content_dedup=attributes.get("ContentBasedDeduplication") == "true",
    )


def _redrive_policy(name: str, attributes: Mapping[str, str]) -> Mapping[str, Any]:
    try:
        policy = json.loads(attributes.get("RedrivePolicy") or "{}")
    except ValueError as error:
        raise ConfigurationError(f"queue {name!r}: its redrive policy is not JSON") from error
    return policy if isinstance(policy, dict) else {}

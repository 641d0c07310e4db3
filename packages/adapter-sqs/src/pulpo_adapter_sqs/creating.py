"""Creating queues, which happens only when somebody asks for it: `pulpo queue create`.

==============  ===============  ==================================================================
option          unless given     meaning
==============  ===============  ==================================================================
dlq             <name>-buried    the queue to bury in, created as well; ``off`` for none
max_receives    20               receives before SQS itself moves a message there, without a reason
visibility      30s              how long a consumer that does not say so holds a message
retention       4d               how long a message is kept at all, up to 14 days
content_dedup   off              FIFO: make deduplication ids of bodies
encryption      as AWS does      ``sqs`` for keys of SQS, else the id of a KMS key
==============  ===============  ==================================================================

What is buried is kept for 14 days, the most that SQS allows: it is to be looked at by people.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from pulpo_core import ConfigurationError, PermissionDenied, QueueNotFound, duration, switch, whole_number

from .address import Address, buried_name, parse_address
from .client import Client
from .source import read_attributes

#: The attempts of the default policy, and as many again for deliveries that were only handed back.
DEFAULT_MAX_RECEIVES: Final = 20

_LONGEST_RETENTION: Final = timedelta(days=14)

#: What SQS calls it when a queue of that name has other attributes.
_IS_THERE: Final = ("QueueNameExists", "QueueAlreadyExists")


def _seconds(lowest: timedelta, highest: timedelta) -> Callable[[str], str]:
    def read(text: str) -> str:
        span = duration(text)
        if not lowest <= span <= highest:
            raise ValueError(f"{text!r} is not from {lowest} to {highest}")
        return str(int(span.total_seconds()))

    return read


def _target(text: str) -> Address | None:
    return None if text == "off" else parse_address(text)


#: Options and their readers.
OPTIONS: Final[Mapping[str, Callable[[str], Any]]] = {
    "dlq": _target,
    "max_receives": whole_number(1, 1000),
    "visibility": _seconds(timedelta(), timedelta(hours=12)),
    "retention": _seconds(timedelta(minutes=1), _LONGEST_RETENTION),
    "content_dedup": switch,
    "encryption": str,
}


def read_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """*options* as values; those that are `None` were not given.

    Raises:
        ConfigurationError: one is not known, or its value is not accepted.
    """
    read = {}
    for name, value in options.items():
        if name not in OPTIONS:
            raise ConfigurationError(f"unknown option {name!r} of a queue; accepted: {', '.join(sorted(OPTIONS))}")
        if value is None:
            continue
        try:
            read[name] = OPTIONS[name](_as_text(value))
        except ValueError as error:
            raise ConfigurationError(f"option {name!r}: {error}") from error
    return read


def _as_text(value: object) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():f}"
    return str(value).lower() if isinstance(value, bool) else str(value)


async def create(client: Client, addresses: Sequence[Address], dlq: Address | None, options: Mapping[str, Any]) -> str:
    """Create the queues at *addresses*, each with a queue to bury in; one line that says what was done.

    Raises:
        ConfigurationError: an option is not known, or a queue exists and is different.
    """
    read = read_options(options)
    return "; ".join([await _create_one(client, address, dlq, read) for address in addresses])


async def _create_one(client: Client, address: Address, dlq: Address | None, read: Mapping[str, Any]) -> str:
    attributes = _attributes(address, read)
    target = read.get("dlq", dlq or Address(name=buried_name(address.name)))
    said = f"queue {address.name!r}"
    if target is not None:
        receives = read.get("max_receives", DEFAULT_MAX_RECEIVES)
        arn = await _create_target(client, address, target, read)
        attributes["RedrivePolicy"] = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": receives})
        said += f" with dead-letter queue {target.name!r} after {receives} receives"
    was_there = await _is_there(client, address.name)
    try:
        await _create_queue(client, address.name, attributes)
    except ConfigurationError as error:
        raise _explained(error, address, target) from error
    return f"{said} was there already" if was_there else f"created {said}"


async def _is_there(client: Client, name: str) -> bool:
    """Whether the queue exists, as far as whoever creates queues may know."""
    try:
        await client.call("GetQueueUrl", f"queue {name!r}", {"QueueName": name})
    except (QueueNotFound, PermissionDenied):
        return False
    return True


def _explained(error: ConfigurationError, address: Address, target: Address | None) -> ConfigurationError:
    if not any(code in str(error) for code in _IS_THERE):
        return error
    beside = f"; {target.name!r}, to bury in, is there now" if target is not None else ""
    return ConfigurationError(
        f"queue {address.name!r} is there already with other settings, and was left as it is{beside} ({error})"
    )


def _attributes(address: Address, read: Mapping[str, Any]) -> dict[str, str]:
    attributes = {"FifoQueue": "true"} if address.fifo else {}
    if read.get("content_dedup"):
        if not address.fifo:
            raise ConfigurationError(
                f"option 'content_dedup': {address.name!r} is not a FIFO queue; its name would end in .fifo"
            )
        attributes["ContentBasedDeduplication"] = "true"
    if "visibility" in read:
        attributes["VisibilityTimeout"] = read["visibility"]
    if "retention" in read:
        attributes["MessageRetentionPeriod"] = read["retention"]
    return attributes | _encryption(read)


def _encryption(read: Mapping[str, Any]) -> dict[str, str]:
    key = read.get("encryption")
    if not key:
        return {}
    return {"SqsManagedSseEnabled": "true"} if key == "sqs" else {"KmsMasterKeyId": key}


async def _create_target(client: Client, address: Address, target: Address, read: Mapping[str, Any]) -> str:
    if target.fifo != address.fifo:
        raise ConfigurationError(
            f"{target.name!r} cannot be the dead-letter queue of {address.name!r}: both must be FIFO queues, or neither"
        )
    attributes = {"MessageRetentionPeriod": f"{_LONGEST_RETENTION.total_seconds():.0f}"} | _encryption(read)
    url = await _create_queue(client, target.name, attributes | ({"FifoQueue": "true"} if target.fifo else {}))
    return (await read_attributes(client, name=target.name, url=url))["QueueArn"]


async def _create_queue(client: Client, name: str, attributes: Mapping[str, str]) -> str:
    answer = await client.call("CreateQueue", f"queue {name!r}", {"QueueName": name, "Attributes": attributes})
    return str(answer["QueueUrl"])

"""Which queue is meant: by name, by ARN or by URL. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

import attrs

#: Names of queues, as AWS accepts them; 80 characters with the suffix.
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo")
_ARN: Final = re.compile(r"arn:(aws[a-z-]*):sqs:([a-z0-9-]+):(\d{1,20}):(.+)")
_AWS_HOST: Final = re.compile(
    r"(?:sqs(?:-fips)?\.([a-z0-9-]+)|([a-z0-9-]+)\.queue|queue)\.(?:api\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)"
)

FIFO_SUFFIX: Final = ".fifo"
BURIED_SUFFIX: Final = "-buried"


@attrs.frozen(kw_only=True, slots=True)
class Address:
    """One queue.

    Attributes:
        account: whose queue it is; `None` for the account of the credentials.
        region: where it is; `None` when the address does not say.
        url: what SQS calls it in requests; `None` when it has to be asked for.
        endpoint: where requests go for it, when its URL is not one of AWS.
    """

    name: str
    account: str | None = None
    region: str | None = None
    url: str | None = None
    endpoint: str | None = None

    @property
    def fifo(self) -> bool:
        """Whether the queue is a FIFO queue: its name says so."""
        return self.name.endswith(FIFO_SUFFIX)


def parse_address(text: str) -> Address:
    """Read the name, the ARN or the URL of a queue.

    Raises:
        ValueError: it is none of these.
    """
    if text.startswith("arn:"):
        return _from_arn(text)
    if "://" in text:
        return _from_url(text)
    return Address(name=_checked(text))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is not the name of a queue: 1 to 80 letters, digits, '-' and '_', and .fifo to end a FIFO's"
        )
    return name


def _from_arn(text: str) -> Address:
    match = _ARN.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not the ARN of a queue: arn:aws:sqs:REGION:ACCOUNT:NAME")
    return Address(name=_checked(match[4]), account=match[3], region=match[2])


def _from_url(text: str) -> Address:
    parts = urlsplit(text)
    steps = [step for step in parts.path.split("/") if step]
    if parts.scheme not in {"http", "https"} or not parts.hostname or not steps or parts.username is not None:
        raise ValueError(f"{text!r} is not the URL of a queue: https://HOST/ACCOUNT/NAME")
    host = _AWS_HOST.fullmatch(parts.hostname)
    return Address(
        name=_checked(steps[-1]),
        account=steps[-2] if len(steps) > 1 else None,
        region=(host[1] or host[2] or "us-east-1") if host else None,
        url=text,
        endpoint=None if host else f"{parts.scheme}://{parts.netloc}",
    )


def buried_name(name: str) -> str:
    """The name of the queue that holds what was buried from *name*, unless another is configured."""
    base = name.removesuffix(FIFO_SUFFIX)
    return f"{base}{BURIED_SUFFIX}{FIFO_SUFFIX if base != name else ''}"

"""URLs that name queues: one reader for all adapters, so that all of them refuse alike.

``scheme://host:port/path?parameter=value``. A URL identifies a queue and never carries a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from .errors import InvalidURL

_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|m|h|d|)")
_CREDENTIALS: Final = re.compile(r"://[^/?#]*@")  # in a URL that is the value of a parameter
_SWITCH: Final = {
    "on": True,
    "true": True,
    "yes": True,
    "1": True,
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}


@attrs.frozen(kw_only=True, slots=True)
class QueueURL:
    """A queue URL in its parts.

    Attributes:
        text: the URL as it was given.
        netloc: everything between ``//`` and the path, unquoted; `host` and `port` are read from it.
        path: with its leading slash, unquoted; empty when there is none.
        parameters: as text; an adapter reads them with `read_parameters`.
    """

    text: str
    scheme: str
    netloc: str = ""
    host: str | None = None
    port: int | None = None
    path: str = ""
    parameters: Mapping[str, str] = attrs.field(factory=dict)


def scheme_of(url: str) -> str:
    """The scheme of *url*, in lower case.

    Raises:
        InvalidURL: it has none.
    """
    scheme, separator, _ = url.partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        raise InvalidURL(
            f"{shown(url)} is not a queue URL; expected scheme://…, for example file:///var/spool/shop.db?queue=mail"
        )
    return scheme.lower()


def shown(url: str) -> str:
    """*url* for an error text: quoted, and without the places where a secret could have been written."""
    public, _, _ = re.sub(r"//.*@", "//…@", url, flags=re.DOTALL).partition("?")
    return repr(public)


def parse_url(url: str) -> QueueURL:
    """Take *url* apart.

    Raises:
        InvalidURL: it is not a URL, has a parameter twice, a fragment, or carries a password.
    """
    scheme = scheme_of(url)
    if not _is_utf8(url):
        raise InvalidURL(f"{shown(url)}: expected text in UTF-8")
    try:
        parts = urlsplit(url)
        if parts.password is not None:
            raise InvalidURL(
                f"a {scheme} URL must not carry a password: URLs end up in logs; use the environment instead"
            )
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidURL(
            f"{shown(url)} is not a URL; expected {scheme}://host:port/path?name=value, with a port from 0 to 65535"
        ) from None  # the cause may quote a part of a password
    if "#" in url:
        raise InvalidURL(f"{shown(url)}: a '#' has no meaning here; write it as %23")
    return QueueURL(
        text=url,
        scheme=scheme,
        netloc=unquote(parts.netloc),
        host=host,
        port=port,
        path=unquote(parts.path),
        parameters=_parameters(url, parts.query),
    )


def _is_utf8(url: str) -> bool:
    """Whether it came as text: Python keeps other bytes of a command line as lone surrogates."""
    try:
        url.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parameters(url: str, query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    for name, value in pairs:
        if _CREDENTIALS.search(value):
            raise InvalidURL(f"{shown(url)}: parameter {name!r} must not carry a user or password: URLs end up in logs")
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise InvalidURL(f"{shown(url)}: parameter {name!r} is given more than once")
    return dict(pairs)


def read_parameters(url: QueueURL, accepted: Mapping[str, Callable[[str], Any]]) -> dict[str, Any]:
    """The parameters of *url*, each read by the function *accepted* names for it.

    Raises:
        InvalidURL: a parameter is not accepted, or its reader raises `ValueError`.
    """
    read: dict[str, Any] = {}
    for name, text in url.parameters.items():
        if name not in accepted:
            known = ", ".join(sorted(accepted)) or "none"
            raise InvalidURL(f"{shown(url.text)}: unknown parameter {name!r}; accepted: {known}")
        try:
            read[name] = accepted[name](text)
        except ValueError as error:
            raise InvalidURL(f"{shown(url.text)}: parameter {name!r}: {error}") from error
    return read


def duration(text: str) -> timedelta:
    """Read ``500ms``, ``30s``, ``5m``, ``12h``, ``7d``; a bare number is seconds.

    Raises:
        ValueError: it is none of these.
    """
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is not a duration; write 500ms, 30s, 5m, 12h or 7d")
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError as error:
        raise ValueError(f"{text!r} is longer than a calendar holds") from error


def switch(text: str) -> bool:
    """Read ``on`` or ``off`` (also true, false, yes, no, 1, 0).

    Raises:
        ValueError: it is none of these.
    """
    try:
        return _SWITCH[text.strip().lower()]
    except KeyError:
        raise ValueError(f"{text!r} is neither on nor off") from None


def one_of(*words: str) -> Callable[[str], str]:
    """A reader that accepts *words* alone."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is not one of {', '.join(words)}")
        return text

    return read


def whole_number(lowest: int = 0, highest: int | None = None) -> Callable[[str], int]:
    """A reader that accepts whole numbers from *lowest* to *highest*."""

    def read(text: str) -> int:
        limit = f" to {highest}" if highest is not None else ""
        if not re.fullmatch(r"\d{1,18}", text) or int(text) < lowest or (highest is not None and int(text) > highest):
            raise ValueError(f"{text!r} is not a whole number from {lowest}{limit}")
        return int(text)

    return read

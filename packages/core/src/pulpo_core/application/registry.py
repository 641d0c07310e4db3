"""From a URL to an open queue: adapters are found by entry point, and only the one in use is imported.

The registry is a convenience: whatever opens a queue also takes an adapter directly.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

import attrs

from pulpo_core.domain.errors import ConfigurationError, UnknownScheme
from pulpo_core.domain.url import scheme_of
from pulpo_core.ports.adapter import Adapter, Queue
from pulpo_core.ports.clock import Clock, Jitter

from .clock import SystemClock, SystemJitter

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "pulpo.adapters"

#: Which distribution to install for a scheme that none of the installed ones claims.
DISTRIBUTIONS = {
    "memory": "pulpo-core",
    "file": "pulpo-adapter-file",
    "beanstalkd": "pulpo-adapter-beanstalkd",
    "sqs": "pulpo-adapter-sqs",
}


@attrs.frozen(kw_only=True, slots=True)
class Installed:
    """An adapter as its distribution's metadata announces it; nothing of it is imported yet."""

    scheme: str
    distribution: str
    version: str
    entry_point: EntryPoint = attrs.field(repr=False, eq=False)

    def load(self) -> Adapter:
        """Import it and make one.

        Raises:
            ConfigurationError: it cannot be imported, or cannot be made.
        """
        try:
            adapter: Adapter = self.entry_point.load()()
        except Exception as error:  # what importing somebody's module and calling somebody's factory may raise
            raise ConfigurationError(
                f"adapter {self.scheme!r} of {self.distribution} is broken: {type(error).__name__}: {error}"
            ) from error
        return adapter


@cache
def installed_adapters() -> tuple[Installed, ...]:
    """Every adapter that an installed distribution announces, by scheme."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - costs as much as all of core, and tests need it seldom

    found = [
        Installed(
            scheme=point.name,
            distribution=point.dist.name if point.dist else "unknown",
            version=point.dist.version if point.dist else "unknown",
            entry_point=point,
        )
        for point in entry_points(group=GROUP)
    ]
    return tuple(sorted(found, key=lambda each: (each.scheme, each.distribution)))


def choose(scheme: str, adapters: tuple[Installed, ...]) -> Installed:
    """The one of *adapters* that answers to *scheme*.

    Raises:
        UnknownScheme: none does.
        ConfigurationError: more than one does.
    """
    claims = [each for each in adapters if each.scheme == scheme]
    if len(claims) > 1:
        names = " and ".join(each.distribution for each in claims)
        raise ConfigurationError(f"adapter {scheme!r} is claimed by {names}; uninstall all but one")
    if not claims:
        have = ", ".join(each.scheme for each in adapters) or "none"
        raise UnknownScheme(f"no adapter for {scheme!r} is installed (installed: {have}){_hint(scheme, adapters)}")
    return claims[0]


def _hint(scheme: str, adapters: tuple[Installed, ...]) -> str:
    if scheme in DISTRIBUTIONS:
        return f"; pip install {DISTRIBUTIONS[scheme]}"
    close = get_close_matches(scheme, [each.scheme for each in adapters] + list(DISTRIBUTIONS), n=1, cutoff=0.75)
    return f"; did you mean {close[0]!r}?" if close else ""


@cache
def _adapter_of(scheme: str) -> Adapter:
    return choose(scheme, installed_adapters()).load()


def adapter_for(url: str) -> Adapter:
    """The adapter that answers to the scheme of *url*; the same one every time.

    Raises:
        UnknownScheme: none is installed; the text names the distribution to install.
        ConfigurationError: two are, or it is broken.
    """
    return _adapter_of(scheme_of(url))


def open_queue(
    url: str, *, adapter: Adapter | None = None, clock: Clock | None = None, jitter: Jitter | None = None
) -> AbstractAsyncContextManager[Queue]:
    """The queue that *url* names, open inside the context; see `Adapter.open`."""
    adapter = adapter or adapter_for(url)
    return adapter.open(url, clock=clock or SystemClock(), jitter=jitter or SystemJitter())

"""What `pulpo run` says about itself on stderr: in words, or as records of its log."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Protocol

from pulpo_core import Dispatcher, Report, Route, as_table

from . import __version__, errors
from .ledgers import bills, document, print_ledgers
from .output import complain, note
from .session import session
from .units import plural, span

log = logging.getLogger("pulpo.run")

_IDS_SHOWN = 10


class Teller(Protocol):
    """Tells a person, or a machine, about a run."""

    def start(self, dispatcher: Dispatcher) -> None:
        """It is about to begin."""

    def warn(self, text: str) -> None:
        """Something went wrong, and whoever reads this should know."""

    def end(self, report: Report, elapsed: timedelta) -> None:
        """It is over."""


class PlainTeller:
    """Tells a person."""

    def start(self, dispatcher: Dispatcher) -> None:
        """What runs, and how to stop it."""
        for route in dispatcher.routes:
            note(f"{_line(route)}; Ctrl-C drains and stops")

    def warn(self, text: str) -> None:
        """As the command complains about anything."""
        complain(text)

    def end(self, report: Report, elapsed: timedelta) -> None:
        """The ledger, and what a person should look at."""
        if report.ledgers and not session().quiet:
            print_ledgers(report.ledgers)
            note(f"{plural(report.ledger.received, 'delivery', 'deliveries')} in {span(elapsed)}")
            for bill in bills(report):
                note(bill)
        for complaint in _complaints(report):
            self.warn(complaint)
        if report.error is not None:
            errors.report(report.error, session())


class JsonTeller:
    """Tells a machine."""

    def start(self, dispatcher: Dispatcher) -> None:
        """One record for each route."""
        for route in dispatcher.routes:
            log.info("%s", _line(route), extra={"pulpo_route": route.name, "pulpo_version": __version__})

    def warn(self, text: str) -> None:
        """One record."""
        log.warning("%s", text)

    def end(self, report: Report, elapsed: timedelta) -> None:
        """One record with the whole ledger."""
        for complaint in _complaints(report):
            self.warn(complaint)
        log.info("ended", extra={f"pulpo_{name}": value for name, value in document(report, elapsed).items()})
        if report.error is not None:
            log.error("%s", errors.failure_of(report.error).line)


def _line(route: Route) -> str:
    handlers = plural(len(list(as_table(route.handlers))), "handler")
    return f"{route.name}: {handlers}, {route.concurrency} at once"


def _complaints(report: Report) -> list[str]:
    lines = []
    if report.unsettled:
        ids = ", ".join(report.unsettled[:_IDS_SHOWN]) + (", …" if len(report.unsettled) > _IDS_SHOWN else "")
        lines.append(f"{plural(len(report.unsettled), 'message')} not settled, to be handed out again: {ids}")
    if report.abandoned:
        lines.append(f"{plural(report.abandoned, 'handler')} still running when time was up")
    if not report.ledger.balanced:
        lines.append(f"the ledger does not balance: {report.ledger.as_dict()}")
    return lines

"""One examination from the settings to the brokers: it goes on as far as what it finds allows."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import attrs

from pulpo_cli.application import Application, Given
from pulpo_core import (
    Adapter,
    Capabilities,
    Clock,
    Diagnosis,
    Examiner,
    Level,
    PulpoError,
    Route,
    SystemClock,
    Usage,
    adapter_for,
    display_name,
    open_queue,
)
from pulpo_core.config import Loaded, Settings

from .checks import CHECKS, Opened, check_clock, diagnosis_of

#: What an examination is about when it is about no single route.
PROCESS: Final = "process"


@attrs.frozen
class Finding:
    """A diagnosis and what it is about: the process, or a route or queue by its name."""

    subject: str
    diagnosis: Diagnosis


@attrs.define
class Examination:
    """What was found so far."""

    findings: list[Finding] = attrs.field(factory=list)
    clock: Clock = attrs.field(factory=SystemClock)

    def worst(self) -> Level:
        """The level of the worst finding."""
        levels = {finding.diagnosis.level for finding in self.findings}
        return next((level for level in (Level.ERROR, Level.WARNING) if level in levels), Level.OK)

    def note(self, subject: str, *diagnoses: Diagnosis) -> None:
        """Add what was found about *subject*."""
        self.findings += [Finding(subject, diagnosis) for diagnosis in diagnoses]

    async def application(self, given: Given) -> None:
        """Look at settings, application and every route of it."""
        self.host()
        loaded = self._settings(given)
        if loaded is None:
            return
        if alone := _queue_alone(given, loaded.settings):
            await self._queue(alone)
        elif application := self._application(given, loaded):
            for route in application.routes:
                await self._route(route, application.dispatcher.grace)

    async def _queue(self, url: str) -> None:
        """Look at a queue of which nobody knows what it is for."""
        name = display_name(url)
        try:
            adapter = adapter_for(url)
            async with open_queue(url, clock=self.clock) as opened:
                self._reached(name, opened.capabilities)
        except PulpoError as error:
            self.note(name, diagnosis_of(error, "queue"))
        else:
            await self._broker(name, url, adapter, Usage())

    def host(self) -> None:
        """Look at what is the same for all."""
        python = Diagnosis(check="Python", level=Level.OK, found=platform.python_version())
        self.note(PROCESS, python, check_clock(self.clock.now()))

    def _settings(self, given: Given) -> Loaded | None:
        try:
            loaded = given.loaded()
        except PulpoError as error:
            self.note(PROCESS, *_each_line(error))
            return None
        files = ", ".join(str(path) for path in loaded.files) or "no file"
        self.note(PROCESS, Diagnosis(check="settings", level=Level.OK, found=files))
        warnings = [Diagnosis(check="settings", level=Level.WARNING, found=line) for line in loaded.warnings]
        self.note(PROCESS, *warnings)
        return loaded

    def _application(self, given: Given, loaded: Loaded) -> Application | None:
        try:
            application = given.load(loaded.settings)
        except PulpoError as error:
            self.note(PROCESS, diagnosis_of(error, "application"))
            return None
        names = ", ".join(route.name for route in application.routes)
        self.note(PROCESS, Diagnosis(check="application", level=Level.OK, found=f"routes {names}"))
        return application

    async def _route(self, route: Route, grace: timedelta) -> None:
        try:
            adapter = route.adapter or adapter_for(route.queue)
            async with open_queue(route.queue, adapter=adapter, clock=self.clock) as queue:
                opened = Opened(route=route, capabilities=queue.capabilities, grace=grace)
                self._reached(route.name, queue.capabilities)
        except PulpoError as error:
            self.note(route.name, diagnosis_of(error, "queue"))
            return
        self.note(route.name, *[diagnosis for check in CHECKS for diagnosis in check(opened)])
        await self._broker(route.name, route.queue, adapter, opened.usage)

    def _reached(self, subject: str, capabilities: Capabilities) -> None:
        self.note(subject, Diagnosis(check="queue", level=Level.OK, found="can be opened"))
        durability = capabilities.durability
        if durability.startswith("nothing: messages live"):
            self.note(subject, Diagnosis(check="durability", level=Level.WARNING, found=durability))

    async def _broker(self, subject: str, url: str, adapter: Adapter, usage: Usage) -> None:
        if not isinstance(adapter, Examiner):
            return
        try:
            self.note(subject, *await adapter.examine(url, usage, clock=self.clock))
        except PulpoError as error:
            self.note(subject, diagnosis_of(error, "broker"))


def _queue_alone(given: Given, settings: Settings) -> str | None:
    """The queue, where it is all that is given."""
    has_handlers = given.app or given.handlers or settings.app or (settings.routes and not given.queue)
    return None if has_handlers else given.queue or settings.queue


def _each_line(error: PulpoError) -> Sequence[Diagnosis]:
    """Wrong settings have a line for each that is wrong."""
    lines = getattr(error, "lines", ()) or (str(error),)
    return [Diagnosis(check="settings", level=Level.ERROR, found=line, advice="correct it there") for line in lines]

"""Ctrl-C between two steps instead of in the middle of one."""

import os
import signal
from itertools import count

import pytest

from pulpo_cli.interrupts import Interrupts
from pulpo_core import SystemClock


def press(number: signal.Signals = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


def presses(interrupts: Interrupts, *numbers: signal.Signals) -> list[str]:
    """What is reached when signals come during a step."""
    reached = []
    try:
        with interrupts.step():
            for number in numbers:
                press(number)
            reached.append("end of the step")
        reached.append("next step")
    except KeyboardInterrupt:
        reached.append("interrupt")
    return reached


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_step_is_finished_before_the_signal_comes(number: signal.Signals) -> None:
    with Interrupts() as interrupts:
        assert presses(interrupts, number) == ["end of the step", "interrupt"]


class Slow(SystemClock):
    """Seconds pass from one look at it to the next."""

    def __init__(self) -> None:
        self._seconds = count()

    def monotonic(self) -> float:
        return next(self._seconds)


def test_a_second_one_does_not_wait() -> None:
    with Interrupts(Slow()) as interrupts:
        assert presses(interrupts, signal.SIGINT, signal.SIGINT) == ["interrupt"]


def test_one_that_is_sent_twice_in_no_time_is_one() -> None:
    """As `timeout` does, to the process and to its group."""
    with Interrupts() as interrupts:
        assert presses(interrupts, signal.SIGTERM, signal.SIGTERM) == ["end of the step", "interrupt"]


def test_without_a_signal_one_step_follows_the_other() -> None:
    with Interrupts() as interrupts:
        assert presses(interrupts) == ["end of the step", "next step"]


def test_outside_of_a_step_it_comes_at_once() -> None:
    with Interrupts(), pytest.raises(KeyboardInterrupt):
        press()


def test_the_handlers_from_before_are_put_back() -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    with Interrupts():
        pass

    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before

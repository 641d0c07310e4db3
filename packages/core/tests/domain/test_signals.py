"""Exceptions by which a handler says what is to become of its message."""

import math
from datetime import timedelta

import pytest

from pulpo_core.domain.errors import ConfigurationError, PulpoError
from pulpo_core.domain.settlement import Bury, Retry
from pulpo_core.domain.signals import (
    BuryMessage,
    DeleteMessage,
    IgnoreMessage,
    KeepMessage,
    RejectMessage,
    RetryMessage,
    Signal,
)


@pytest.mark.parametrize(
    ("signal", "settlement", "text"),
    [
        pytest.param(RetryMessage(), Retry(), "", id="a retry leaves its delay to the policy"),
        pytest.param(RetryMessage(delay=30), Retry(30), "", id="unless it names one"),
        pytest.param(RetryMessage(delay=timedelta(hours=1)), Retry(3600), "", id="in seconds or as a span"),
        pytest.param(RetryMessage("no rate yet"), Retry(error="no rate yet"), "no rate yet", id="and may say why"),
        pytest.param(BuryMessage(), Bury("asked"), "asked", id="a burial is asked for"),
        pytest.param(BuryMessage("spam"), Bury("spam"), "spam", id="in words of its own"),
        pytest.param(KeepMessage(), Retry(), "", id="what is kept is retried with the policy's backoff"),
        pytest.param(RejectMessage(), None, "", id="what is rejected has no settlement to ask for"),
        pytest.param(Signal(), None, "", id="nor has a signal that says nothing more"),
    ],
)
def test_a_signal_asks_for_a_settlement(signal, settlement, text):
    assert signal.settlement == settlement
    assert str(signal) == text


def test_loafers_words_mean_the_same():
    assert DeleteMessage is RejectMessage
    assert IgnoreMessage is KeepMessage


@pytest.mark.parametrize("signal", [RetryMessage, BuryMessage, RejectMessage, KeepMessage])
def test_a_signal_is_no_error_of_pulpos(signal):
    assert issubclass(signal, Signal)
    assert not issubclass(signal, PulpoError)


def test_a_delay_that_nobody_can_have_meant_is_refused_where_it_is_written():
    with pytest.raises(ConfigurationError, match=r"^delay: "):
        RetryMessage(delay=math.nan)

"""Ids on the command line."""

import pytest

from pulpo_core import Bury, Message

from .actors import bury, publish
from .conftest import Pulpo


def test_an_id_that_is_given_twice_is_deleted_once(pulpo: Pulpo, url: str) -> None:
    [id_] = publish(url, Message())

    outcome = pulpo("delete", id_, id_, "--queue", url, "--yes")

    assert (outcome.status, outcome.lines, outcome.err) == (0, [id_], "")


@pytest.mark.parametrize(("verb", "told"), [("delete", "{id}"), ("kick", "kicked 1 message")])
def test_a_burial_that_is_named_twice_is_one(pulpo: Pulpo, url: str, verb: str, told: str) -> None:
    publish(url, Message())
    [id_] = bury(url, Bury("asked"))

    outcome = pulpo("buried", verb, id_, id_, "--queue", url, "--yes")

    assert (outcome.status, outcome.lines, outcome.err) == (0, [told.format(id=id_)], "")

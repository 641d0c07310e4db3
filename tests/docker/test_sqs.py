"""The contract of a queue, on SQS in a container, in real time, as `pulpo contract` tries it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pulpo_adapter_sqs import SqsAdapter
from pulpo_core.testing import CLAUSES, Finding, LiveHarness, try_clauses

if TYPE_CHECKING:
    from .containers import SqsContainer

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def server() -> Iterator[SqsContainer]:
    """The server in its container."""
    from .containers import SqsContainer

    with SqsContainer() as container:
        yield container


@pytest.mark.parametrize("suffix", [pytest.param("", id="standard"), pytest.param(".fifo", id="FIFO")])
def test_every_clause_is_kept(server: SqsContainer, aws_credentials: None, suffix: str) -> None:
    harness = LiveHarness(f"sqs://orders{suffix}?endpoint_url={server.url}", SqsAdapter())

    verdicts = list(try_clauses(harness, CLAUSES, beside=8))

    found = {finding: [each for each in verdicts if each.finding is finding] for finding in Finding}
    print(", ".join(f"{len(found[finding])} {finding}" for finding in Finding))
    assert not found[Finding.BROKEN], "\n".join(f"{each.clause!r}: {each.text}" for each in found[Finding.BROKEN])
    assert len(found[Finding.KEPT]) >= 90
    assert not harness.left

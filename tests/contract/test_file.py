"""The contract of a queue, on the file queue: by its own clock, and in several processes' way."""

import asyncio
import sqlite3
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from pulpo_adapter_file import FileAdapter
from pulpo_core.testing import AdapterContract


class TestFile(AdapterContract):
    """One file, one queue."""

    parameters = "&max_body=100000"

    # No broker that could be cut off, stopped or restarted; no groups; all else is declared, so not refused.
    may_skip = frozenset(
        "C033 C045 C069 C082 C113 C114 C115 C116 C117 C119 C160 C161 C162 C163 C171 C172 C174 C175".split()  # noqa: SIM905 - ids
    )

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def adapter(self) -> FileAdapter:
        return FileAdapter()

    def url(self) -> str:
        return f"file://{self.folder}/{uuid4().hex}.db?queue=orders{self.parameters}"

    def missing_url(self) -> str:
        return f"file://{self.folder}/no-such-directory/shop.db"

    async def prepare(self, url: str) -> None:
        await self.adapter().create(url, {})

    async def publish_raw(self, url: str, body: bytes) -> None:
        """As a program in another language would: with the tables that are documented."""
        await asyncio.to_thread(insert, url, body)


def insert(url: str, body: bytes) -> None:
    parts = urlsplit(url)
    connection = sqlite3.connect(parts.path, isolation_level=None)
    connection.execute(
        "INSERT INTO message (id, queue, state, priority, published, uid, body) "
        "SELECT next_id.id, queue.id, 0, 65536, 0, '', ? FROM next_id, queue WHERE queue.name = ?",
        (body, parse_qs(parts.query)["queue"][0]),
    )
    connection.close()


class TestManyQueuesInOneFile(TestFile):
    """All queues of the contract in one file, which notices none of the others."""

    parameters = "&durability=full&archive=1d&max_body=200000"

    def url(self) -> str:
        return f"file://{self.folder}/shop.db?queue={uuid4().hex}{self.parameters}"


def test_urls_of_the_contract_name_different_queues() -> None:
    contract = TestManyQueuesInOneFile()
    contract.folder = Path("/tmp")
    names = {parse_qs(urlsplit(contract.url()).query)["queue"][0] for _ in range(2)}

    assert len(names) == 2

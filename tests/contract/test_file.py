"""The contract of a queue, on the file queue: by its own clock, and in several processes' way."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from pulpo_adapter_file import FileAdapter
from pulpo_core.testing import AdapterContract


class TestFile(AdapterContract):
    """One file, one queue."""

    parameters = ""

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


class TestManyQueuesInOneFile(TestFile):
    """All queues of the contract in one file, which notices none of the others."""

    parameters = "&durability=full&archive=1d"

    def url(self) -> str:
        return f"file://{self.folder}/shop.db?queue={uuid4().hex}{self.parameters}"


def test_urls_of_the_contract_name_different_queues() -> None:
    contract = TestManyQueuesInOneFile()
    contract.folder = Path("/tmp")
    names = {parse_qs(urlsplit(contract.url()).query)["queue"][0] for _ in range(2)}

    assert len(names) == 2

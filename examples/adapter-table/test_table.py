from uuid import uuid4

import pytest
from pulpo_adapter_table import TableAdapter

from pulpo_core.testing import AdapterContract


class TestTable(AdapterContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path

    def adapter(self):
        return TableAdapter()

    def url(self):
        return f"table://{self.folder}/{uuid4()}.db"

    def missing_url(self):
        return f"table://{self.folder}/missing.db"

    async def prepare(self, url):
        await self.adapter().create(url, {})

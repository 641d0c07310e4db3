"""An examination, on real servers: it tells what is there, changes nothing and receives nothing."""

import time
from pathlib import Path

import pytest

from pulpo_core import Envelope, Examiner, Level, SystemClock, Usage, adapter_for, open_queue

KINDS = ["file", "beanstalkd", "sqs"]


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a queue that nobody else uses."""
    name = f"examined-{time.time_ns()}"
    if request.param == "file":
        return f"file://{tmp_path}/{name}.db"
    if request.param == "beanstalkd":
        url: str = request.getfixturevalue("beanstalkd").url(name)
        return url
    request.getfixturevalue("aws_credentials")
    return f"sqs://{name}?region=eu-west-1&wait=0&endpoint_url={request.getfixturevalue('moto_server').url}"


async def test_an_examination_changes_nothing_and_receives_nothing(url: str) -> None:
    adapter = adapter_for(url)
    assert isinstance(adapter, Examiner)
    if url.startswith("sqs"):
        await adapter.create(url, {})  # type: ignore[attr-defined] # it is an Adapter as well
    async with open_queue(url) as queue:
        await queue.publish([Envelope(body=b"{}")])
        before = await queue.stats()

        found = await adapter.examine(url, Usage(max_attempts=10), clock=SystemClock())

        after = await queue.stats()
    assert (before.ready, before.reserved, before.buried) == (after.ready, after.reserved, after.buried) == (1, 0, 0)
    assert {each.level for each in found} <= {Level.OK, Level.WARNING}
    assert all(each.found and (each.advice or each.level is Level.OK) for each in found)


async def test_every_kind_of_queue_has_something_to_say_about_what_it_is_trusted_with(url: str) -> None:
    adapter = adapter_for(url)
    if url.startswith("sqs"):
        await adapter.create(url, {})
    assert isinstance(adapter, Examiner)

    checks = {each.check for each in await adapter.examine(url, Usage(), clock=SystemClock())}

    assert checks & {"durability", "retention"}

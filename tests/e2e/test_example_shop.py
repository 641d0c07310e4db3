"""The example application as its README says, on every kind of queue; and its own tests."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Shop, wait_until
from .test_everywhere import AWS, KINDS, url_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "shop"


@pytest.fixture
def example(shop: Shop) -> Shop:
    """A copy of it, where it may write."""
    shutil.copytree(EXAMPLE, shop.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    return shop


def order(shop: Shop, url: str, *arguments: str, number: int = 1) -> None:
    """Order something, as its producer does."""
    done = subprocess.run(
        [sys.executable, "-m", "shop.order", *arguments],
        cwd=shop.folder,
        env=shop._environment({"PULPO_QUEUE": url, "SHOP_ORDER": str(number), **AWS}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"order {number} is on its way\n", "")


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_does_its_work_on_every_queue_by_changing_one_url(
    example: Shop, kind: str, request: pytest.FixtureRequest
) -> None:
    url = url_of(kind, example, request)
    order(example, url, "ada@example.org", "lamp", "desk")

    with example.start("run", PULPO_QUEUE=url, **AWS) as worker:
        wait_until(lambda: outbox(example), "the invoice is sent")
        worker.process.terminate()
        ended = worker.end()

    assert ended.status == 0, ended.err
    assert outbox(example) == "ada@example.org: order 1 comes to 290\n"


def outbox(example: Shop) -> str:
    """The mail it has sent."""
    path = example.folder / "outbox.txt"
    return path.read_text() if path.exists() else ""


def test_what_the_example_cannot_do_is_tried_again_or_buried(example: Shop) -> None:
    order(example, example.url, "bob@example.org", "vase", number=2)  # out of stock
    order(example, example.url, "nobody", "lamp", number=3)

    outcome = example.pulpo("run", "--burst", "--json")

    counted = outcome.json["routes"]["shop"]
    assert (counted["retried"], counted["buried"]) == (1, 1)
    assert example.pulpo("buried", "list", "--json").json["records"][0]["reason"] == "no-address"


def test_its_container_may_take_its_settings_from_anywhere(example: Shop) -> None:
    [route] = example.pulpo("routes", "--json").json

    assert (route["name"], route["queue"], route["concurrency"]) == ("shop", example.url, 20)
    assert route["policy"]["fatal"] == ["ValueError"]


def test_its_own_tests_pass(example: Shop) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=example.folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout

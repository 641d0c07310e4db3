"""`pulpo publish-sns`: publish a notification to a topic of SNS."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from pulpo_cli.frame import Command
from pulpo_cli.jobs import on_the_command_line
from pulpo_cli.options import json_option
from pulpo_cli.output import say, say_json
from pulpo_cli.raw import aws_options, raw_body, raw_options, read_attributes
from pulpo_core import Unsupported

if TYPE_CHECKING:
    from types import ModuleType

_ADAPTER: Final = "pulpo_adapter_sqs"


@click.command("publish-sns", cls=Command)
@click.option("--topic", metavar="NAME|ARN", required=True, help="The topic, by its exact name or its ARN.")
@raw_options
@click.option("--subject", metavar="TEXT", help="A line for subscribers by mail.")
@aws_options
@json_option
def publish_sns(*, topic: str, as_json: bool, region: str | None, **given: Any) -> None:
    """Publish a notification to a topic of SNS, and print its id.

    By its ARN a topic needs no look-up, and no permission to list topics. Subscriptions filter by attributes.
    A FIFO topic needs --group and --dedup-id.
    """
    adapter = _adapter()
    notification = adapter.Notification(
        content=raw_body(given),
        subject=given["subject"],
        attributes=read_attributes(given["attributes"]),
        group=given["group"],
        dedup_id=given["dedup_id"],
    )
    where = {"region": region, "endpoint_url": given["endpoint_url"], "profile": given["profile"]}
    with on_the_command_line():
        id_ = asyncio.run(_publish(adapter, topic, notification, where))
    if as_json:
        say_json({"published": 1, "failed": 0, "ids": [id_]})
    else:
        say(id_)


async def _publish(adapter: ModuleType, topic: str, notification: object, where: dict[str, str | None]) -> str:
    async with adapter.open_topic(topic, **where) as opened:
        id_: str = await opened.publish(notification)
        return id_


def _adapter() -> ModuleType:
    """The distribution that speaks with SNS: the command can do without, and loads it when it is used.

    Raises:
        Unsupported: it is not installed.
    """
    try:
        return import_module(_ADAPTER)
    except ModuleNotFoundError as error:
        if error.name != _ADAPTER:
            raise
        raise Unsupported(
            f"topics of SNS need {_ADAPTER}, which is not installed: pip install pulpo-adapter-sqs"
        ) from error

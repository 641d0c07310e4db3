"""One AWS client for the life of an open queue: every request goes through `Client.call`.

There it is counted, given a deadline, and its failure told in pulpo's words. Nothing is ever
repeated here, and the driver is told not to either: whether a request may be sent again is the
dispatcher's to decide.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import attrs

from pulpo_core import ConfigurationError, Unavailable

from .errors import from_exception

#: Requests that may be under way at once; more than all polls, settlements and publishes together use.
_MAX_CONNECTIONS: Final = 64

#: Connecting takes a round trip or two; what takes longer is not there.
_CONNECT_TIMEOUT: Final = 5.0

#: The last resort of the driver; `Client.call` gives up earlier, and says so better.
_DRIVER_TIMEOUT: Final = 120.0


#: What the driver stumbles over in an answer that is JSON, and nothing that AWS would say: a proxy's, for example.
_NONSENSE: Final = (AttributeError, LookupError, TypeError, ValueError)


@attrs.frozen(kw_only=True, slots=True)
class Endpoint:
    """Where requests go, and as whom.

    Attributes:
        region, url, profile: `None` leaves each to the environment and the AWS configuration files.
        timeout: how long an answer may take, over the time that the request itself asks to wait.
    """

    region: str | None = None
    url: str | None = None
    profile: str | None = None
    timeout: timedelta = timedelta(seconds=10)

    @property
    def encrypted(self) -> bool:
        """Whether there is a certificate to verify: without one, the authorities need not be read, which takes long."""
        return self.url is None or not self.url.startswith("http://")


@attrs.define(slots=True)
class Client:
    """Sends requests to one service of AWS.

    Attributes:
        requests: how many were sent, by the name of the operation: they are what AWS bills.
        region: the region in use.
        url: the endpoint in use.
    """

    _driver: Any
    _timeout: float
    region: str
    url: str
    requests: Counter[str] = attrs.field(factory=Counter)

    async def call(
        self, operation: str, what: str, parameters: Mapping[str, Any], *, wait: float = 0.0
    ) -> Mapping[str, Any]:
        """Send one request and return its answer.

        Args:
            operation: its name in AWS's documentation, such as ``ReceiveMessage``.
            what: what it is about (a queue, a topic), for the text of an error.
            wait: how many seconds the request itself asks the server to wait.

        Raises:
            PulpoError: it failed; `errors` says which one.
        """
        self.requests[operation] += 1
        try:
            async with asyncio.timeout(self._timeout + wait):
                answer: Mapping[str, Any] = await getattr(self._driver, _METHODS[operation])(**parameters)
                return answer
        except _failures() as error:
            raise from_exception(error, what=f"{operation} on {what}") from error
        except _NONSENSE as error:
            text = f"{operation} on {what}: the driver cannot read the answer: {type(error).__name__}: {error}"
            raise Unavailable(text, in_doubt=True) from error


_METHODS: Final[Mapping[str, str]] = {
    "ChangeMessageVisibilityBatch": "change_message_visibility_batch",
    "CreateQueue": "create_queue",
    "DeleteMessageBatch": "delete_message_batch",
    "DeleteQueue": "delete_queue",
    "GetQueueAttributes": "get_queue_attributes",
    "GetQueueUrl": "get_queue_url",
    "ListTopics": "list_topics",
    "PublishBatch": "publish_batch",
    "ReceiveMessage": "receive_message",
    "SendMessageBatch": "send_message_batch",
}


def _failures() -> tuple[type[BaseException], ...]:
    from aiohttp import ClientError as TransportError  # noqa: PLC0415 - the driver is imported when a queue is opened
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as above
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 - as above

    return BotoCoreError, ClientError, ResponseParserError, TransportError, TimeoutError, OSError


@asynccontextmanager
async def open_client(service: str, endpoint: Endpoint) -> AsyncIterator[Client]:
    """A client for *service* (``sqs``, ``sns``), open inside the context.

    Opening sends nothing, but reads the driver and its description of the service: that takes a
    moment, and is done in a thread.

    Raises:
        ConfigurationError: no region, no credentials, or a profile that is not there.
    """
    try:
        session = await asyncio.to_thread(_new_session, service, endpoint.profile)
        if await session.get_credentials() is None:
            raise _no_credentials()
        context = session.create_client(
            service,
            region_name=endpoint.region,
            endpoint_url=endpoint.url,
            verify=None if endpoint.encrypted else False,
            config=_driver_config(),
        )
        driver = await context.__aenter__()
    except _failures() as error:
        raise from_exception(error, what=f"opening {service.upper()}") from error
    except ValueError as error:
        raise ConfigurationError(f"opening {service.upper()}: {error}") from error
    try:
        yield Client(driver, endpoint.timeout.total_seconds(), driver.meta.region_name, driver.meta.endpoint_url)
    finally:
        await context.__aexit__(None, None, None)


def _no_credentials() -> BaseException:
    from botocore.exceptions import NoCredentialsError  # noqa: PLC0415 - see _failures

    return NoCredentialsError()


#: Loggers of the driver that tell whole requests and answers, bodies included, to whoever listens to DEBUG.
_TELLTALES: Final = ("botocore.endpoint", "botocore.parsers")


def _silence_telltales() -> None:
    """Keep bodies out of a log that is only turned up as a whole; a level set for one of them stays."""
    for name in _TELLTALES:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)


def _new_session(service: str, profile: str | None) -> Any:
    from aiobotocore.session import AioSession  # noqa: PLC0415 - heavy: imported when a queue is opened

    _silence_telltales()
    session = AioSession(profile=profile)
    session.register_component("data_loader", _descriptions(service, session.get_config_variable("data_path")))
    return session


@functools.cache
def _descriptions(service: str, data_path: str | None) -> Any:
    """What the driver knows of *service*, read once in a process: it is most of what opening takes."""
    from botocore.loaders import create_loader  # noqa: PLC0415 - heavy: imported when a queue is opened

    loader = create_loader(data_path)
    loader.load_service_model(service, "service-2")
    loader.load_service_model(service, "endpoint-rule-set-1")
    loader.load_data("endpoints")
    return loader


def _driver_config() -> Any:
    from aiobotocore import __version__ as aiobotocore_version  # noqa: PLC0415 - heavy: imported when a queue is opened
    from aiobotocore.config import AioConfig  # noqa: PLC0415 - as above
    from botocore import __version__ as botocore_version  # noqa: PLC0415 - as above

    # A user agent that is given is not made anew for each request, which takes an eighth of its time.
    return AioConfig(
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_DRIVER_TIMEOUT,
        max_pool_connections=_MAX_CONNECTIONS,
        parameter_validation=False,  # every parameter is made by this package, and AWS checks them anyway
        retries={"total_max_attempts": 1, "mode": "standard"},
        user_agent=f"pulpo-adapter-sqs aiobotocore/{aiobotocore_version} botocore/{botocore_version}",
    )

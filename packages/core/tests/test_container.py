"""pulpo's parts in an application's own container: what is wired, opened, closed and overridden."""

from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from dependency_injector import containers, providers
from dependency_injector.wiring import Provide, inject

from pulpo_core import (
    ApplicationError,
    Bury,
    Dispatcher,
    HandlerError,
    Handlers,
    Message,
    Policy,
    Route,
    Scope,
    Until,
    open_publisher,
    open_queue,
)
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.config import HandlerSettings, PolicySettings, RouteSettings, Settings
from pulpo_core.container import PulpoContainer, is_container, manager_of, pulpo_of, settings_of
from pulpo_core.testing import LoopClock, SeededJitter, virtual_time

URL = "memory://container"
HEARD: list[Any] = []


@pytest.fixture(autouse=True)
def _afresh():
    HEARD.clear()


@asynccontextmanager
async def open_pool(name):
    HEARD.append(f"{name} opened")
    try:
        yield name
    finally:
        HEARD.append(f"{name} closed")


@attrs.frozen
class Email:
    to: str


class Mailer:
    def __init__(self, host):
        self.host = host


class SendEmail:
    def __init__(self, mailer, pool):
        self.mailer, self.pool = mailer, pool

    async def handle(self, email: Email):
        HEARD.append((email.to, self.mailer.host, self.pool))


async def archive(payload, pool):
    HEARD.append(("archived", payload, pool))


async def archive_nothing(payload): ...


class App(containers.DeclarativeContainer):
    config = providers.Configuration()
    pool = providers.Resource(open_pool, "pool")
    mailer = providers.Singleton(Mailer, host=config.smtp)
    send_email = providers.Factory(SendEmail, mailer=mailer, pool=pool)
    handlers = providers.Dict({"send_email": send_email, "archive": providers.Callable(archive, pool=pool)})
    pulpo = providers.Container(PulpoContainer, handlers=handlers)


def app(**settings):
    """The application, its time that of the loop, stopping when the queue is empty."""
    made = App(config={"smtp": "smtp.example.org"})
    made.pulpo.clock.override(providers.Object(LoopClock()))
    made.pulpo.jitter.override(providers.Object(SeededJitter(1)))
    made.pulpo.settings.override(providers.Object(Settings(**{"queue": URL, "burst": True} | settings)))
    return made


async def emptied(container, *messages, url=URL, adapter=None):
    """How *container* handles *messages*."""
    clock, jitter = LoopClock(), SeededJitter(1)
    async with open_publisher(url, adapter=adapter, clock=clock, jitter=jitter) as publisher:
        for message in messages:
            await publisher.publish(message)
        report = await manager_of(container).serve()
    if report.error is not None:
        raise report.error
    return report.ledger


EMAIL = Message(request_type="send_email", body={"to": "ada@example.org"})


@virtual_time
async def test_handlers_are_made_of_providers_and_resources_are_open_while_they_run():
    ledger = await emptied(app(), EMAIL, Message(request_type="archive", body={"payload": 3}))

    assert ledger.acked == 2
    assert HEARD[0] == "pool opened"
    assert sorted(map(str, HEARD[1:-1])) == [
        "('ada@example.org', 'smtp.example.org', 'pool')",
        "('archived', 3, 'pool')",
    ]
    assert HEARD[-1] == "pool closed"


@virtual_time
async def test_resources_are_closed_when_the_run_fails():
    container = app(queue="memory://x?nonsense=1")

    report = await manager_of(container).serve()

    assert report.status == 2
    assert HEARD == ["pool opened", "pool closed"]


@virtual_time
async def test_resources_that_were_opened_are_closed_when_another_cannot_be():
    @asynccontextmanager
    async def open_broken():
        raise ConnectionError("no database")
        yield

    class Broken(containers.DeclarativeContainer):
        pool = providers.Resource(open_pool, "pool")
        other = providers.Resource(open_broken)
        pulpo = providers.Container(PulpoContainer, handlers=providers.Dict(archive=providers.Object(archive_nothing)))

    container = Broken()
    container.pulpo.settings.override(providers.Object(Settings(queue=URL)))

    report = await manager_of(container).serve()

    assert str(report.error) == "a resource of the container cannot be opened: ConnectionError: no database"
    assert report.status == 1
    assert HEARD == ["pool opened", "pool closed"]


@virtual_time
async def test_a_handler_can_be_overridden():
    class Fake:
        async def handle(self, email: Email):
            HEARD.append(f"fake for {email.to}")

    container = app()

    with container.send_email.override(providers.Object(Fake())):
        await emptied(container, EMAIL)

    assert HEARD == ["pool opened", "fake for ada@example.org", "pool closed"]


@virtual_time
async def test_what_a_handler_needs_can_be_overridden():
    container = app()

    with container.mailer.override(providers.Object(Mailer("a fake"))):
        await emptied(container, EMAIL)

    assert HEARD[1] == ("ada@example.org", "a fake", "pool")


@virtual_time
async def test_all_handlers_can_be_overridden():
    async def instead(payload):
        HEARD.append(payload)

    container = app()

    with container.pulpo.handlers.override(providers.Object({"send_email": instead})):
        await emptied(container, Message(request_type="send_email", body={"payload": 1}))

    assert 1 in HEARD


@virtual_time
async def test_the_adapter_can_be_overridden_whatever_the_urls_say():
    class AnyUrl(MemoryAdapter):
        def open(self, url, *, clock, jitter):
            return super().open("memory://instead", clock=clock, jitter=jitter)

    container = app(queue="sqs://orders?region=eu-west-1")

    with container.pulpo.adapter.override(providers.Object(AnyUrl())):
        ledger = await emptied(container, EMAIL, url="sqs://orders", adapter=AnyUrl())

    assert ledger.acked == 1


@virtual_time
async def test_the_dispatcher_can_be_overridden():
    container = app(burst=False)
    once = Dispatcher(container.pulpo.routes(), until=Until(max_messages=1), clock=LoopClock(), jitter=SeededJitter(1))

    with container.pulpo.dispatcher.override(providers.Object(once)):
        ledger = await emptied(container, EMAIL, EMAIL)

    assert ledger.received == 1


@virtual_time
async def test_the_publisher_is_open_while_handlers_run():
    class Forward:
        def __init__(self, publisher):
            self.publisher = publisher

        async def handle(self, payload):
            await self.publisher.publish(Message(body={"payload": payload + 1}), queue="memory://second")
            await self.publisher.publish(Message(request_type="last", body={"payload": payload + 2}))

    async def last(payload):
        HEARD.append(payload)

    class Forwarding(containers.DeclarativeContainer):
        publisher = providers.Dependency()
        handlers = providers.Dict(job=providers.Factory(Forward, publisher), last=providers.Object(last))
        pulpo = providers.Container(PulpoContainer, handlers=handlers)

    container = Forwarding()
    container.publisher.override(container.pulpo.publisher)
    container.pulpo.settings.override(providers.Object(Settings(queue=URL, burst=True)))
    container.pulpo.clock.override(providers.Object(LoopClock()))
    async with open_queue("memory://second", clock=LoopClock(), jitter=SeededJitter(1)) as queue:
        await emptied(container, Message(request_type="job", body={"payload": 1}))

        assert (await queue.stats()).ready == 1
    assert HEARD == [3]


@virtual_time
async def test_the_publisher_can_be_overridden():
    class Fake:
        async def publish(self, message):
            HEARD.append(message.body)

        async def __aenter__(self):
            return self

        async def __aexit__(self, *_): ...

    container = app()

    with container.pulpo.publisher.override(providers.Object(Fake())):
        await container.pulpo.publisher().publish(EMAIL)

    assert HEARD == [{"to": "ada@example.org"}]


@virtual_time
async def test_settings_give_routes_their_policy_and_handlers_of_their_own():
    own = HandlerSettings(call=f"{__name__}:archive_nothing")
    container = app(
        queue=None,
        routes={
            "mail": RouteSettings(queue=URL, policy=PolicySettings(max_attempts=1)),
            "other": RouteSettings(queue="memory://other", handlers={"x": own}, concurrency=3),
        },
    )

    mail, other = manager_of(container).dispatcher.routes

    assert (mail.name, mail.policy) == ("mail", Policy(max_attempts=1))
    assert [bound.name for bound in mail.handlers.table()] == [
        *(f"{__name__}:SendEmail", f"{__name__}:archive"),
    ]
    assert [bound.name for bound in other.handlers.table()] == [f"{__name__}:archive_nothing"]
    assert other.concurrency == 3


@virtual_time
async def test_a_session_for_each_message_is_injected_and_rolled_back():
    @asynccontextmanager
    async def open_session():
        session = []
        try:
            yield session
        except Exception:
            HEARD.append(("rolled back", *session))
            raise
        HEARD.append(("committed", *session))

    sessions = Scope(open_session)

    class Pay:
        def __init__(self, session):
            self.session = session

        async def handle(self, payload):
            self.session.append(payload)
            return None if payload > 0 else Bury("less than nothing")

    class Paying(containers.DeclarativeContainer):
        session = providers.Callable(sessions.current)
        handlers = providers.Dict(pay=providers.Factory(Pay, session=session))
        pulpo = providers.Container(
            PulpoContainer,
            settings=providers.Object(Settings(queue=URL, burst=True)),
            handlers=handlers,
            middleware=providers.List(providers.Object(sessions)),
            clock=providers.Object(LoopClock()),
        )

    await emptied(Paying(), *(Message(request_type="pay", body={"payload": n}) for n in (1, -1)))

    assert sorted(HEARD) == [("committed", 1), ("rolled back", -1)]


def test_routes_can_be_given_as_they_are():
    async def handler(payload): ...

    class Own(containers.DeclarativeContainer):
        pulpo = providers.Container(PulpoContainer)

    container = Own()
    container.pulpo.routes.override(providers.Object([Route(URL, handler)]))

    assert [route.queue for route in manager_of(container).dispatcher.routes] == [URL]


def test_handlers_may_be_a_registry_or_one_callable():
    async def handler(payload): ...

    registry = Handlers()
    registry.add("x", handler)
    for handlers in (registry, handler):
        container = PulpoContainer(handlers=providers.Object(handlers), settings=providers.Object(Settings(queue=URL)))

        [route] = manager_of(container).dispatcher.routes

        assert route.handlers is handlers


def test_each_route_may_have_a_table_of_its_own():
    mail = providers.Dict(archive=providers.Object(archive_nothing))
    bills = providers.Object(archive_nothing)
    settings = Settings(routes={name: RouteSettings(queue=f"memory://{name}") for name in ("mail", "bills")})
    container = PulpoContainer(
        handlers=providers.Dict(mail=mail, bills=providers.Dict(pay=bills, send=bills)),
        settings=providers.Object(settings),
    )

    routes = manager_of(container).dispatcher.routes

    assert {route.name: list(route.handlers.table().by_type) for route in routes} == {
        "mail": ["archive"],
        "bills": ["pay", "send"],
    }


def test_a_table_for_another_route_is_none_for_this_one():
    container = PulpoContainer(
        handlers=providers.Dict(mail=providers.Dict(archive=providers.Object(archive_nothing))),
        settings=providers.Object(Settings(routes={"bills": RouteSettings(queue=URL)})),
    )

    with pytest.raises(ApplicationError, match=r"routes\.bills: no handler"):
        manager_of(container)


# ----------------------------------------------------------------------------------------------------------- refusals


def test_a_provider_that_fails_is_one_line():
    def fail():
        raise LookupError("no such tenant")

    container = PulpoContainer(
        settings=providers.Object(Settings(queue=URL)),
        handlers=providers.Object(archive_nothing),
        observers=providers.Callable(fail),
    )

    with pytest.raises(ApplicationError, match="fails to make its dispatcher: LookupError: no such tenant"):
        manager_of(container)


def test_a_container_without_pulpo_says_so():
    class Other(containers.DeclarativeContainer):
        x = providers.Object(1)

    with pytest.raises(ApplicationError, match=r"one providers\.Container\(PulpoContainer, …\), and this one .* none"):
        manager_of(Other())


def test_what_is_not_wired_is_named():
    class Incomplete(containers.DeclarativeContainer):
        mailer = providers.Dependency()
        pulpo = providers.Container(PulpoContainer, handlers=providers.Dict())

    with pytest.raises(ApplicationError, match=r"the container is not complete: .*Incomplete\.mailer"):
        manager_of(Incomplete())


def test_a_function_that_would_get_markers_instead_of_its_parts_is_refused():
    @inject
    async def handler(payload, mailer=Provide["mailer"]): ...

    class Unwired(containers.DeclarativeContainer):
        mailer = providers.Object("a mailer")
        pulpo = providers.Container(
            PulpoContainer,
            handlers=providers.Dict(x=providers.Object(handler)),
            settings=providers.Object(Settings(queue=URL)),
        )

    with pytest.raises(ApplicationError, match="its parameter 'mailer' is to be injected, and no module is wired"):
        manager_of(Unwired())


def test_a_route_without_handlers_says_what_to_give():
    container = PulpoContainer(settings=providers.Object(Settings(queue=URL)))

    with pytest.raises(ApplicationError, match=r"routes\.default: no handler"):
        manager_of(container)


def test_a_handler_that_cannot_be_called_is_told_at_the_start():
    container = PulpoContainer(
        settings=providers.Object(Settings(queue=URL)), handlers=providers.Dict(x=providers.Factory(Mailer, "h"))
    )

    with pytest.raises(HandlerError, match="Mailer: what it makes cannot be called and has no method 'handle'"):
        manager_of(container)


def test_settings_that_depend_on_a_resource_are_refused():
    async def main():
        container = app()
        container.pulpo.middleware.override(providers.List(container.pool))
        manager_of(container)

    with pytest.raises(ApplicationError, match="depends on a resource that is opened asynchronously"):
        virtual_time(main)()


def test_what_is_a_container_is_known():
    assert is_container(App)
    assert is_container(App())
    assert not is_container(Settings)
    assert not is_container(3)


def test_settings_of_the_application_are_told_from_those_it_leaves_to_others():
    assert settings_of(App()) is None
    own = Settings(queue=URL)
    assert settings_of(PulpoContainer(settings=providers.Object(own))) is own
    assert pulpo_of(PulpoContainer()) is not None


def _fails():
    raise KeyError("no such file")


async def _later():
    return Settings(queue=URL)


@pytest.mark.parametrize(
    ("provider", "text"),
    [
        pytest.param(providers.Callable(_fails), "fails to make its settings: KeyError: 'no such file'", id="fails"),
        pytest.param(providers.Object({"queue": URL}), "its settings: Error: .* is not an instance of", id="a dict"),
        pytest.param(
            providers.Coroutine(_later), "to make its settings .*opened asynchronously", id="not there at once"
        ),
    ],
)
def test_settings_that_cannot_be_made_are_told_as_the_application_s(provider, text):
    async def main():
        settings_of(PulpoContainer(settings=provider))

    with pytest.raises(ApplicationError, match=text):
        virtual_time(main)()

"""From settings to routes: everything that can be set arrives where it belongs."""

from datetime import timedelta

import attrs
import pytest

from pulpo_core import (
    AnyJson,
    ApplicationError,
    Backoff,
    Breaker,
    ConfigurationError,
    HandlerError,
    OnExpired,
    Policy,
    RateLimit,
    Route,
)
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.config import (
    BackoffSettings,
    BreakerSettings,
    PolicySettings,
    RouteSettings,
    Settings,
    load_object,
    load_translator,
    policy_of,
    route_of,
    routes_of,
)

JOBS = """
from pulpo_core import AnyJson
from pulpo_core.adapters.memory import MemoryAdapter

async def send(payload): ...
def compute(payload): ...
def on_error(exc_info, message): ...
async def middleware(message, delivery, call_next): ...
def stamp(message): return message
def severity(error): ...
class Unpayable(Exception): ...
class Broken:
    def __init__(self): raise LookupError("nothing here")
number = 3
"""


@pytest.fixture
def jobs(here):
    (here / "config_jobs.py").write_text(JOBS)
    return __import__("config_jobs")


EVERYTHING = RouteSettings(
    queue="memory://mail",
    handlers={"send": {"call": "config_jobs:send", "timeout": "30s"}, "sum": {"call": "config_jobs:compute"}},
    default_handler="config_jobs:send",
    policy=PolicySettings(
        max_attempts=3,
        max_lost=2,
        backoff=BackoffSettings(base="1s", factor=3, cap="1m", jitter="full"),
        max_hint="1h",
        fatal="ValueError, config_jobs:Unpayable",
        transient=["ConnectionError"],
        reject=["KeyError"],
        classify="config_jobs:severity",
        on_expired="drop",
        unroutable_grace="5m",
        max_age="1d",
    ),
    translator="json",
    error_handler="config_jobs:on_error",
    concurrency=7,
    prefetch=2,
    timeout="1m",
    wait="5s",
    rate_limit="30/m",
    breaker=BreakerSettings(failures=3, pause="10s"),
    weight=4,
    falsy_retries=True,
    middleware=["config_jobs:middleware"],
    publish_middleware=["config_jobs:stamp"],
    needs=["priority"],
    adapter="config_jobs:MemoryAdapter",
)


def test_every_setting_of_a_route_arrives(jobs):
    [route] = routes_of(Settings(routes={"mail": EVERYTHING}))

    objects = {"handlers", "adapter", "translator"}
    assert attrs.asdict(route, recurse=False, filter=lambda field, _: field.name not in objects) == {
        "queue": "memory://mail",
        "name": "mail",
        "policy": Policy(
            max_attempts=3,
            max_lost=2,
            backoff=Backoff(base=1, factor=3, cap=60, jitter="full"),
            max_hint=3600,
            fatal=(ValueError, jobs.Unpayable),
            transient=ConnectionError,
            reject=KeyError,
            classify=jobs.severity,
            on_expired=OnExpired.DROP,
            unroutable_grace=300,
            max_age=86400,
        ),
        "error_handler": jobs.on_error,
        "concurrency": 7,
        "prefetch": 2,
        "timeout": timedelta(minutes=1),
        "wait": timedelta(seconds=5),
        "rate_limit": RateLimit(30, 60),
        "breaker": Breaker(3, 10),
        "weight": 4,
        "falsy_retries": True,
        "middleware": (jobs.middleware,),
        "publish_middleware": (jobs.stamp,),
        "needs": ("priority",),
    }
    assert isinstance(route.adapter, MemoryAdapter)
    assert isinstance(route.translator, AnyJson)
    table = route.handlers.table()
    assert {kind: (bound.name, bound.timeout) for kind, bound in table.by_type.items()} == {
        "send": ("config_jobs:send", timedelta(seconds=30)),
        "sum": ("config_jobs:compute", None),
    }
    assert table.default.name == "config_jobs:send"


def test_every_field_of_a_route_and_a_policy_can_be_set():
    of_routes = {field.name for field in attrs.fields(Route)} - {"name"}
    of_policies = {field.name for field in attrs.fields(Policy)}

    assert of_routes <= {field.name for field in attrs.fields(RouteSettings)}
    assert of_policies == {field.name for field in attrs.fields(PolicySettings)}


def test_what_is_not_set_is_left_to_the_route(jobs):
    route = route_of("mail", RouteSettings(queue="memory://x", default_handler="config_jobs:send"), Settings())

    plain = Route("memory://x", jobs.send, name="mail")
    fields = [field.name for field in attrs.fields(Route) if field.name not in {"handlers", "translator"}]
    assert [getattr(route, name) for name in fields] == [getattr(plain, name) for name in fields]


def test_the_queue_of_the_process_is_that_of_routes_without_one(jobs):
    settings = Settings(queue="memory://all", routes={"mail": RouteSettings(default_handler="config_jobs:send")})

    assert routes_of(settings)[0].queue == "memory://all"


def test_the_concurrency_of_the_process_is_that_of_its_only_route(jobs):
    one = RouteSettings(queue="memory://x", default_handler="config_jobs:send")

    assert [route.concurrency for route in routes_of(Settings(concurrency=50, routes={"a": one}))] == [50]
    both = Settings(concurrency=50, routes={"a": one, "b": attrs.evolve(one, queue="memory://y")})
    assert [route.concurrency for route in routes_of(both)] == [10, 10]


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({}, ConfigurationError, r"routes\.mail: no queue"),
        ({"queue": "memory://x"}, ApplicationError, r"routes\.mail: no handler"),
        ({"handlers": {"x": "config_jobs:number"}}, HandlerError, r"routes\.mail\.handlers\.x config_jobs:number: "),
        (
            {"middleware": ["config_jobs:nothing"]},
            ApplicationError,
            r"routes\.mail\.middleware config_jobs:nothing: mod",
        ),
        (
            {"adapter": "config_jobs:Broken"},
            ApplicationError,
            r"routes\.mail\.adapter failed: LookupError: nothing here",
        ),
        ({"weight": 1, "needs": ["speed"]}, ConfigurationError, r"routes\.mail\.needs: 'speed'"),
    ],
    ids=["no queue", "no handler", "a number", "nothing by that name", "a class that fails", "no such ability"],
)
def test_what_is_wrong_begins_with_the_setting(jobs, settings, error, text):
    given = {"queue": "memory://x", "default_handler": "config_jobs:send"} if set(settings) - {"queue"} else {}

    with pytest.raises(error, match=text):
        routes_of(Settings(routes={"mail": RouteSettings(**given | settings)}))


def test_a_policy_alone_names_what_is_wrong(jobs):
    with pytest.raises(ConfigurationError, match=r"policy\.factor: expected a number from 1 to 1000"):
        policy_of(PolicySettings(backoff=BackoffSettings(factor=0.5)))
    with pytest.raises(ApplicationError, match=r"policy\.fatal nowhere:E|no module 'nowhere'"):
        policy_of(PolicySettings(fatal=["nowhere:E"]))


def test_a_translator_is_a_name_an_object_or_a_class(jobs):
    assert isinstance(load_translator("json", where="here"), AnyJson)
    assert isinstance(load_translator("config_jobs:AnyJson", where="here"), AnyJson)
    with pytest.raises(ConfigurationError, match="here: 'xml' is neither MODULE:OBJECT nor one of pulpo, json"):
        load_translator("xml", where="here")


def test_an_attribute_of_an_object_can_be_named(jobs):
    assert load_object("config_jobs:Unpayable.__name__", where="here") == "Unpayable"

"""A route is a plain value, checked when it is made."""

import contextlib
from datetime import timedelta

import pytest

from pulpo_core import (
    AnyJson,
    ApplicationError,
    Capabilities,
    ConfigurationError,
    Dispatcher,
    HandlerError,
    Handlers,
    Policy,
    PulpoJson,
    Route,
)
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.application.route import check_needs


async def handler(message): ...


def test_a_route_needs_a_queue_and_a_handler_and_the_rest_has_defaults():
    route = Route("memory://mail?lease=5s", handler)

    assert route.name == "memory://mail"
    assert route.policy == Policy()
    assert isinstance(route.translator, PulpoJson)
    assert (route.concurrency, route.prefetch, route.timeout, route.wait) == (10, 0, None, timedelta(seconds=10))


def test_time_spans_may_be_given_in_seconds():
    route = Route("memory://mail", handler, timeout=1.5, wait=3)

    assert (route.timeout, route.wait) == (timedelta(seconds=1.5), timedelta(seconds=3))


WRONG = {
    "the queue is no text": ({"queue": 5}, "queue: expected str, not int"),
    "concurrency 0": ({"concurrency": 0}, "concurrency: expected a whole number from 1, not 0"),
    "concurrency true": ({"concurrency": True}, "concurrency: expected a whole number from 1, not True"),
    "concurrency as text": ({"concurrency": "10"}, "concurrency: expected a whole number from 1, not '10'"),
    "negative prefetch": ({"prefetch": -1}, "prefetch: expected a whole number from 0, not -1"),
    "negative timeout": ({"timeout": -1}, "timeout: expected a time span from 0"),
    "timeout of nothing": ({"timeout": 0}, "timeout: expected more than 0; leave it out for no limit"),
    "wait as text": ({"wait": "10s"}, "wait: expected a time span from 0"),
    "no policy": ({"policy": {"max_attempts": 3}}, "policy: expected Policy, not dict"),
    "no translator": ({"translator": object()}, "translator: object has no methods 'translate' and 'encode'"),
    "a translator's class": ({"translator": 5}, "translator: int has no methods"),
    "an error handler that cannot be called": ({"error_handler": 5}, "error_handler: int cannot be called"),
    "middleware that cannot be called": (
        {"middleware": [5]},
        "middleware: expected functions, or objects to call, not int",
    ),
    "middleware without its brackets": ({"middleware": handler}, "middleware: expected a list, not function"),
    "a middleware's class": ({"middleware": [Policy]}, "middleware: expected functions.*, not the class Policy"),
    "publish middleware that is a text": (
        {"publish_middleware": "jobs:mark"},
        "publish_middleware: expected a list, not",
    ),
    "no adapter": ({"adapter": 5}, "adapter: expected an object with a method 'open', not int"),
    "an adapter's class": ({"adapter": MemoryAdapter}, "adapter: expected an object.*, not the class MemoryAdapter"),
    "an unknown need": ({"needs": ["wings"]}, "needs: 'wings' is nothing a queue has or lacks; known: .*priority"),
    "a need that is a number": ({"needs": ["max_delay"]}, "needs: 'max_delay' is nothing a queue has or lacks"),
}


@pytest.mark.parametrize(("change", "text"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_when_the_route_is_made_and_by_its_name(change, text):
    with pytest.raises(ConfigurationError, match=text):
        Route(**{"queue": "memory://mail", "handlers": handler, **change})


def test_a_handler_that_cannot_be_called_is_told_when_the_route_is_made():
    with pytest.raises(HandlerError, match="is a class"):
        Route("memory://mail", dict)


def test_needs_are_met_or_told():
    route = Route("memory://mail", handler, name="mail", needs=("priority", "groups"))

    check_needs(route, Capabilities(priority=True, groups=True))
    with pytest.raises(ConfigurationError, match="route 'mail' needs groups, which its queue does not offer"):
        check_needs(route, Capabilities(priority=True, groups=False))


@pytest.mark.parametrize(("longest", "fits"), [(None, True), (timedelta(minutes=15), True), (timedelta(), False)])
def test_a_route_whose_messages_are_delayed_can_need_a_queue_that_delays(longest, fits):
    route = Route("memory://mail", handler, needs=("delay",))
    with contextlib.nullcontext() if fits else pytest.raises(ConfigurationError, match="needs delay"):
        check_needs(route, Capabilities(max_delay=longest))


# Several routes together


def test_two_queues_of_one_file_have_names_of_their_own():
    routes = [Route(f"file:///var/spool/shop.db?lease=5s&queue={name}", handler) for name in ("a", "b")]

    assert [route.name for route in Dispatcher(routes).routes] == [
        "file:///var/spool/shop.db?queue=a",
        "file:///var/spool/shop.db?queue=b",
    ]


def test_two_routes_to_one_queue_need_names_of_their_own():
    routes = [Route(f"file:///var/spool/shop.db?queue=a&lease={lease}", handler) for lease in ("5s", "6s")]

    with pytest.raises(ConfigurationError, match=r"two routes are called .file:///var/spool/shop\.db\?queue=a."):
        Dispatcher(routes)


@pytest.mark.parametrize("routes", [[], ()])
def test_a_dispatcher_without_routes_is_refused(routes):
    with pytest.raises(ApplicationError, match="there is no route"):
        Dispatcher(routes)


def test_what_is_no_route_is_refused():
    with pytest.raises(ApplicationError, match="expected a Route, not str"):
        Dispatcher(["memory://mail"])


def test_a_route_without_any_handler_is_refused_before_anything_is_opened():
    with pytest.raises(ApplicationError, match="'mail' has no handler"):
        Dispatcher(Route("memory://mail", Handlers(), name="mail"))


def test_a_single_route_needs_no_list():
    route = Route("memory://mail", handler, translator=AnyJson())

    assert Dispatcher(route).routes == [route]


@pytest.mark.parametrize("limit", ["concurrency", "threads"])
@pytest.mark.parametrize("value", [0, -1, True, 1.5, "4"])
def test_limits_of_the_process_are_whole_numbers_from_1(limit, value):
    with pytest.raises(ConfigurationError, match=f"{limit}: expected a whole number from 1"):
        Dispatcher(Route("memory://mail", handler), **{limit: value})


@pytest.mark.parametrize("span", ["grace", "thread_grace"])
@pytest.mark.parametrize("value", [-1, "25", None])
def test_graces_are_time_spans(span, value):
    with pytest.raises(ConfigurationError, match=f"{span}: expected a time span"):
        Dispatcher(Route("memory://mail", handler), **{span: value})

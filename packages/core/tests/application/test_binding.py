"""A user's callable is looked at once, and gets what its parameters ask for."""

import functools
import inspect
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Optional, Union

import attrs
import pytest

from pulpo_core import Delivery, Envelope, HandlerError, Lease, Message, TranslationError, bind

from .fakes import delivery as delivery_of

if TYPE_CHECKING:
    from somewhere import Something

MESSAGE = Message(request_type="job", body={"a": 1, "payload": 2}, header={"tenant": "t"}, priority=3)
SIMPLE = Message(request_type="job", body={"payload": {"x": 1}})
DELIVERY = Delivery(
    id="7",
    envelope=Envelope(body=b"{}", metadata={"SentTimestamp": "1"}),
    attempt=2,
    lease=Lease(10.0),
)


def given(handler: Any, message: Message = MESSAGE) -> Any:
    """What *handler* is called with; it gives back its arguments."""
    return bind(handler).prepare(message, DELIVERY)()


@attrs.frozen
class Job:
    a: int
    payload: int = 0


@dataclass(frozen=True)
class Data:
    a: int


NAMES = {
    "message": (lambda message: message, MESSAGE),
    "body": (lambda body: body, MESSAGE.body),
    "payload": (lambda payload: payload, 2),
    "content": (lambda content: content, MESSAGE.body),
    "delivery": (lambda delivery: delivery, DELIVERY),
}


@pytest.mark.parametrize(("handler", "expected"), NAMES.values(), ids=NAMES)
def test_a_parameter_gets_what_its_name_says(handler, expected):
    assert given(handler) == expected


def test_content_is_the_payload_of_a_simple_job_and_else_the_body():
    assert given(lambda content: content, SIMPLE) == {"x": 1}
    assert given(lambda content: content, MESSAGE) == MESSAGE.body


@pytest.mark.parametrize("falsy", [0, "", False, [], {}])
def test_a_falsy_payload_is_content(falsy):
    assert given(lambda content: content, Message(body={"payload": falsy})) == falsy


def test_metadata_is_all_there_is_beside_the_body():
    metadata = given(lambda metadata: metadata)

    assert metadata["SentTimestamp"] == "1"
    assert metadata["tenant"] == "t"
    assert {name: metadata[name] for name in ("id", "request_type", "priority", "attempt", "attempts")} == {
        "id": "7",
        "request_type": "job",
        "priority": 3,
        "attempt": 2,
        "attempts": 0,
    }


def by_message(x: Message) -> Any:
    return x


def by_delivery(x: Delivery) -> Any:
    return x


def by_envelope(x: Envelope) -> Any:
    return x


def by_attrs(x: Job) -> Any:
    return x


def by_dataclass(x: Data) -> Any:
    return x


def by_dict(x: dict) -> Any:
    return x


def by_typed_dict(x: dict[str, Any]) -> Any:
    return x


def by_mapping(x: Mapping[str, Any]) -> Any:
    return x


def by_text(x: "Message") -> Any:
    return x


def by_annotated(x: Annotated[Message, "with a remark"]) -> Any:
    return x


def by_optional(message: Optional[Message]) -> Any:  # noqa: UP045 - users write it so
    return message


def by_union(message: Message | None) -> Any:
    return message


def by_optional_job(x: Optional[Job]) -> Any:  # noqa: UP045 - users write it so
    return x


def by_job_or_none(x: Job | None = None) -> Any:
    return x


def by_delivery_or_none(x: Delivery | None = None) -> Any:
    return x


def by_dict_or_none(x: dict[str, Any] | None = None) -> Any:
    return x


ANNOTATIONS = {
    by_optional_job: Job(1, 2),
    by_job_or_none: Job(1, 2),
    by_delivery_or_none: DELIVERY,
    by_dict_or_none: MESSAGE.body,
    by_message: MESSAGE,
    by_delivery: DELIVERY,
    by_envelope: DELIVERY.envelope,
    by_attrs: Job(1, 2),
    by_dataclass: Data(1),
    by_dict: MESSAGE.body,
    by_typed_dict: MESSAGE.body,
    by_mapping: MESSAGE.body,
    by_text: MESSAGE,
    by_annotated: MESSAGE,
    by_optional: MESSAGE,
    by_union: MESSAGE,
}


@pytest.mark.parametrize("handler", ANNOTATIONS)
def test_a_parameter_gets_what_its_annotation_says(handler):
    assert given(handler) == ANNOTATIONS[handler]


def test_a_typed_payload_is_read_from_the_payload():
    @attrs.frozen
    class Inner:
        x: int

    def handler(payload: Inner):
        return payload

    assert given(handler, SIMPLE) == Inner(1)


def test_a_body_that_does_not_fit_is_told_before_the_handler_runs():
    with pytest.raises(TranslationError, match="a"):
        bind(by_attrs).prepare(Message(body={"a": "text"}), DELIVERY)


def test_several_parameters_of_all_kinds():
    def handler(message: Message, /, body, *, delivery, metadata: dict, job: Job):
        return message, body, delivery.id, metadata["id"], job

    assert given(handler) == (MESSAGE, MESSAGE.body, "7", "7", Job(1, 2))


def test_parameters_with_defaults_that_mean_nothing_to_pulpo_keep_them():
    def handler(retries=3, message=None, *rest, verbose=False, delivery=None, **more):
        return retries, message, rest, verbose, delivery, more

    assert given(handler) == (3, MESSAGE, (), False, DELIVERY, {})


def test_defaults_before_positional_parameters_are_kept_too():
    def handler(retries=3, message=None, /):
        return retries, message

    assert given(handler) == (3, MESSAGE)


def test_no_parameter_is_fine():
    assert given(lambda: "ran") == "ran"


def test_a_parameter_that_nothing_can_be_given_to_is_refused_by_name():
    def handler(message, mysterious):
        raise AssertionError

    with pytest.raises(HandlerError, match=r"handler.*'mysterious'.*message.*payload"):
        bind(handler)


# Both predecessors' forms


def test_the_form_of_loafer_gets_content_and_metadata():
    def handler(message, metadata):
        return message, metadata["id"]

    assert given(handler, SIMPLE) == ({"x": 1}, "7")


def test_the_form_of_loafer_may_be_annotated():
    def handler(message: dict, metadata: dict):
        return message, metadata["id"]

    assert given(handler, SIMPLE) == ({"x": 1}, "7")


@pytest.mark.parametrize("annotation", [dict, str, dict[str, Any], list])
def test_a_message_annotated_as_something_else_is_the_content(annotation):
    def handler(message):
        return message

    handler.__annotations__["message"] = annotation
    assert given(handler, SIMPLE) == {"x": 1}


def test_a_message_annotated_as_a_message_is_one_beside_metadata_too():
    def handler(message: Message, metadata):
        return message

    assert given(handler, SIMPLE) is SIMPLE


def test_a_message_that_may_be_anything_is_the_message():
    def handler(message: Any):
        return message

    assert given(handler, SIMPLE) is SIMPLE


def test_the_form_of_pulpo_messaging_gets_the_payload():
    class Handler:
        def handle(self, payload):
            return payload

    assert given(Handler(), SIMPLE) == {"x": 1}


# Kinds of callables


class WithHandle:
    def handle(self, message):
        return "handled"

    def stop(self):
        return "stopped"


class AsyncHandle:
    async def handle(self, message): ...


class Callable_:  # noqa: N801 - its name would hide the other one
    def __call__(self, message):
        return "called"


class AsyncCallable:
    async def __call__(self, message): ...


class Both(WithHandle):
    def __call__(self, message):
        return "called"


async def coroutine(message): ...


def function(message): ...


def passing_on(target):
    @functools.wraps(target)
    def wrapper(*args, **kwargs):
        return target(*args, **kwargs)

    return wrapper


KINDS = {
    "a coroutine function": (coroutine, "loop"),
    "a function": (function, "thread"),
    "a lambda": (lambda message: None, "thread"),
    "a partial of a coroutine function": (functools.partial(coroutine), "loop"),
    "a partial of a partial": (functools.partial(functools.partial(coroutine)), "loop"),
    "a partial of a function": (functools.partial(function), "thread"),
    "an object with handle": (WithHandle(), "thread"),
    "an object with async handle": (AsyncHandle(), "loop"),
    "a callable object": (Callable_(), "thread"),
    "an object with async __call__": (AsyncCallable(), "loop"),
    "a partial of an object with async __call__": (functools.partial(AsyncCallable()), "loop"),
    "a bound method": (AsyncHandle().handle, "loop"),
    "a decorated coroutine function": (passing_on(coroutine), "thread"),
}


@pytest.mark.parametrize(("handler", "place"), KINDS.values(), ids=KINDS)
def test_coroutine_functions_run_in_the_loop_and_everything_else_in_a_thread(handler, place):
    assert bind(handler).runs_in == place


def test_an_object_that_can_be_called_is_called_even_if_it_has_handle():
    assert given(Both()) == "called"


def test_an_object_with_handle_is_stopped_at_the_end_if_it_can_be():
    assert bind(WithHandle()).stop() == "stopped"
    assert bind(AsyncHandle()).stop is None


def test_a_decorated_function_is_known_by_the_parameters_of_the_one_inside():
    @passing_on
    def handler(payload):
        return payload

    assert given(handler) == 2


@pytest.mark.parametrize("preset", [{"retries": 5}, {"message": "preset"}])
def test_what_a_partial_presets_stays(preset):
    def handler(body, retries=1, message=None):
        return body, retries, message

    body, retries, message = given(functools.partial(handler, **preset))

    assert body == MESSAGE.body
    assert retries == preset.get("retries", 1)
    assert message == preset.get("message", MESSAGE)


def test_what_a_partial_gives_in_its_place_is_not_given_again():
    def handler(connection, message):
        return connection, message

    assert given(functools.partial(handler, "connection")) == ("connection", MESSAGE)


def generator(message):
    yield


async def async_generator(message):
    yield


class GeneratorCall:
    def __call__(self, message):
        yield


class AsyncGeneratorCall:
    async def __call__(self, message):
        yield


class GeneratorHandle:
    def handle(self, message):
        yield


GENERATORS = {
    "a generator": generator,
    "an async generator": async_generator,
    "a partial of one": functools.partial(generator),
    "an object with one": GeneratorHandle(),
    "a callable object": GeneratorCall(),
    "an async callable object": AsyncGeneratorCall(),
    "a partial of a callable object": functools.partial(GeneratorCall()),
}


@pytest.mark.parametrize("handler", GENERATORS.values(), ids=GENERATORS)
def test_a_generator_is_refused_because_it_would_be_acknowledged_without_having_run(handler):
    with pytest.raises(HandlerError, match="generator"):
        bind(handler)


@pytest.mark.parametrize("handler", [WithHandle, Callable_, Job, int])
def test_a_class_is_refused_because_it_would_be_acknowledged_without_having_run(handler):
    with pytest.raises(HandlerError, match="is a class; register an instance"):
        bind(handler)


@pytest.mark.parametrize("handler", [None, 5, "jobs:send", object(), types.SimpleNamespace(handle="text")])
def test_what_cannot_be_called_is_refused(handler):
    with pytest.raises(HandlerError, match="cannot be called"):
        bind(handler)


def test_an_annotation_that_matters_to_type_checkers_alone_does_not_keep_a_handler_from_running():
    def handler(message: "Something", metadata: "Something") -> "Something":
        return message, metadata["id"]

    assert given(handler, SIMPLE) == ({"x": 1}, "7")


def test_an_annotation_that_cannot_be_resolved_where_it_is_needed_is_told():
    def handler(job: "Something"):
        raise AssertionError

    with pytest.raises(HandlerError, match=r"'job'.*Something"):
        bind(handler)


def test_other_annotations_are_understood_beside_one_that_cannot_be_resolved():
    def handler(job: "Job", message: "Something"):
        return job

    assert given(handler) == Job(1, 2)


@pytest.mark.parametrize("annotation", [Union[int, str], Any, int])  # noqa: UP007 - users write it so
def test_a_name_counts_where_the_annotation_says_nothing(annotation):
    def handler(payload):
        return payload

    handler.__annotations__["payload"] = annotation
    assert given(handler) == 2


def test_a_callable_without_readable_parameters_is_refused():
    class Unreadable:
        __signature__ = "nonsense"

        def __call__(self, message): ...

    with pytest.raises(HandlerError, match="parameters cannot be read"):
        bind(Unreadable())


NAMED = {
    f"{__name__}:function": function,
    f"{__name__}:WithHandle": WithHandle(),
    f"{__name__}:AsyncHandle.handle": AsyncHandle().handle,
    f"{__name__}:coroutine": functools.partial(coroutine),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_handler_has_a_name_for_people(name):
    assert bind(NAMED[name]).name == name


def test_a_handler_knows_for_people_what_each_parameter_gets():
    def handler(job: Job, payload: Data, message, delivery: Delivery, other=None):
        raise AssertionError

    assert bind(handler).parameters == {
        "job": "Job from body",
        "payload": "Data from payload",
        "message": "message",
        "delivery": "Delivery",
    }


def test_binding_looks_at_a_handler_once_and_not_for_every_message(monkeypatch):
    bound = bind(by_attrs)
    monkeypatch.setattr(inspect, "signature", lambda *_: pytest.fail("looked again"))

    for _ in range(3):
        assert bound.prepare(MESSAGE, DELIVERY)() == Job(1, 2)


def test_the_delivery_of_a_handler_is_the_one_it_runs_for():
    other = delivery_of("other")
    assert bind(lambda delivery: delivery).prepare(MESSAGE, other)() is other


def test_structuring_is_imported_when_a_typed_body_is_bound_and_not_before():
    import subprocess

    program = "import sys, pulpo_core\npulpo_core.bind(lambda message: None)\nprint('cattrs' in sys.modules)\n"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert out.stdout.split() == ["False"]

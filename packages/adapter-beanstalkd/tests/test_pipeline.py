"""The habits of greenstalk that pipelining rests on, and what is made of them."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from operator import methodcaller
from typing import Any

import greenstalk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulpo_adapter_beanstalkd.pipeline import CHUNK_LIMIT, LINE_LIMIT, Pipeline, Rubbish

DELETE = methodcaller("delete", 7)
RESERVE = methodcaller("reserve", 0)


def answers(pipeline: Pipeline, *pieces: bytes) -> list[list[Any]]:
    """What *pieces*, which come in one after another, answer."""
    return [exchange.answers for piece in pieces for exchange in pipeline.hear(piece)]


def test_commands_are_said_in_greenstalks_own_words() -> None:
    said, _ = Pipeline().say([methodcaller("put", b"body", 5, 2, 60), DELETE])

    assert said == b"put 5 2 60 4\r\nbody\r\ndelete 7\r\n"


def test_the_same_command_again_is_said_again() -> None:
    said, exchange = Pipeline().say([RESERVE, RESERVE, DELETE, RESERVE])

    assert said == b"reserve-with-timeout 0\r\n" * 2 + b"delete 7\r\n" + b"reserve-with-timeout 0\r\n"
    assert exchange.missing == 4


def test_answers_are_greenstalks_own() -> None:
    pipeline = Pipeline()
    pipeline.say([RESERVE, methodcaller("stats_job", 7), DELETE])

    ((job, stats, deleted),) = answers(pipeline, b"RESERVED 7 2\r\nhi\r\nOK 17\r\n---\nid: 7\npri: 1\n\r\nDELETED\r\n")

    assert (job.id, job.body) == (7, b"hi")
    assert stats == {"id": 7, "pri": 1}
    assert deleted is None


def test_what_greenstalk_has_read_once_it_is_not_asked_again() -> None:
    pipeline, asked = Pipeline(), 0

    def delete(client: greenstalk.Client[bytes]) -> None:
        nonlocal asked
        asked += 1
        client.delete(7)

    for _ in range(3):
        pipeline.say([delete])
        assert answers(pipeline, b"DELETED\r\n") == [[None]]

    assert asked == 3 + 1, "said three times, heard once"


def test_what_was_read_for_one_verb_says_nothing_about_another() -> None:
    pipeline = Pipeline()
    _, exchange = pipeline.say([DELETE, DELETE, methodcaller("touch", greenstalk.Job(7, b""))])

    with pytest.raises(Rubbish):
        pipeline.hear(b"DELETED\r\nDELETED\r\nDELETED\r\n")

    assert exchange.missing == 1


@pytest.mark.parametrize("cut", range(1, len(b"DELETED\r\n")))
def test_what_is_known_may_be_cut_anywhere_too(cut: int) -> None:
    pipeline = Pipeline()
    pipeline.say([DELETE, DELETE, DELETE, DELETE])
    stream = b"DELETED\r\n" * 2

    assert answers(pipeline, stream + stream[:cut], stream[cut:]) == [[None] * 4]


def test_an_error_stays_with_its_command() -> None:
    pipeline = Pipeline()
    pipeline.say([DELETE, DELETE, DELETE])

    ((first, second, third),) = answers(pipeline, b"DELETED\r\nNOT_FOUND\r\nDELETED\r\n")

    assert (first, third) == (None, None)
    assert isinstance(second, greenstalk.NotFoundError)


def test_an_exchange_is_complete_when_its_last_answer_is_in() -> None:
    pipeline = Pipeline()
    _, first = pipeline.say([DELETE, DELETE])
    _, second = pipeline.say([DELETE])

    assert pipeline.hear(b"DELETED\r\n") == []
    assert pipeline.hear(b"DELETED\r\nDELETED\r\n") == [first, second]
    assert (first.missing, second.missing) == (0, 0)


@given(bodies=st.lists(st.binary(max_size=300), min_size=1, max_size=5), data=st.data())
def test_answers_may_be_cut_anywhere(bodies: list[bytes], data: st.DataObject) -> None:
    pipeline = Pipeline()
    pipeline.say([RESERVE] * len(bodies))
    stream = b"".join(b"RESERVED %d %d\r\n%b\r\n" % (i, len(body), body) for i, body in enumerate(bodies))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=20)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    (jobs,) = answers(pipeline, *pieces)

    assert [job.body for job in jobs] == bodies


@pytest.mark.parametrize(
    "body", [b"", b"\r\n", b"DELETED\r\n", b"RESERVED 1 1\r\nx\r\n", bytes(range(256)), b"x" * 65_535], ids=len
)
def test_bodies_may_look_like_anything(body: bytes) -> None:
    pipeline = Pipeline()
    said, _ = pipeline.say([methodcaller("put", body, 1, 0, 1), RESERVE])

    ((_, job),) = answers(pipeline, b"INSERTED 1\r\nRESERVED 1 %d\r\n%b\r\n" % (len(body), body))

    assert job.body == body
    assert body in said


@pytest.mark.parametrize(
    "rubbish",
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n", id="another protocol"),
        pytest.param(b"INSERTED 1\r\n", id="an answer to something else"),
        pytest.param(b"\r\n", id="an empty line"),
        pytest.param(b"RESERVED\r\n", id="too few words"),
        pytest.param(b"RESERVED one two\r\n", id="no numbers"),
        pytest.param(b"RESERVED 1 -7\r\n", id="a negative size"),
        pytest.param(b"RESERVED 1 %d\r\n" % CHUNK_LIMIT, id="a size that no beanstalkd allows"),
        pytest.param(b"RESERVED 1 2\r\nabXX", id="a body without an end"),
        pytest.param(b"x" * (LINE_LIMIT + 1), id="an endless line"),
        pytest.param(b"TIMED_OUT\r\nTIMED_OUT\r\n", id="one answer too many"),
        pytest.param(b"\xff\xfe\r\n", id="not ASCII"),
    ],
)
def test_rubbish_is_noticed(rubbish: bytes) -> None:
    pipeline = Pipeline()
    pipeline.say([RESERVE])

    with pytest.raises(Rubbish):
        pipeline.hear(rubbish)


def test_an_answer_to_nothing_is_rubbish() -> None:
    with pytest.raises(Rubbish, match="nothing"):
        Pipeline().hear(b"DELETED\r\n")


def test_stats_that_are_no_stats_are_rubbish() -> None:
    pipeline = Pipeline()
    pipeline.say([methodcaller("stats")])

    with pytest.raises(Rubbish):
        pipeline.hear(b"OK 5\r\nhello\r\n")


def test_what_was_answered_before_the_rubbish_counts() -> None:
    pipeline = Pipeline()
    _, exchange = pipeline.say([DELETE, DELETE])

    with pytest.raises(Rubbish):
        pipeline.hear(b"DELETED\r\nNONSENSE\r\n")

    assert exchange.answers == [None]
    assert exchange.missing == 1


def test_no_file_descriptor_and_no_memory_is_used_for_it() -> None:
    pipeline = Pipeline()

    def work(times: int) -> None:
        for _ in range(times):
            pipeline.say([RESERVE, DELETE])
            pipeline.hear(b"RESERVED 1 1\r\nx\r\nDELETED\r\n")

    assert _grown(lambda: work(50), lambda: work(2_000)) < 50_000


def _grown(warm_up: Callable[[], None], work: Callable[[], None]) -> int:
    warm_up()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        work()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

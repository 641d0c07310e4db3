"""What AWS says, in pulpo's words."""

from __future__ import annotations

import pytest
from botocore import exceptions as botocore

from pulpo_adapter_sqs.errors import CODES, EXCEPTIONS, from_code, from_exception
from pulpo_core import (
    AdapterError,
    ConfigurationError,
    LeaseLost,
    MessageTooLarge,
    PermissionDenied,
    PulpoError,
    QueueNotFound,
    Unavailable,
    Unsupported,
)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("AWS.SimpleQueueService.NonExistentQueue", QueueNotFound),
        ("com.amazonaws.sqs#QueueDoesNotExist", QueueNotFound),
        ("AccessDenied", PermissionDenied),
        ("InvalidClientTokenId", PermissionDenied),
        ("AWS.SimpleQueueService.MessageNotInflight", LeaseLost),
        ("ReceiptHandleIsInvalid", LeaseLost),
        ("AWS.SimpleQueueService.BatchRequestTooLong", MessageTooLarge),
        ("AWS.SimpleQueueService.UnsupportedOperation", Unsupported),
        ("ThrottlingException", Unavailable),
        ("OverLimit", Unavailable),
        ("ExpiredToken", Unavailable),
        ("KmsDisabled", ConfigurationError),
    ],
)
def test_codes_mean_what_their_names_say(code: str, expected: type[PulpoError]) -> None:
    assert type(from_code(code, "", what="x")) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Value AQEB for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.", LeaseLost),
        ("Message must be shorter than 262144 bytes.", MessageTooLarge),
        ("Value 901 for parameter DelaySeconds is invalid.", AdapterError),
    ],
)
def test_a_general_code_is_told_by_its_words(text: str, expected: type[PulpoError]) -> None:
    assert type(from_code("InvalidParameterValue", text, what="x")) is expected


def test_an_unknown_code_is_temporary_if_the_server_is_at_fault() -> None:
    theirs, ours = from_code("Strange", "", what="x", status=503), from_code("Strange", "", what="x", status=400)

    assert isinstance(theirs, Unavailable)
    assert isinstance(ours, AdapterError)
    assert not ours.temporary


@pytest.mark.parametrize(("status", "in_doubt"), [(500, True), (502, True), (503, False), (504, True), (400, False)])
def test_what_failed_halfway_is_in_doubt(status: int, *, in_doubt: bool) -> None:
    error = from_code("Whatever", "", what="x", status=status)

    assert isinstance(error, AdapterError)
    assert error.in_doubt is in_doubt


@pytest.mark.parametrize(
    ("error", "expected", "in_doubt"),
    [
        (botocore.EndpointConnectionError(endpoint_url="http://x"), Unavailable, False),
        (botocore.ConnectTimeoutError(endpoint_url="http://x"), Unavailable, False),
        (botocore.ConnectionClosedError(endpoint_url="http://x"), Unavailable, True),
        (botocore.ReadTimeoutError(endpoint_url="http://x"), Unavailable, True),
        (botocore.HTTPClientError(error="?"), Unavailable, True),
        (botocore.CredentialRetrievalError(provider="role", error_msg="?"), Unavailable, False),
        (TimeoutError(), Unavailable, True),
        (ConnectionResetError(), Unavailable, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_a_lost_answer_is_in_doubt_and_a_request_that_never_left_is_not(
    error: BaseException, expected: type[AdapterError], *, in_doubt: bool
) -> None:
    told = from_exception(error, what="x")

    assert isinstance(told, expected)
    assert told.temporary
    assert told.in_doubt is in_doubt


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (botocore.NoCredentialsError(), "AWS_ACCESS_KEY_ID"),
        (botocore.NoRegionError(), "region="),
        (botocore.ProfileNotFound(profile="work"), "profile="),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_a_wrong_deployment_is_told_in_one_line_with_a_way_out(error: BaseException, advice: str) -> None:
    told = from_exception(error, what="opening SQS")

    assert isinstance(told, ConfigurationError)
    assert advice in str(told)
    assert "\n" not in str(told)


def test_of_a_page_only_its_words_are_told() -> None:
    page = "<!doctype html>\n<html lang=en><title>502 Bad Gateway</title>\n<h1>Bad Gateway</h1>"

    assert str(from_code("502", page, what="x", status=502)) == "x: 502: 502 Bad Gateway Bad Gateway"


def test_long_texts_are_cut() -> None:
    assert len(str(from_code("InvalidMessageContents", "secret " * 1000, what="x"))) < 400


def test_every_named_exception_exists() -> None:
    from aiohttp import client_exceptions
    from botocore import parsers

    known = {*vars(botocore), *vars(parsers), *vars(client_exceptions), "TimeoutError", "OSError"}

    assert EXCEPTIONS.keys() <= known


def test_no_code_is_listed_with_its_prefix() -> None:
    assert not [code for code in CODES if "." in code or "#" in code]

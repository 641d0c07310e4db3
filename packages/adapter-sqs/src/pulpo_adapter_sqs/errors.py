"""What AWS and its client say went wrong, and what it means to pulpo: two tables, read by name.

A code that is not listed is temporary when the answer had a status of 500 or above, and final
otherwise. Names of the client's own exceptions are matched along their line of descent, so that
this module needs no driver to be imported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

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

#: Texts of AWS are cut to this: some of them repeat the value that was refused.
_LONGEST_TEXT: Final = 300

#: Error codes without their prefix (``AWS.SimpleQueueService.``), as both protocols of SQS and SNS spell them.
CODES: Final[Mapping[str, type[PulpoError]]] = {
    "NonExistentQueue": QueueNotFound,
    "QueueDoesNotExist": QueueNotFound,
    "NotFound": QueueNotFound,  # SNS, for a topic
    "NotFoundException": QueueNotFound,
    "AccessDenied": PermissionDenied,
    "AccessDeniedException": PermissionDenied,
    "AuthorizationError": PermissionDenied,  # SNS
    "AuthorizationErrorException": PermissionDenied,
    "AuthFailure": PermissionDenied,
    "IncompleteSignature": PermissionDenied,
    "InvalidAccessKeyId": PermissionDenied,
    "InvalidClientTokenId": PermissionDenied,
    "InvalidSecurity": PermissionDenied,
    "KmsAccessDenied": PermissionDenied,
    "MissingAuthenticationToken": PermissionDenied,
    "NotAuthorized": PermissionDenied,
    "OptInRequired": PermissionDenied,
    "SignatureDoesNotMatch": PermissionDenied,
    "UnrecognizedClientException": PermissionDenied,
    "KmsDisabled": ConfigurationError,
    "KmsInvalidKeyUsage": ConfigurationError,
    "KmsInvalidState": ConfigurationError,
    "KmsNotFound": ConfigurationError,
    "KmsOptInRequired": ConfigurationError,
    "InvalidAttributeName": ConfigurationError,
    "InvalidAttributeValue": ConfigurationError,
    "QueueNameExists": ConfigurationError,
    "QueueAlreadyExists": ConfigurationError,
    "MessageNotInflight": LeaseLost,
    "ReceiptHandleIsInvalid": LeaseLost,
    "BatchRequestTooLong": MessageTooLarge,
    "InvalidBatchSize": MessageTooLarge,
    "UnsupportedOperation": Unsupported,
    # Credentials that ended are usually followed by fresh ones; until then nothing can be done.
    "ExpiredToken": Unavailable,
    "ExpiredTokenException": Unavailable,
    "RequestExpired": Unavailable,
    "RequestTimeTooSkewed": Unavailable,
    "InternalError": Unavailable,
    "InternalErrorException": Unavailable,
    "InternalFailure": Unavailable,
    "KmsThrottled": Unavailable,
    "LimitExceededException": Unavailable,
    "OverLimit": Unavailable,
    "PurgeQueueInProgress": Unavailable,
    "QueueDeletedRecently": Unavailable,
    "RequestThrottled": Unavailable,
    "RequestTimeout": Unavailable,
    "ServiceUnavailable": Unavailable,
    "SlowDown": Unavailable,
    "Throttled": Unavailable,
    "ThrottledException": Unavailable,
    "Throttling": Unavailable,
    "ThrottlingException": Unavailable,
    "TooManyRequestsException": Unavailable,
}

#: What AWS says under a general code, recognised by its words.
_WORDS: Final[tuple[tuple[str, type[PulpoError]], ...]] = (
    ("receipt handle", LeaseLost),
    ("receipthandle", LeaseLost),
    ("12 hours", LeaseLost),  # the ceiling of visibility: the lease cannot go on
    ("must be shorter than", MessageTooLarge),
)
_GENERAL: Final = frozenset({"InvalidParameterValue", "InvalidParameterValueException", "InvalidParameter"})

#: The server began the work and failed in the middle of it: it may be done.
_HALF_DONE: Final = frozenset({"InternalError", "InternalErrorException", "InternalFailure", "RequestTimeout"})

#: Exceptions of the client, by the name of their class; `True`: the request was sent, its answer is lost.
EXCEPTIONS: Final[Mapping[str, tuple[type[PulpoError], bool]]] = {
    "NoCredentialsError": (ConfigurationError, False),
    "NoAuthTokenError": (ConfigurationError, False),
    "PartialCredentialsError": (ConfigurationError, False),
    "ProfileNotFound": (ConfigurationError, False),
    "ConfigNotFound": (ConfigurationError, False),
    "ConfigParseError": (ConfigurationError, False),
    "NoRegionError": (ConfigurationError, False),
    "InvalidRegionError": (ConfigurationError, False),
    "UnknownEndpointError": (ConfigurationError, False),
    "EndpointProviderError": (ConfigurationError, False),
    "InvalidConfigError": (ConfigurationError, False),
    "UnauthorizedSSOTokenError": (ConfigurationError, False),
    "SSOTokenLoadError": (ConfigurationError, False),
    "CredentialRetrievalError": (Unavailable, False),
    "MetadataRetrievalError": (Unavailable, False),
    "TokenRetrievalError": (Unavailable, False),
    "ConnectTimeoutError": (Unavailable, False),
    "EndpointConnectionError": (Unavailable, False),
    "ProxyConnectionError": (Unavailable, False),
    "SSLError": (Unavailable, False),
    "ConnectionClosedError": (Unavailable, True),
    "ReadTimeoutError": (Unavailable, True),
    "HTTPClientError": (Unavailable, True),
    "ConnectionError": (Unavailable, True),
    "ResponseParserError": (Unavailable, True),
    "TimeoutError": (Unavailable, True),
    "ClientError": (Unavailable, True),  # aiohttp's: a connection that went in the middle of an answer
    "OSError": (Unavailable, True),
}

_MARKUP: Final = re.compile(r"<[!/a-zA-Z][^>]*>")

#: What to do about it, added to the text of a deployment that is wrong.
_ADVICE: Final[Mapping[str, str]] = {
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, name a profile=, or give the host a role",
    "NoRegionError": "add region= to the URL or set AWS_REGION",
    "ProfileNotFound": "name a profile of the AWS configuration files in profile=",
    "EndpointConnectionError": "check the region, endpoint_url= and the network",
}


def from_code(code: str, text: str, *, what: str, status: int = 400) -> PulpoError:
    """The error that AWS meant by *code*.

    Args:
        text: AWS's own words.
        what: which request of which queue it was, for the reader.
        status: of the HTTP answer.
    """
    name = code.rpartition("#")[2].rpartition(".")[2]
    kind = CODES.get(name) or _by_words(name, text) or (Unavailable if status >= 500 else AdapterError)
    return _made(kind, f"{what}: {name}: {_shortened(text)}", in_doubt=name in _HALF_DONE or status in {500, 502, 504})


def _by_words(name: str, text: str) -> type[PulpoError] | None:
    words = text.lower()
    if name not in _GENERAL:
        return None
    return next((kind for phrase, kind in _WORDS if phrase in words), None)


def from_exception(error: BaseException, *, what: str) -> PulpoError:
    """The error behind an exception of the client; to be raised ``from`` it."""
    answer = getattr(error, "response", None)
    if isinstance(answer, Mapping) and "Error" in answer:
        return _from_answer(answer, what)
    for cls in type(error).__mro__:
        if cls.__name__ in EXCEPTIONS:
            kind, in_doubt = EXCEPTIONS[cls.__name__]
            return _made(kind, _sentence(what, cls.__name__, error), in_doubt=in_doubt)
    return AdapterError(_sentence(what, type(error).__name__, error))


def _from_answer(answer: Mapping[str, Any], what: str) -> PulpoError:
    said = answer["Error"]
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return from_code(str(said.get("Code", "")), str(said.get("Message", "")), what=what, status=status)


def _sentence(what: str, name: str, error: BaseException) -> str:
    advice = f"; {_ADVICE[name]}" if name in _ADVICE else ""
    return f"{what}: {_shortened(str(error)).rstrip('.') or name}{advice}"


def _shortened(text: str) -> str:
    """*text* in one line; of a page, which is what a proxy answers with, its words."""
    return " ".join(_MARKUP.sub(" ", text).split())[:_LONGEST_TEXT]


def _made(kind: type[PulpoError], text: str, *, in_doubt: bool) -> PulpoError:
    if issubclass(kind, AdapterError):
        return kind(text, in_doubt=in_doubt)
    return kind(text)

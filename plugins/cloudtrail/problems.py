"""The failures of AWS: their causes, their remedies, and which of them can pass."""

from __future__ import annotations

from enum import Enum

import botocore.exceptions as failures
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

FAILURES = (BotoCoreError, ClientError, ResponseParserError, HTTPError, OSError)
"""The exceptions of requests, and of reading their answers."""


class Kind(Enum):
    """The consequence of a failure."""

    PASSING = "passing"
    """Another attempt may succeed."""
    CREDENTIALS = "credentials"
    """An attempt with new credentials may succeed, which the chain of credentials may have later."""
    OBJECT = "object"
    """This object cannot be read. Others may be readable."""
    DENIED = "denied"
    """A permission is missing."""
    FINAL = "final"
    """An operator must change something."""


class AwsError(Exception):
    """A request failed. The message has the action, the cause and the remedy.

    Attributes:
        kind: the consequence.
        code: the error code of AWS, or the name of the exception.
    """

    def __init__(self, text: str, kind: Kind, code: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.code = code


def explain(failure: Exception, action: str) -> AwsError:
    """Returns the error of a failed request.

    Args:
        failure: one of `FAILURES`.
        action: the failed action, such as ``read s3://bucket/key``.
    """
    if isinstance(failure, ClientError):
        return _explain_answer(failure, action)
    for types, kind, remedy in _EXCEPTIONS:
        if isinstance(failure, types):
            return _error(action, str(failure).rstrip("."), kind, type(failure).__name__, remedy)
    # The rest are mistakes in the configuration that botocore finds, such as an invalid name of a bucket.
    return _error(action, str(failure).rstrip("."), Kind.FINAL, type(failure).__name__, "correct the configuration")


def _explain_answer(failure: ClientError, action: str) -> AwsError:
    error = failure.response.get("Error", {})
    status = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = str(error.get("Code", status)).rpartition("#")[2]
    text = str(error.get("Message", "") or "").strip().rstrip(".")
    cause = f"{code} ({text})" if text and text != code else code
    if code in _DENIED:
        permission = _PERMISSIONS.get(failure.operation_name, failure.operation_name)
        return _error(action, cause, Kind.DENIED, code, f"allow {permission}")
    # SQS reports a wrong clock as a wrong signature.
    if code in _SKEWED or (code == "SignatureDoesNotMatch" and "Signature" in text and "expired" in text):
        return _error(action, cause, Kind.PASSING, code, "set the clock of this machine, such as with NTP")
    for codes, kind, remedy in _CODES:
        if code in codes:
            return _error(action, cause, kind, code, remedy)
    if status >= _SERVER_ERROR or status == _TOO_MANY or "Throttl" in code:
        return _error(action, cause, Kind.PASSING, code, "")
    return _error(action, cause, Kind.FINAL, code, "correct the configuration")


def _error(action: str, cause: str, kind: Kind, code: str, remedy: str) -> AwsError:
    return AwsError(f"cannot {action}: {cause}{f': {remedy}' if remedy else ''}", kind, code)


_SERVER_ERROR = 500
_TOO_MANY = 429

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "403", "AuthorizationError", "AllAccessDisabled"})
_SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"})

_PERMISSIONS = {
    "ListObjectsV2": "s3:ListBucket on the bucket",
    "GetObject": "s3:GetObject on its objects, and kms:Decrypt on their key if they are encrypted with KMS",
    "GetQueueUrl": "sqs:GetQueueUrl on the queue",
    "GetQueueAttributes": "sqs:GetQueueAttributes on the queue",
    "ReceiveMessage": "sqs:ReceiveMessage on the queue, and kms:Decrypt on its key if it is encrypted with KMS",
    "DeleteMessageBatch": "sqs:DeleteMessage on the queue",
    "ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility on the queue",
    "AssumeRole": "sts:AssumeRole on the role, and trust this identity in the role's policy",
}

_CODES: tuple[tuple[frozenset[str], Kind, str], ...] = (
    (
        frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}),
        Kind.CREDENTIALS,
        "renew the credentials",
    ),
    (
        frozenset({
            "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "UnrecognizedClientException",
            "SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken", "AuthFailure", "NotSignedUp",
        }),
        Kind.CREDENTIALS,
        "correct the credentials",
    ),
    (frozenset({"NoSuchKey", "404"}), Kind.OBJECT, "the object was deleted"),
    (frozenset({"InvalidObjectState"}), Kind.OBJECT, "restore it from the archive"),
    (
        frozenset({"KMS.DisabledException", "KMS.InvalidStateException", "KMS.NotFoundException"}),
        Kind.OBJECT,
        "enable its key in KMS",
    ),
    (frozenset({"NoSuchBucket"}), Kind.FINAL, "correct the name of the bucket"),
    (
        frozenset({
            "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NonExistentQueue",
            "AWS.SimpleQueueService.QueueDoesNotExist",
        }),
        Kind.FINAL,
        "create the queue, or set its name, aws.region and sqsOwnerAccount correctly",
    ),
    (
        frozenset({"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}),
        Kind.FINAL,
        "set aws.region to the region of the bucket",
    ),
    (
        frozenset({
            "SlowDown", "RequestTimeout", "RequestLimitExceeded", "BandwidthLimitExceeded", "OverLimit",
            "AWS.SimpleQueueService.OverLimit", "RequestThrottled", "KmsThrottled", "InternalError",
            "ServiceUnavailable", "PriorRequestNotComplete", "OperationAborted",
        }),
        Kind.PASSING,
        "",
    ),
)  # fmt: skip
"""Error codes, their consequence, and the remedy. Codes that end with a status from 500 on pass, too."""

_SET_CREDENTIALS = "set aws.profile, or the credentials in the environment, in a file, or of the machine's role"

_EXCEPTIONS: tuple[tuple[tuple[type[Exception], ...], Kind, str], ...] = (
    ((failures.NoCredentialsError, failures.PartialCredentialsError), Kind.CREDENTIALS, _SET_CREDENTIALS),
    (
        (
            failures.CredentialRetrievalError,
            failures.TokenRetrievalError,
            failures.SSOError,
            failures.MetadataRetrievalError,
        ),
        Kind.CREDENTIALS,
        "renew the credentials",
    ),
    ((failures.ProfileNotFound,), Kind.FINAL, "correct aws.profile, or add the profile to the file of aws.config"),
    ((failures.NoRegionError,), Kind.FINAL, "set aws.region, AWS_REGION or the region of the profile"),
    (
        (failures.SSLError,),
        Kind.PASSING,
        "check the certificates of this machine, or of the proxy",
    ),
    (
        (
            failures.ConnectionError,
            failures.HTTPClientError,
            failures.IncompleteReadError,
            ResponseParserError,
            failures.FlexibleChecksumError,
            HTTPError,
            OSError,
        ),
        Kind.PASSING,
        "",
    ),
)
"""Exceptions, their consequence, and the remedy. The first match counts."""

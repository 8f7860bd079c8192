"""Tests the failures of AWS: which end the source with which message, and which pass."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import botocore.exceptions as failures
import pytest
from plugins.cloudtrail.client import Aws, ClosedError
from plugins.cloudtrail.config import AwsConfig
from plugins.cloudtrail.conftest import Consumer, Reading
from plugins.cloudtrail.problems import AwsError, Kind, explain
from plugins.cloudtrail.reports import Reports
from support.aws_server import KEY_ID, SECRET, Answer, AwsServer, log_file, wait_until
from urllib3.exceptions import ProtocolError

from falco_plugin import Context

Read = Callable[..., Reading]
Consume = Callable[..., Consumer]

DENIED = Answer(403, "AccessDenied", "User: arn:aws:iam::1:user/falco is not authorized")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the waits between attempts, those of botocore too."""
    monkeypatch.setattr("plugins.cloudtrail.client._FIRST_WAIT", 0.01)
    monkeypatch.setattr("plugins.cloudtrail.client._LONGEST_WAIT", 0.02)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)


@pytest.fixture
def bucket(aws: AwsServer) -> str:
    bucket = aws.new_bucket()
    for number in range(3):
        aws.put(bucket, f"{number}.json.gz", number)
    return bucket


# Failures that end the source


@pytest.mark.parametrize(
    ("operation", "answer", "message"),
    [
        ("ListObjectsV2", DENIED, "(User: arn:aws:iam::1:user/falco is not authorized): allow s3:ListBucket"),
        ("GetObject", DENIED, "allow s3:GetObject on its objects, and kms:Decrypt on their key"),
        ("ListObjectsV2", Answer(404, "NoSuchBucket"), "NoSuchBucket (injected): correct the name of the bucket"),
        ("ListObjectsV2", Answer(403, "InvalidAccessKeyId"), "InvalidAccessKeyId (injected): correct the credentials"),
        ("ListObjectsV2", Answer(400, "ExpiredToken"), "ExpiredToken (injected): renew the credentials"),
        ("ListObjectsV2", Answer(301, "PermanentRedirect"), "set aws.region to the region of the bucket"),
        ("ListObjectsV2", Answer(400, "SomethingNew"), "SomethingNew (injected): correct the configuration"),
    ],
)  # fmt: skip
def test_failure_that_cannot_pass_ends_the_source(
    aws: AwsServer, bucket: str, read: Read, operation: str, answer: Answer, message: str
) -> None:
    aws.fail(operation, *[answer] * 10)
    with pytest.raises(AwsError) as raised:
        read(f"s3://{bucket}")
    action = f"read s3://{bucket}/0.json.gz" if operation == "GetObject" else f"list s3://{bucket}/"
    assert str(raised.value).startswith(f"cannot {action}: {answer.code}")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("aws_settings", "message"),
    [
        ({"profile": "none"}, "correct aws.profile, or add the profile to the file of aws.config"),
        ({"region": "not a region"}, "correct the configuration"),
    ],
)
def test_wrong_setting_is_an_error_at_the_start(
    bucket: str, read: Read, aws_settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(AwsError) as raised:
        read(f"s3://{bucket}", aws=aws_settings)
    assert message in str(raised.value)


@pytest.mark.parametrize("setting", ["config", "credentials"])
def test_missing_file_of_aws_is_an_error_at_the_start(bucket: str, read: Read, setting: str) -> None:
    with pytest.raises(ValueError, match=f"aws.{setting}: there is no file /none: correct the path"):
        read(f"s3://{bucket}", aws={setting: "/none"})


def test_missing_credentials_are_an_error_at_the_start(
    bucket: str, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").write_text("")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AwsError, match=r"Unable to locate credentials: set aws\.profile, or the credentials in"):
        read(f"s3://{bucket}", aws={"credentials": str(tmp_path / "empty")})


def test_missing_region_of_a_queue_is_an_error_at_the_start(consume: Consume, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(AwsError, match=r"set aws\.region, AWS_REGION or the region of the profile"):
        consume("sqs://queue", aws={"region": "", "endpoint": ""})


@pytest.mark.parametrize(
    ("params", "config", "message"),
    [
        ("s3://", {}, "open_params: s3:// has no bucket: write s3://bucket/prefix"),
        ("s3:///key", {}, "has no bucket"),
        ("s3://b", {"s3Interval": "soon"}, "s3Interval 'soon'"),
        ("s3://b", {"s3AccountList": "12345"}, "s3AccountList: '12345' is not an account id: write its 12 digits"),
    ],
)
def test_wrong_settings_of_s3_are_refused(read: Read, params: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"open_params|s3") as raised:
        read(params, **config)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"s3PollSeconds": 1}, "is not a folder of a trail, so s3PollSeconds cannot find new log files"),
        ({"s3AccountList": "123456789012"}, "has no accounts for s3AccountList: write the path up to AWSLogs/"),
    ],
)
def test_settings_that_need_the_layout_of_a_trail_are_refused(
    bucket: str, read: Read, config: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match="open_params") as raised:
        read(f"s3://{bucket}", **config)
    assert message in str(raised.value)


# Failures that pass


@pytest.mark.parametrize(
    ("answer", "report"),
    [
        (Answer(503, "SlowDown"), "SlowDown (injected); trying again"),
        (Answer(500, "InternalError"), "InternalError (injected); trying again"),
        (Answer(502, "Strange"), "Strange (injected); trying again"),
        (Answer(400, "ThrottlingException"), "ThrottlingException (injected); trying again"),
        (Answer(403, "RequestTimeTooSkewed"), "set the clock of this machine, such as with NTP; trying again"),
        (Answer(400, "ExpiredToken"), "renew the credentials; trying again"),
        (Answer(403, "InvalidAccessKeyId"), "correct the credentials; trying again"),
        (Answer(200, "", cut=5), "trying again"),
    ],
)
def test_failure_that_can_pass_is_repeated_and_loses_nothing(
    aws: AwsServer, bucket: str, read: Read, answer: Answer, report: str
) -> None:
    # The first listing checks the bucket when the source is opened.
    left: dict[str, list[Answer | None]] = {"ListObjectsV2": [None, *[answer] * 4], "GetObject": [answer] * 4}
    aws.faults.append(lambda request: left[request.operation].pop(0) if left.get(request.operation) else None)
    found = read(f"s3://{bucket}")
    assert found.ids == ["0", "1", "2"]
    assert left == {"ListObjectsV2": [], "GetObject": []}
    assert report in found.log[0]


def test_failure_that_can_pass_does_not_prevent_the_start(aws: AwsServer, bucket: str, read: Read) -> None:
    aws.fail("ListObjectsV2", *[Answer(503, "SlowDown")] * 4)
    found = read(f"s3://{bucket}")
    assert found.ids == ["0", "1", "2"]
    assert f"cannot list s3://{bucket}/: SlowDown (injected); trying again" in found.log[0]


def test_server_that_is_away_does_not_prevent_the_start(read: Read, aws: AwsServer, bucket: str) -> None:
    aws.faults.append(lambda _: aws.faults.clear() or Answer(503, "ServiceUnavailable"))
    assert read(f"s3://{bucket}").ids == ["0", "1", "2"]


def test_new_credentials_are_read_after_the_old_ones_expired(
    aws: AwsServer, bucket: str, read: Read, aws_config: dict[str, Any]
) -> None:
    credentials = Path(aws_config["credentials"])

    def expire(request: Any) -> Answer | None:
        if request.operation == "GetObject" and f"Credential={KEY_ID}/" in request.headers["Authorization"]:
            credentials.write_text(f"[default]\naws_access_key_id = AKIANEW\naws_secret_access_key = {SECRET}\n")
            return Answer(400, "ExpiredToken")
        return None

    aws.faults.append(expire)
    assert read(f"s3://{bucket}").ids == ["0", "1", "2"]
    assert "Credential=AKIANEW/" in aws.requests[-1].headers["Authorization"]


def test_bucket_of_another_region_is_found(aws: AwsServer, bucket: str, read: Read) -> None:
    def redirect(request: Any) -> Answer | None:
        if "/eu-west-1/s3/" in request.headers["Authorization"]:
            return None
        return Answer(301, "PermanentRedirect", headers=(("x-amz-bucket-region", "eu-west-1"),))

    aws.faults.append(redirect)
    assert read(f"s3://{bucket}").ids == ["0", "1", "2"]


def test_role_is_assumed(aws: AwsServer, bucket: str, read: Read) -> None:
    found = read(f"s3://{bucket}", aws={"role": "arn:aws:iam::123456789012:role/reader"})
    assert found.ids == ["0", "1", "2"]
    [request] = [request for request in aws.requests if request.operation == "AssumeRole"]
    assert b"RoleSessionName=falco" in request.body
    assert b"role%2Freader" in request.body
    assert "X-Amz-Security-Token" in aws.requests[-1].headers


def test_role_that_cannot_be_assumed_is_an_error_at_the_start(aws: AwsServer, bucket: str, read: Read) -> None:
    aws.fail("AssumeRole", DENIED)
    with pytest.raises(AwsError, match="allow sts:AssumeRole on the role, and trust this identity"):
        read(f"s3://{bucket}", aws={"role": "arn:aws:iam::123456789012:role/reader"})


def test_profile_chooses_region_and_credentials(aws: AwsServer, bucket: str, read: Read, tmp_path: Path) -> None:
    config, credentials = tmp_path / "config", tmp_path / "other"
    config.write_text("[profile audit]\nregion = eu-central-1\n")
    credentials.write_text(f"[audit]\naws_access_key_id = AKIAAUDIT\naws_secret_access_key = {SECRET}\n")
    settings = {"profile": "audit", "config": str(config), "credentials": str(credentials), "region": ""}
    assert read(f"s3://{bucket}", aws=settings).ids == ["0", "1", "2"]
    assert "Credential=AKIAAUDIT/" in aws.requests[-1].headers["Authorization"]
    assert "/eu-central-1/s3/" in aws.requests[-1].headers["Authorization"]


# Single objects


def test_unreadable_objects_are_reported_and_skipped(aws: AwsServer, bucket: str, read: Read) -> None:
    contents = {
        "3.json.gz": gzip.compress(log_file("3-1", "3-2"))[:-10],
        "4.json": b"not JSON",
        "5.json": b'{"Records":[]}',
        "6.json": b'{"digestStartTime":"2026-01-31T18:00:00Z"}',
        "7.json": log_file("7").replace(b'"eventID"', b'"eventID":"x","padding":"' + b"x" * 2000 + b'","eventID"') ,
        "8.json": log_file("8"),
    }  # fmt: skip
    for key, content in contents.items():
        aws.put_bytes(bucket, key, content)
    aws.faults.append(
        lambda request: Answer(404, "NoSuchKey") if request.path.endswith("1.json.gz") else
        Answer(403, "InvalidObjectState") if request.path.endswith("2.json.gz") else None
    )  # fmt: skip
    found = read(f"s3://{bucket}", maxEventSize=1000)
    assert (found.ids[0], found.ids[-1]) == ("0", "8")
    assert "7" not in found.ids
    log = "\n".join(found.log)
    for text in (
        f"cannot read s3://{bucket}/1.json.gz: NoSuchKey (injected): the object was deleted",
        f"cannot read s3://{bucket}/2.json.gz: InvalidObjectState (injected): restore it from the archive",
        f"s3://{bucket}/3.json.gz: the gzip data is truncated",
        f"s3://{bucket}/4.json: has no readable Records",
        f"s3://{bucket}/7.json: records larger than 1000 bytes were skipped: 1",
    ):
        assert text in log
    assert found.plugin.unreadable_files.value == 4
    assert found.plugin.files.value == 5


def test_object_that_is_too_large_is_not_read(
    aws: AwsServer, bucket: str, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugins.cloudtrail.downloads.LARGEST_OBJECT", 200)
    aws.put_bytes(bucket, "1.json.gz", b"x" * 201)
    found = read(f"s3://{bucket}")
    assert found.ids == ["0", "2"]
    assert found.log == [f"cannot read s3://{bucket}/1.json.gz: it is larger than 200 bytes"]


# Queues


def test_queue_that_does_not_exist_is_an_error_at_the_start(aws: AwsServer, consume: Consume) -> None:
    with pytest.raises(AwsError, match="create the queue, or set its name, aws"):
        consume("sqs://none")


def test_queue_that_disappears_ends_the_source(aws: AwsServer, consume: Consume) -> None:
    queue = aws.new_queue()
    consumer = consume(queue.params).start()
    wait_until(lambda: aws.count("ReceiveMessage") > 0)
    aws.sqs.delete_queue(QueueUrl=queue.url)
    assert f"cannot read the queue {queue.name}: " in consumer.wait_for_error()
    assert "create the queue" in str(consumer.error)


@pytest.mark.parametrize(
    ("operation", "answer", "message"),
    [
        ("GetQueueUrl", Answer(403, "AccessDenied"), "allow sqs:GetQueueUrl on the queue"),
        ("ReceiveMessage", Answer(403, "AccessDenied"), "allow sqs:ReceiveMessage on the queue, and kms:Decrypt"),
    ],
)
def test_missing_permission_of_a_queue_ends_the_source(
    aws: AwsServer, consume: Consume, operation: str, answer: Answer, message: str
) -> None:
    queue = aws.new_queue()
    aws.fail(operation, *[answer] * 10)
    try:
        error = consume(queue.params).start().wait_for_error()
    except AwsError as failure:
        error = str(failure)
    assert message in error


def test_queue_works_without_the_permission_to_read_its_attributes(
    aws: AwsServer, bucket: str, consume: Consume, caplog: pytest.LogCaptureFixture
) -> None:
    queue = aws.new_queue()
    queue.announce(bucket, "0.json.gz")
    aws.fail("GetQueueAttributes", Answer(403, "AccessDenied"))
    assert consume(queue.params).start().take(1) == ["0"]
    assert "allow sqs:GetQueueAttributes on the queue; its visibility timeout is assumed to be 30 s" in caplog.text


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("GetQueueUrl", Answer(503, "ServiceUnavailable")),
        ("ReceiveMessage", Answer(400, "RequestThrottled")),
        ("ReceiveMessage", Answer(403, "OverLimit")),
        ("ReceiveMessage", Answer(403, "SignatureDoesNotMatch", "Signature expired: it is now earlier than that")),
        ("DeleteMessageBatch", Answer(503, "ServiceUnavailable")),
    ],
)
def test_queue_survives_failures_that_can_pass(
    aws: AwsServer, bucket: str, consume: Consume, operation: str, answer: Answer
) -> None:
    queue = aws.new_queue()
    queue.announce(bucket, "0.json.gz", "1.json.gz")
    aws.fail(operation, *[answer] * 4)
    assert consume(queue.params).start().take(2) == ["0", "1"]
    wait_until(lambda: not queue.count())


def test_message_that_cannot_be_deleted_is_reported(
    aws: AwsServer, bucket: str, consume: Consume, caplog: pytest.LogCaptureFixture
) -> None:
    queue = aws.new_queue()
    queue.announce(bucket, "0.json.gz")
    aws.fail("DeleteMessageBatch", Answer(403, "AccessDenied"))
    consumer = consume(queue.params).start()
    assert consumer.take(1) == ["0"]
    wait_until(lambda: "allow sqs:DeleteMessage on the queue" in caplog.text)
    queue.announce(bucket, "1.json.gz")
    assert consumer.take(1) == ["1"]


# The table of failures


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (failures.EndpointConnectionError(endpoint_url="x"), Kind.PASSING),
        (failures.ConnectTimeoutError(endpoint_url="x"), Kind.PASSING),
        (failures.ReadTimeoutError(endpoint_url="x"), Kind.PASSING),
        (failures.ProxyConnectionError(proxy_url="x"), Kind.PASSING),
        (failures.SSLError(endpoint_url="x", error="y"), Kind.PASSING),
        (failures.IncompleteReadError(actual_bytes=1, expected_bytes=2), Kind.PASSING),
        (failures.FlexibleChecksumError(error_msg="x"), Kind.PASSING),
        (ProtocolError("broken"), Kind.PASSING),
        (ConnectionResetError(), Kind.PASSING),
        (failures.CredentialRetrievalError(provider="x", error_msg="y"), Kind.CREDENTIALS),
        (failures.UnauthorizedSSOTokenError(), Kind.CREDENTIALS),
        (failures.PartialCredentialsError(provider="x", cred_var="y"), Kind.CREDENTIALS),
        (failures.ParamValidationError(report="x"), Kind.FINAL),
        (failures.UnknownServiceError(service_name="x", known_service_names=""), Kind.FINAL),
        (failures.ConfigParseError(path="x"), Kind.FINAL),
    ],
)  # fmt: skip
def test_exceptions_of_botocore_have_a_consequence(failure: Exception, kind: Kind) -> None:
    error = explain(failure, "do it")
    assert error.kind is kind
    assert str(error).startswith("cannot do it: ")


def test_closing_ends_an_attempt_that_is_repeated(aws: AwsServer, aws_config: dict[str, Any]) -> None:
    context = Context()
    client = Aws(AwsConfig(**aws_config), 1, Reports(logging.getLogger("test")))

    def fail(_: object) -> None:
        context.cancel()
        raise ConnectionResetError

    with pytest.raises(ClosedError):
        client.persist(context, "s3", "do it", fail)

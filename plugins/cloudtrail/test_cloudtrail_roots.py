"""The self-contained library in a minimal system without Python, which reads from the server of moto.

``make test-roots`` runs this. It needs debootstrap, and must run as root.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from plugins.cloudtrail.conftest import CLOUDTRAIL
from support.aws_server import ACCOUNT, KEY_ID, REGION, SECRET, AwsServer, trail_key, wait_until
from support.hosts import native_path, run
from support.paths import REPOSITORY
from support.roots import FILES, SUITES, Limits, run_in_root

pytestmark = [pytest.mark.roots, pytest.mark.slow]

LARGEST = 16_000_000
"""Bytes of the largest library."""
NONE = Limits()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cloudtrail") / "libcloudtrail.so"
    ran = run(REPOSITORY / ".venv/bin/falco-plugin", "build", CLOUDTRAIL, "-o", path)
    assert ran.status == 0, ran.stderr
    assert path.stat().st_size < LARGEST
    return path


@pytest.fixture
def read(built: Path, aws: AwsServer) -> Callable[..., list[str]]:
    """Runs the plugin in a root until it has made so many events, and returns the ids of their records."""

    def read(suite: str, params: str, count: int, limits: Limits = NONE) -> list[str]:
        credentials = f"[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n".encode()
        files = {"libcloudtrail.so": built, "host": native_path(), "credentials": credentials}
        settings = {"endpoint": aws.endpoint, "region": REGION, "credentials": f"{FILES}/credentials"}
        options = ["--config", json.dumps({"aws": settings}), "--params", params, "--limit", str(count), "--json"]
        ran = run_in_root(suite, files, [f"{FILES}/host", "run", f"{FILES}/libcloudtrail.so", *options], limits)
        assert ran.status == 0, ran.stdout + ran.stderr
        return [json.loads(line["data"])["eventID"] for line in ran.lines if line["kind"] == "event"]

    return read


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize(
    "limits", [NONE, Limits(read_only=True, noexec=["/run"], user=True)], ids=["root", "user, read-only"]
)
def test_library_reads_a_bucket_without_python(
    aws: AwsServer, read: Callable[..., list[str]], suite: str, limits: Limits
) -> None:
    bucket = aws.new_bucket()
    aws.put(bucket, trail_key("20260131T1800"), 1, 2)
    aws.put(bucket, trail_key("20260131T1805", region="eu-west-1"), 3)
    assert read(suite, f"s3://{bucket}/AWSLogs/{ACCOUNT}/", 3, limits) == ["1", "2", "3"]


@pytest.mark.parametrize("suite", SUITES)
def test_library_reads_a_queue_without_python(aws: AwsServer, read: Callable[..., list[str]], suite: str) -> None:
    bucket, queue = aws.new_bucket(), aws.new_queue()
    aws.put(bucket, "a.json.gz", 1, 2)
    queue.announce(bucket, "a.json.gz")
    assert read(suite, queue.params, 2) == ["1", "2"]
    wait_until(lambda: queue.count() <= 1)

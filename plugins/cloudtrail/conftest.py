"""Fixtures that run the plugin with the server of `support.aws_server`, in this process or in the native host."""

from __future__ import annotations

import functools
import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest
from plugins.cloudtrail.config import Config
from plugins.cloudtrail.plugin import CloudTrail
from support.aws_server import KEY_ID, REGION, SECRET, AwsServer, run_moto
from support.hosts import run_command
from support.libraries import KIND

from falco_plugin import Context
from falco_plugin.testing import RunningPlugin

if TYPE_CHECKING:
    from plugins.cloudtrail.s3 import S3Source
    from plugins.cloudtrail.sqs import SqsSource

CLOUDTRAIL = Path(__file__).parent


@functools.cache
def _loader() -> object:
    """Returns a loader that keeps the data of S3 and SQS, because parsing it takes long."""
    from botocore.loaders import Loader

    return Loader()


def _configured(settings: dict[str, Any]) -> CloudTrail:
    plugin = CloudTrail()
    plugin.config = msgspec.convert(settings, Config)
    return plugin


def _open(plugin: CloudTrail, params: str) -> S3Source | SqsSource:
    # The client of AWS takes long to import, so tests of files do without it.
    from plugins.cloudtrail.remote import open_reader

    return open_reader(plugin, params)


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Returns the port of a server of moto."""
    pytest.importorskip("flask_cors", reason="moto's server is missing: it is a requirement of development")
    pytest.importorskip("moto")
    with run_moto(tmp_path_factory.mktemp("moto") / "log") as port:
        yield port


@pytest.fixture
def aws(moto: int) -> Iterator[AwsServer]:
    server = AwsServer(moto)
    yield server
    server.close()


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of the plugin."""
    path = tmp_path_factory.mktemp("cloudtrail") / "libcloudtrail.so"
    built = run_command("build", *KIND, CLOUDTRAIL, "-o", path)
    assert built.status == 0, built.stderr
    return path


@pytest.fixture
def aws_config(aws: AwsServer, tmp_path: Path) -> dict[str, Any]:
    """The settings below ``aws`` that lead to the server."""
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[default]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n")
    return {"endpoint": aws.endpoint, "region": REGION, "credentials": str(credentials)}


class Reading(NamedTuple):
    """The items of a source that was read in this process."""

    ids: list[str]
    barriers: int
    log: list[str]
    plugin: CloudTrail


@pytest.fixture
def read(
    aws_config: dict[str, Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Reading]:
    """Opens the source, and reads it to its end, in this process."""
    monkeypatch.setattr("botocore.session.create_loader", lambda *_: _loader())

    def read(params: str, most: int | None = None, aws: dict[str, Any] | None = None, **config: Any) -> Reading:
        caplog.clear()
        plugin = _configured({"aws": {**aws_config, **(aws or {})}, **config})
        context = Context()
        items = _open(plugin, params).read(context)
        ids: list[str] = []
        barriers = 0
        try:
            for item in items:
                if item is None:
                    barriers += 1
                else:
                    ids.append(json.loads(item[0])["eventID"])
                if len(ids) == most:
                    break
        finally:
            context.cancel()
            items.close()
        assert SECRET not in caplog.text
        lines = [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING]
        return Reading(ids, barriers, lines, plugin)

    return read


@pytest.fixture
def start(library: Path, aws_config: dict[str, Any]) -> Iterator[Callable[..., RunningPlugin]]:
    """Starts the plugin in the native host."""
    with ExitStack() as stack:

        def start(params: str, fields: list[str] | None = [], **config: Any) -> RunningPlugin:  # noqa: B006
            settings = {"aws": aws_config, **config}
            return stack.enter_context(RunningPlugin(library, params, config=settings, fields=fields))

        yield start


def take(plugin: RunningPlugin, count: int) -> list[str]:
    return [json.loads(plugin.next_event(timeout=30).data)["eventID"] for _ in range(count)]


class Consumer:
    """Reads a queue in this process, on a thread, as Falco does.

    Barriers return immediately, unless ``hold`` was called: then Falco does not ask for more events.
    """

    def __init__(self, plugin: CloudTrail, params: str) -> None:
        self.plugin = plugin
        self.barriers = 0
        self.error: BaseException | None = None
        self._context = Context()
        self._ids: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._may_continue = threading.Event()
        self._may_continue.set()
        self._reader = _open(plugin, params)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Consumer:
        self._thread.start()
        return self

    def hold(self) -> Consumer:
        self._may_continue.clear()
        return self

    def proceed(self) -> None:
        self._may_continue.set()

    def take(self, count: int) -> list[str]:
        return [self._ids.get(timeout=30) for _ in range(count)]

    @property
    def rest(self) -> list[str]:
        return [self._ids.get() for _ in range(self._ids.qsize())]

    def close(self) -> None:
        self._context.cancel()
        self._may_continue.set()
        if self._thread.ident is not None:
            self._thread.join(10)
            assert not self._thread.is_alive()

    def wait_for_error(self) -> str:
        self._thread.join(30)
        assert self.error is not None
        return str(self.error)

    def _run(self) -> None:
        try:
            for item in self._reader.read(self._context):
                if item is None:
                    self.barriers += 1
                    self._may_continue.wait()
                else:
                    self._ids.put(json.loads(item[0])["eventID"])
        except BaseException as error:
            self.error = error


@pytest.fixture
def consume(
    aws_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[..., Consumer]]:
    """Opens a queue in this process. The test starts it."""
    monkeypatch.setattr("botocore.session.create_loader", lambda *_: _loader())
    # The server of moto waits in its own thread for so long.
    monkeypatch.setattr("plugins.cloudtrail.message_queue.LONG_POLL", 1)
    with ExitStack() as stack:

        def consume(params: str, aws: dict[str, Any] | None = None, **config: Any) -> Consumer:
            consumer = Consumer(_configured({"aws": {**aws_config, **(aws or {})}, **config}), params)
            stack.callback(consumer.close)
            return consumer

        yield consume
    assert SECRET not in caplog.text

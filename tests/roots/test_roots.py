"""Self-contained libraries in minimal systems without Python: only the library, the native host and a log.

``make test-roots`` runs this. It needs debootstrap, and must run as root.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from plugins.poller.conftest import AuditApi
from support.environments import sdk_environment
from support.hosts import Output, native_path, run
from support.http import self_signed
from support.paths import REPOSITORY
from support.roots import FILES, SUITES, Limits, run_in_root

Build = Callable[[str], Path]

pytestmark = [pytest.mark.roots, pytest.mark.slow]

PLUGINS = {
    "json_lines": REPOSITORY / "examples" / "json_lines.py",
    "k8saudit": REPOSITORY / "plugins" / "k8saudit",
    "poller": REPOSITORY / "plugins" / "poller",
    "kafka": REPOSITORY / "plugins" / "kafka",
    "https": Path(__file__).with_name("https_plugin.py"),
    "numpy": Path(__file__).with_name("numpy_plugin.py"),
}
LOG = b"".join(b'{"time": %d, "user": {"name": "user-%d", "groups": ["a", "b"]}}\n' % (10**18 + n, n) for n in range(5))
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
"""The store of Debian's certificates, which minimal roots do not have."""


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns a function that builds a self-contained library, once."""
    built: dict[str, Path] = {}

    def build(name: str) -> Path:
        if name not in built:
            path = tmp_path_factory.mktemp(name) / f"lib{name}.so"
            python = sdk_environment(("numpy",)) / "bin" if name == "numpy" else REPOSITORY / ".venv" / "bin"
            ran = run(python / "falco-plugin", "build", PLUGINS[name], "-o", path)
            assert ran.status == 0, ran.stderr
            built[name] = path
        return built[name]

    return build


@dataclass(frozen=True)
class Case:
    """A plugin, and the input that it reads in a root."""

    plugin: str
    params: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    added: Mapping[str, bytes] = field(default_factory=dict)
    """Other files of the root, by their path."""
    fields: Sequence[str] = ()
    limit: int = 5


def run_case(suite: str, case: Case, build: Build, limits: Limits = Limits()) -> Output:
    files = {"libplugin.so": build(case.plugin), "host": native_path(), **case.files}
    options = ["--limit", str(case.limit), "--json", "--config", json.dumps(case.config), "--params", case.params]
    if case.fields:
        options += ["--fields", ",".join(case.fields)]
    command = [f"{FILES}/host", "run", f"{FILES}/libplugin.so", *options]
    return run_in_root(suite, files, command, limits, added=case.added)


def payloads(ran: Output) -> list[str]:
    assert ran.status == 0, ran.stdout + ran.stderr
    return [line["data"] for line in ran.lines if line["kind"] == "event"]


LINES = Case("json_lines", f"{FILES}/log", files={"log": LOG}, fields=["json_lines.user"])


@pytest.mark.parametrize("suite", SUITES)
def test_standard_library_runs_in_root(suite: str, build: Build) -> None:
    ran = run_case(suite, LINES, build)
    assert payloads(ran) == LOG.decode().splitlines()


@pytest.mark.parametrize("suite", SUITES)
def test_k8saudit_runs_in_root(suite: str, build: Build) -> None:
    sample = (REPOSITORY / "plugins" / "k8saudit" / "sample.jsonl").read_bytes()
    case = Case("k8saudit", f"{FILES}/log", files={"log": sample}, fields=["ka.verb"], limit=3)
    assert len(payloads(run_case(suite, case, build))) == 3


@pytest.mark.parametrize("suite", SUITES)
def test_numpy_runs_in_root(suite: str, build: Build) -> None:
    found = payloads(run_case(suite, Case("numpy", limit=3), build))
    assert found == ["[-1  0  1]", "1014583970", "[0 2 0]"]


@pytest.fixture
def https(tmp_path: Path) -> Iterator[tuple[AuditApi, bytes]]:
    """Serves records by HTTPS. Returns the server, and the certificate that clients must trust."""
    certificate, key = self_signed()
    (tmp_path / "server.pem").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    api = AuditApi(last_page_has_link=True, tls=context)
    api.add(7)
    yield api, certificate
    api.close()


@pytest.mark.parametrize("suite", SUITES)
def test_https_trusts_certificates_of_root(suite: str, build: Build, https: tuple[AuditApi, bytes]) -> None:
    api, certificate = https
    ran = run_case(suite, Case("https", api.url, added={CERTIFICATES: certificate}), build)
    assert payloads(ran) == [(b"[" + b",".join(api.records[:5]) + b"]").decode()]


@pytest.mark.parametrize("suite", SUITES)
def test_https_rejects_unknown_certificate(suite: str, build: Build, https: tuple[AuditApi, bytes]) -> None:
    api, _ = https
    ran = run_case(suite, Case("https", api.url), build)
    assert ran.status == 1
    assert "CERTIFICATE_VERIFY_FAILED" in ran.stdout
    assert "install the package ca-certificates" in ran.stdout
    assert not api.requests


@pytest.mark.parametrize("suite", SUITES)
def test_poller_polls_by_https(suite: str, build: Build, https: tuple[AuditApi, bytes]) -> None:
    # Without a file, httpx trusts only the certificates of certifi.
    api, certificate = https
    config = {"token": f"file:{FILES}/token", "id_field": "uuid", "timestamp_field": "published", "interval": 0.02}
    files = {"token": b"secret", "ca.pem": certificate}
    ran = run_case(suite, Case("poller", api.url, {**config, "ca_file": f"{FILES}/ca.pem"}, files), build)
    assert payloads(ran) == [record.decode() for record in api.records[:5]]


@pytest.fixture
def broker() -> Iterator[str]:
    """Returns the address of a mock broker of librdkafka, with some records in its topic."""
    kafka = pytest.importorskip(
        "confluent_kafka", reason="confluent-kafka is missing: it has no wheels for Python 3.15"
    )
    producer = kafka.Producer({"bootstrap.servers": "replaced", "test.mock.num.brokers": 1, "log_level": 0})
    for number in range(5):
        producer.produce("audit", b'{"number":%d}' % number, partition=0)
    assert producer.flush(30) == 0
    (broker,) = producer.list_topics(timeout=30).brokers.values()
    yield f"{broker.host}:{broker.port}"
    producer.purge()  # the broker lives as long as its producer


@pytest.mark.parametrize("suite", SUITES)
def test_kafka_reads_topic_in_root(suite: str, build: Build, broker: str) -> None:
    ran = run_case(suite, Case("kafka", "audit", {"bootstrap_servers": broker}), build)
    assert payloads(ran) == [f'{{"number":{number}}}' for number in range(5)]


RESTRICTIONS = {
    "read-only": Limits(read_only=True),
    "read-only, ordinary user": Limits(read_only=True, user=True),
    "noexec": Limits(noexec=["/tmp", "/run", "/dev/shm", "/var/tmp"]),
    "ordinary user": Limits(user=True),
    "memfd noexec": Limits(memfd="noexec"),
    "memfd noexec, /tmp noexec": Limits(memfd="noexec", noexec=["/tmp"]),
    "memfd refused": Limits(memfd="refused"),
    "memfd refused, ordinary user": Limits(memfd="refused", user=True),
    "no /proc": Limits(proc=False),
    "no /proc, ordinary user": Limits(proc=False, user=True),
}


@pytest.mark.parametrize("limits", RESTRICTIONS.values(), ids=RESTRICTIONS)
@pytest.mark.parametrize("suite", SUITES)
def test_library_runs_in_restricted_root(suite: str, limits: Limits, build: Build) -> None:
    ran = run_case(suite, LINES, build, limits)
    assert payloads(ran) == LOG.decode().splitlines()


@pytest.mark.parametrize("suite", SUITES)
def test_init_without_place_for_python_reports_tried_folders(suite: str, build: Build) -> None:
    ran = run_case(suite, LINES, build, Limits(read_only=True, memfd="refused"))
    assert ran.status == 1
    for folder in ("/run", "/dev/shm", "/tmp", "/var/tmp"):
        assert folder in ran.stderr

"""Tests that wrong configurations are reported at the start, without a broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from falco_plugin.testing import Run, run
from falco_plugin.testing.fixtures import StartPlugin

KAFKA = Path(__file__).parent
SERVERS = {"bootstrap_servers": "127.0.0.1:1"}
SECRET = "a value that no log may show"


def run_rejected(params: str = "audit", **config: Any) -> Run:
    ran = run(KAFKA, params, config={**SERVERS, **config}, timeout=30)
    assert ran.result == "failure"
    return ran


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return path


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"settings": {"group.id": "other"}}, "group.id is set by the plugin: use group instead"),
        ({"settings": {"enable.auto.commit": True}}, "enable.auto.commit is set by the plugin: remove it"),
        ({"settings": {"sasl.password": SECRET}}, "sasl.password is a secret: write it into a file"),
        ({"settings": {"ssl.key.pem": SECRET}}, "ssl.key.pem is a secret: write it into a file"),
        ({"secret_files": {"sasl.username": "/etc/user"}}, "sasl.username is not a secret: write it into settings"),
        ({"settings": {"no.such.setting": 1}}, 'No such configuration property: "no.such.setting"'),
        (
            {"settings": {"security.protocol": SECRET}},
            'Invalid value "…" for configuration property "security.protocol"',
        ),
        ({"settings": {"security.protocol": "sasl_ssl", "sasl.mechanism": SECRET}}, 'property "sasl.mechanisms": …'),
        ({"settings": {"security.protocol": "ssl", "ssl.ca.location": "/dev/null"}}, "ssl.ca.location failed: "),
        ({"settings": {"session.timeout.ms": 99999999}}, '"session.timeout.ms" value … is outside allowed range'),
        ({"secret_files": {"sasl.password": SECRET}}, "the file of sasl.password cannot be read: No such file"),
    ],
)
def test_init_rejects_wrong_configuration(config: dict[str, Any], error: str) -> None:
    ran = run_rejected(**config)
    assert error in str(ran.error)
    assert SECRET not in str(ran)


def test_init_reports_all_wrong_settings_together() -> None:
    ran = run_rejected(settings={"group.id": SECRET, "ssl.key.password": SECRET}, secret_files={"client.id": SECRET})
    for name in ("group.id", "ssl.key.password", "client.id"):
        assert name in str(ran.error)
    assert SECRET not in str(ran)


TEXTS = ("bootstrap_servers", "group", "offset_reset", "framing")
NUMBERS = ("event_size", "commit_records", "commit_interval")


@pytest.mark.parametrize(
    "config",
    [
        {"password": SECRET},
        {name: [SECRET] for name in (*TEXTS, *NUMBERS, "settings", "secret_files")},
        {**dict.fromkeys(TEXTS, ""), **dict.fromkeys(NUMBERS, 0), "secret_files": {"sasl.password": ""}},
        {
            "offset_reset": SECRET,
            "framing": SECRET,
            "event_size": (64 << 20) + 1,
            "settings": {"group.protocol": [SECRET]},
        },
    ],
    ids=["unknown", "wrong type", "too small", "wrong value"],
)
def test_init_names_each_wrong_setting(config: dict[str, Any]) -> None:
    ran = run_rejected(**config)
    for name in config:
        assert name in str(ran.error)
    assert SECRET not in str(ran)


@pytest.mark.parametrize("config", [None, "{}", "[]", "bootstrap_servers: localhost"])
def test_init_rejects_missing_configuration(config: str | None) -> None:
    assert run(KAFKA, "audit", config=config, timeout=30).result == "failure"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_init_rejects_unusable_secret_file(secret_file: Path, content: bytes) -> None:
    secret_file.write_bytes(content)
    ran = run_rejected(secret_files={"sasl.password": str(secret_file)})
    assert "secret_files: the file of sasl.password is" in str(ran.error)
    assert str(secret_file) not in str(ran.error)


@pytest.mark.parametrize("params", ["", ",", "audit,", "no topic", "ümlaut", "a" * 250, "^(", "audit;other"])
def test_open_rejects_invalid_topics(params: str) -> None:
    assert "open_params" in str(run_rejected(params).error)


@pytest.mark.parametrize("params", ["audit", "audit, other.topic", "^audit[.].*", "a" * 249])
def test_source_waits_for_a_missing_broker_until_closed(
    start_plugin: StartPlugin, secret_file: Path, params: str
) -> None:
    settings = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "falco"}
    secret_files = {"sasl.password": str(secret_file)}
    waiting = start_plugin(KAFKA, params, config={**SERVERS, "settings": settings, "secret_files": secret_files})
    waiting.wait_for_log("Connection refused", timeout=30)
    closed = waiting.stop()
    assert closed.result == "interrupted"
    assert SECRET not in str(closed)

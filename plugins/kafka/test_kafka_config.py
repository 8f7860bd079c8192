"""What is wrong with the configuration is said at the start, by a host that no broker is needed for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from falco_plugin.testing import Run, run
from falco_plugin.testing.fixtures import StartPlugin

KAFKA = Path(__file__).parent
SERVERS = {"bootstrap_servers": "127.0.0.1:1"}
SECRET = "what no log may show"


def refused(params: str = "audit", **config: Any) -> Run:
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
        ({"settings": {"group.id": "other"}}, "group.id is the plugin's own, use group instead"),
        ({"settings": {"enable.auto.commit": True}}, "enable.auto.commit is the plugin's own"),
        ({"settings": {"sasl.password": SECRET}}, "sasl.password is a secret, name a file that holds it"),
        ({"settings": {"ssl.key.pem": SECRET}}, "ssl.key.pem is a secret, name a file that holds it"),
        ({"secret_files": {"sasl.username": "/etc/user"}}, "sasl.username is not a secret, write it into settings"),
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
def test_a_wrong_configuration_is_refused_with_what_is_wrong(config: dict[str, Any], error: str) -> None:
    ran = refused(**config)
    assert error in str(ran.error)
    assert SECRET not in str(ran)


def test_all_that_is_wrong_with_settings_is_told_at_once() -> None:
    ran = refused(settings={"group.id": SECRET, "ssl.key.password": SECRET}, secret_files={"client.id": SECRET})
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
def test_a_configuration_that_does_not_fit_is_refused_with_each_name(config: dict[str, Any]) -> None:
    ran = refused(**config)
    for name in config:
        assert name in str(ran.error)
    assert SECRET not in str(ran)


@pytest.mark.parametrize("config", [None, "{}", "[]", "bootstrap_servers: localhost"])
def test_a_missing_configuration_is_refused(config: str | None) -> None:
    assert run(KAFKA, "audit", config=config, timeout=30).result == "failure"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_file_that_holds_no_secret_is_refused(secret_file: Path, content: bytes) -> None:
    secret_file.write_bytes(content)
    ran = refused(secret_files={"sasl.password": str(secret_file)})
    assert "secret_files: the file of sasl.password is" in str(ran.error)
    assert str(secret_file) not in str(ran.error)


@pytest.mark.parametrize("params", ["", ",", "audit,", "no topic", "ümlaut", "a" * 250, "^(", "audit;other"])
def test_params_that_name_no_topics_are_refused(params: str) -> None:
    assert "open_params" in str(refused(params).error)


@pytest.mark.parametrize("params", ["audit", "audit, other.topic", "^audit[.].*", "a" * 249])
def test_a_source_waits_for_a_broker_that_is_away_and_can_be_closed(
    start_plugin: StartPlugin, secret_file: Path, params: str
) -> None:
    settings = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "falco"}
    secret_files = {"sasl.password": str(secret_file)}
    waiting = start_plugin(KAFKA, params, config={**SERVERS, "settings": settings, "secret_files": secret_files})
    waiting.wait_for_log("Connection refused", timeout=30)
    closed = waiting.stop()
    assert closed.result == "interrupted"
    assert SECRET not in str(closed)

"""Tests that wrong configurations and topics are rejected, without a broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from plugins.kafka.config import Config
from plugins.kafka.plugin import Kafka
from plugins.kafka.topics import parse_topics

from falco_plugin import Secret
from falco_plugin.testing import run
from falco_plugin.testing.fixtures import StartPlugin

KAFKA = Path(__file__).parent
SERVERS = {"bootstrap_servers": "127.0.0.1:1"}
SECRET = "a value that no log may show"


def failure(params: str = "audit", **config: Any) -> str:
    """Returns the error of init or open, which must not show secrets."""
    with pytest.raises(ValueError) as raised:
        plugin = Kafka()
        plugin.config = msgspec.convert({**SERVERS, **config}, Config, dec_hook=lambda _, text: Secret(text))
        plugin.open(params)
    message = str(raised.value)
    assert SECRET not in message
    return message


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
        ({"secrets": {"sasl.username": SECRET}}, "sasl.username is not a secret: write it into settings"),
        ({"settings": {"no.such.setting": 1}}, 'No such configuration property: "no.such.setting"'),
        (
            {"settings": {"security.protocol": SECRET}},
            'Invalid value "…" for configuration property "security.protocol"',
        ),
        ({"settings": {"security.protocol": "sasl_ssl", "sasl.mechanism": SECRET}}, 'property "sasl.mechanisms": …'),
        ({"settings": {"security.protocol": "ssl", "ssl.ca.location": "/dev/null"}}, "ssl.ca.location failed: "),
        ({"settings": {"session.timeout.ms": 99999999}}, '"session.timeout.ms" value … is outside allowed range'),
    ],
)
def test_open_rejects_wrong_settings(config: dict[str, Any], error: str) -> None:
    assert error in failure(**config)


def test_init_reports_all_wrong_settings_together() -> None:
    error = failure(settings={"group.id": SECRET, "ssl.key.password": SECRET}, secrets={"client.id": SECRET})
    for name in ("group.id", "ssl.key.password", "client.id"):
        assert name in error


INVALID = {
    "bootstrap_servers": ["", [SECRET]],
    "group": ["", [SECRET]],
    "offset_reset": ["", "first"],
    "settings": [[SECRET], {"group.protocol": [SECRET]}],
    "secrets": [[SECRET], {"sasl.password": ""}],
    "framing": ["", "avro"],
    "event_size": [0, (64 << 20) + 1, SECRET],
    "commit_records": [0, SECRET],
    "commit_interval": [0, SECRET],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in INVALID.items() for value in values])
def test_each_setting_has_its_type_and_limits(name: str, value: object) -> None:
    assert name in failure(**{name: value})


def test_all_settings_are_covered() -> None:
    assert set(INVALID) == set(Config.__struct_fields__)


@pytest.mark.parametrize(
    "config", [None, {"password": SECRET, **{name: [SECRET] for name in INVALID}, "framing": SECRET}]
)
def test_host_reports_each_wrong_setting_without_its_value(config: dict[str, Any] | None) -> None:
    ran = run(KAFKA, "audit", config=config, timeout=30)
    assert ran.result == "failure"
    for name in config or ["bootstrap_servers"]:
        assert name in str(ran.error)
    assert SECRET not in str(ran)


@pytest.mark.parametrize("params", ["", ",", "audit,", "no topic", "ümlaut", "a" * 250, "^(", "audit;other"])
def test_open_rejects_invalid_topics(params: str) -> None:
    assert "open_params" in failure(params)


@pytest.mark.parametrize(
    ("params", "topics"),
    [
        ("audit", ["audit"]),
        ("audit, other.topic", ["audit", "other.topic"]),
        ("^audit[.].*", ["^audit[.].*"]),
        ("a" * 249, ["a" * 249]),
    ],
)
def test_topics_are_separated_by_commas(params: str, topics: list[str]) -> None:
    assert parse_topics(params) == topics


def test_source_waits_for_a_missing_broker_until_closed(start_plugin: StartPlugin, secret_file: Path) -> None:
    settings = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "falco"}
    config = {**SERVERS, "settings": settings, "secrets": {"sasl.password": f"file:{secret_file}"}}
    waiting = start_plugin(KAFKA, "audit, ^other[.].*", config=config)
    waiting.wait_for_log("Connection refused", timeout=30)
    closed = waiting.stop()
    assert closed.result == "interrupted"
    assert SECRET not in str(closed)

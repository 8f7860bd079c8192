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
        ({"bootstrap_servers": ""}, "bootstrap_servers"),
        ({"offset_reset": "middle"}, "offset_reset"),
        ({"password": SECRET}, "unknown field `password`"),
        ({"commit_records": 0}, "commit_records"),
        ({"event_size": 0}, "event_size"),
        ({"settings": {"group.id": "other"}}, "group.id is the plugin's own, say group instead"),
        ({"settings": {"enable.auto.commit": True}}, "enable.auto.commit is the plugin's own"),
        ({"settings": {"sasl.password": SECRET}}, "sasl.password is a secret, name a file that holds it"),
        ({"settings": {"ssl.key.pem": SECRET}}, "ssl.key.pem is a secret, name a file that holds it"),
        ({"secret_files": {"sasl.username": "/etc/user"}}, "sasl.username is no secret, write it into settings"),
        ({"settings": {"no.such.setting": 1}}, 'No such configuration property: "no.such.setting"'),
        ({"settings": {"security.protocol": "none"}}, 'Invalid value "none" for configuration property'),
        ({"secret_files": {"sasl.password": "/nonexistent/secret"}}, "/nonexistent/secret"),
    ],
)
def test_a_wrong_configuration_is_refused_with_what_is_wrong(config: dict[str, Any], error: str) -> None:
    ran = refused(**config)
    assert error in str(ran.error)
    assert SECRET not in str(ran)


def test_a_missing_configuration_is_refused() -> None:
    ran = run(KAFKA, "audit", timeout=30)
    assert ran.result == "failure"
    assert "bootstrap_servers" in str(ran.error)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_file_that_holds_no_secret_is_refused(secret_file: Path, content: bytes) -> None:
    secret_file.write_bytes(content)
    ran = refused(secret_files={"sasl.password": str(secret_file)})
    assert f"secret_files: sasl.password: {secret_file} is" in str(ran.error)


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

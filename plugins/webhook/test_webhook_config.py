"""Tests which configurations and URLs are rejected."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from plugins.webhook.plugin import Config, Webhook

from falco_plugin import Context, PluginError
from falco_plugin._declare.config.parser import parse
from falco_plugin.testing import run

HIDDEN = "a value that no error may show"
HTTP = "http://127.0.0.1:0/hook"
HTTPS = "https://127.0.0.1:0/hook"


def failure(params: str = HTTP, **config: object) -> str:
    """Returns the error of init or open, which must not show hidden values."""
    with pytest.raises((PluginError, ValueError)) as raised:
        plugin = Webhook()
        plugin.config = parse(json.dumps(config), Config)
        plugin.init()
        plugin.open(params, Context())
    message = str(raised.value)
    assert HIDDEN not in message
    return message


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ("", "open_params must be a URL with http or https and a port, such as"),
        ("127.0.0.1:8080", "open_params must be a URL with http or https and a port"),
        ("http://127.0.0.1/hook", "open_params must be a URL with http or https and a port"),
        ("http://127.0.0.1:99999/hook", "open_params is not a valid URL"),
        (f"http://user:{HIDDEN}@127.0.0.1:8080/hook", "use only scheme, host, port and path"),
        ("https://127.0.0.1:8080/hook", "open_params has the scheme https: set certificate and key"),
        ("http://127.0.0.1:8080/healthz", "the path /healthz is reserved"),
    ],
)
def test_open_rejects_invalid_url_with_remedy(params: str, error: str) -> None:
    assert error in failure(params, allow_unsigned=True)


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({}, "secret is missing: set it, or set allow_unsigned: true"),
        ({"secret": f"file:/{HIDDEN}"}, "secret: the file of this secret cannot be read: No such file or directory"),
        ({"secret": f"env:{HIDDEN}"}, "secret: the environment variable of this secret is not set"),
        ({"secret": " \n "}, "secret has only white space: write one secret on each line"),
        ({"secret": HIDDEN, "allow_unsigned": True}, "secret and allow_unsigned are both set"),
        ({"allow_unsigned": True, "certificate": HIDDEN}, "only one of certificate and key is set"),
        ({"allow_unsigned": True, "key": HIDDEN}, "only one of certificate and key is set"),
        ({"allow_unsigned": True, "certificate": HIDDEN, "key": HIDDEN}, "certificate and key cannot be used: "),
        ({"allow_unsigned": True, "certificate": "/dev/null", "key": HIDDEN}, "certificate and key cannot be used: "),
    ],
)
def test_init_rejects_unusable_configuration(config: dict[str, object], error: str) -> None:
    assert error in failure(HTTPS if "certificate" in config else HTTP, **config)


INVALID = {
    "secret": ["", [HIDDEN]],
    "allow_unsigned": [HIDDEN],
    "certificate": ["", [HIDDEN]],
    "key": ["", [HIDDEN]],
    "signature_header": ["", f"X: {HIDDEN}", [HIDDEN]],
    "event_size": [0, (64 << 20) + 1, HIDDEN],
    "max_body": [0, (256 << 20) + 1, HIDDEN],
    "capacity": [0, HIDDEN],
    "max_connections": [0, 4097, HIDDEN],
    "request_timeout": [0, HIDDEN],
    "delivery_timeout": [0, HIDDEN],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in INVALID.items() for value in values])
def test_each_setting_has_its_type_and_limits(name: str, value: object) -> None:
    assert name in failure(**{name: value})


def test_all_settings_are_covered() -> None:
    assert set(INVALID) == set(Config.__struct_fields__)


def test_host_reports_each_wrong_setting_without_its_value(library: Path) -> None:
    ran = run(library, HTTP, config={"secrets": HIDDEN, **{name: [HIDDEN] for name in INVALID}})
    assert ran.result == "failure"
    for name in ("secrets", *INVALID):
        assert name in str(ran.error)
    assert HIDDEN not in str(ran)


def test_certificate_needs_https_and_unencrypted_key(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    config: dict[str, object] = {"allow_unsigned": True, "certificate": str(certificate[0]), "key": str(certificate[1])}
    assert "open_params has the scheme http, but certificate is set" in failure(HTTP, **config)
    key = serialization.load_pem_private_key(certificate[1].read_bytes(), None)
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"password"),
        )
    )
    config["key"] = str(encrypted)
    assert "the key is encrypted: store it without a password" in failure(HTTPS, **config)

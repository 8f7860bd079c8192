"""Secrets: how a configuration has them, and that nothing shows them."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from falco_plugin import PluginError, Secret
from falco_plugin._declare.config.parser import parse
from falco_plugin._declare.config.schema import schema

HIDDEN = "s3cret-\u20ac"


@dataclass
class Config:
    """An API"""

    url: str = ""
    token: Annotated[Secret | None, Meta(description="The token")] = None
    tokens: list[Secret] = field(default_factory=list)
    passwords: dict[str, Secret] = field(default_factory=dict)


class Frozen(msgspec.Struct, frozen=True):
    token: Secret


def read(**config: Any) -> Any:
    return parse(json.dumps(config), Config)


def stored(tmp_path: Path, content: bytes, mode: int = 0o400) -> str:
    path = tmp_path / "token"
    path.write_bytes(content)
    path.chmod(mode)
    return f"file:{path}"


def test_secret_is_the_text_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "file:of-variable")
    config = read(
        token=HIDDEN,
        tokens=[stored(tmp_path, f"{HIDDEN} \r\n\n".encode()), "env:TOKEN", ":", "filed:x"],
        passwords={"sasl.password": "p:w"},
    )
    assert config.token.reveal() == HIDDEN
    assert [token.reveal() for token in config.tokens] == [f"{HIDDEN} ", "file:of-variable", ":", "filed:x"]
    assert config.passwords["sasl.password"].reveal() == "p:w"
    (tmp_path / "token").unlink()
    assert read(token=stored(tmp_path, f"\ufeff{HIDDEN}\n".encode())).token.reveal() == HIDDEN
    assert read().token is None
    assert parse('{"token": "a"}', Frozen) == Frozen(Secret("a"))


def test_file_is_read_by_each_reveal(tmp_path: Path) -> None:
    config = read(token=stored(tmp_path, b"first\n"))
    (tmp_path / "new").write_bytes(b"second\n")
    os.replace(tmp_path / "new", tmp_path / "token")
    assert config.token.reveal() == "second"
    (tmp_path / "token").unlink()
    with pytest.raises(ValueError) as raised:
        config.token.reveal()
    assert str(raised.value) == "token: the file of this secret cannot be read: No such file or directory"


def missing(path: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (missing, "cannot be read: No such file or directory"),
        (Path.mkdir, "the path of this secret is not a regular file: write the path of a file"),
        (os.mkfifo, "the path of this secret is not a regular file: write the path of a file"),
        (lambda path: path.write_bytes(b""), "the file of this secret is empty: write the secret into it"),
        (lambda path: path.write_bytes(b"\n"), "the file of this secret is empty: write the secret into it"),
        (lambda path: path.write_bytes(b"\xff"), "the file of this secret is not UTF-8 text: check the path"),
        (lambda path: path.write_bytes(b"a" * (1 << 20) + b"b"), "larger than 1048576 bytes: check the path"),
    ],
)
def test_file_that_cannot_be_used_is_an_error(tmp_path: Path, make: Callable[[Path], object], problem: str) -> None:
    path = tmp_path / HIDDEN
    make(path)
    with pytest.raises(PluginError) as raised:
        read(tokens=["a", f"file:{path}"])
    assert "tokens[1]: " in str(raised.value)
    assert problem in str(raised.value)
    assert HIDDEN not in str(raised.value)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"token": ""}, "token: the secret is empty: write file:PATH, env:NAME or the text"),
        ({"token": "env:FALCO_TEST_EMPTY"}, "token: the environment variable of this secret is empty: set it"),
        ({"token": "env:FALCO_TEST_NONE"}, "token: the environment variable of this secret is not set: set it"),
        ({"token": "env:FALCO_TEST_LATIN"}, "token: the secret is not UTF-8 text: write it as UTF-8"),
        ({"token": "file:a\0b"}, "token: the file of this secret cannot be read: the path has a NUL character"),
        ({"token": 12345}, "token: expected secret or null, got int"),
        ({"passwords": {"a": {HIDDEN: HIDDEN}}}, "passwords.a: expected secret, got map"),
    ],
)
def test_configuration_that_does_not_fit_is_reported_without_values(
    config: dict[str, Any], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FALCO_TEST_EMPTY", "")
    monkeypatch.setenv("FALCO_TEST_LATIN", os.fsdecode(b"\xe4" + HIDDEN.encode()))
    with pytest.raises(PluginError) as raised:
        read(**config)
    assert problem in str(raised.value)
    assert HIDDEN not in str(raised.value)
    assert "12345" not in str(raised.value)


@pytest.mark.parametrize(("mode", "count"), [(0o400, 0), (0o640, 0), (0o444, 1)])
def test_file_that_all_can_read_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, count: int
) -> None:
    config = read(token=stored(tmp_path, HIDDEN.encode(), mode))
    assert config.token.reveal() == config.token.reveal() == HIDDEN
    warning = "token: all users can read the file of this secret: remove the permission, such as with chmod 400"
    assert [record.getMessage() for record in caplog.records] == [warning] * count


def test_schema_has_a_string_that_is_only_written() -> None:
    properties = json.loads(schema(Config))["properties"]
    assert properties["token"] == {
        "anyOf": [{"type": "string", "minLength": 1, "writeOnly": True}, {"type": "null"}],
        "default": None,
        "description": "The token",
    }
    assert properties["tokens"]["items"] == {"type": "string", "minLength": 1, "writeOnly": True}


def test_default_secret_is_refused() -> None:
    config = msgspec.defstruct("Config", [("token", Secret, Secret(HIDDEN))])
    with pytest.raises(PluginError) as raised:
        schema(config)
    assert str(raised.value) == "Config.token: a secret must not have a default, which all could read: remove it"


def test_other_custom_type_is_refused() -> None:
    with pytest.raises(PluginError, match="Config.path: Path cannot be read from JSON"):
        schema(msgspec.defstruct("Config", [("path", Path)]))


def failing(secret: Secret) -> None:
    token = secret
    raise ValueError(f"rejected: {token}")


def traced(secret: Secret) -> str:
    try:
        failing(secret)
    except ValueError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    raise AssertionError


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        "{}".format,
        lambda secret: f"{secret!r:.9} {secret}",
        lambda secret: repr(Config(token=secret, tokens=[secret])),
        lambda secret: repr(Frozen(secret)),
        lambda secret: str(asdict(Config(token=secret))),
        lambda secret: str(logging.makeLogRecord({"msg": "%s", "args": (secret,)}).getMessage()),
        traced,
        lambda secret: str(dir(secret)),
    ],
)
@pytest.mark.parametrize("kind", ["text", "file"])
def test_secret_is_not_shown(show: Callable[..., str], kind: str, tmp_path: Path) -> None:
    secret = Secret(HIDDEN) if kind == "text" else read(token=stored(tmp_path, HIDDEN.encode())).token
    shown = show(secret)
    assert HIDDEN not in shown
    assert str(tmp_path) not in shown


@pytest.mark.parametrize(
    "use",
    [
        pickle.dumps,
        hash,
        msgspec.json.encode,
        json.dumps,
        lambda secret: secret + "",
        lambda secret: "".join([secret]),
        vars,
    ],
)
def test_secret_cannot_be_used_as_a_string(use: Callable[[Any], object]) -> None:
    with pytest.raises((TypeError, NotImplementedError)) as raised:
        use(Secret(HIDDEN))
    assert HIDDEN not in str(raised.value)


def test_copy_is_the_same_secret() -> None:
    secret = Secret(HIDDEN)
    assert copy.copy(secret) is copy.deepcopy(secret) is secret
    assert asdict(Config(token=secret))["token"] is secret


@pytest.mark.parametrize("wrap", [Secret, str, lambda text: text.encode()])
def test_secret_equals_its_text_only(wrap: Callable[[str], Any]) -> None:
    secret = Secret(HIDDEN)
    assert secret == wrap(HIDDEN)
    assert wrap(HIDDEN) == secret
    for other in (HIDDEN + "x", HIDDEN[:-1], HIDDEN.upper()):
        assert secret != wrap(other)
    assert secret != 1
    assert secret is not None


def test_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="a secret must not be empty"):
        Secret("")

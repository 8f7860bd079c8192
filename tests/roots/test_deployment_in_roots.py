"""Runs the commands and Dockerfiles of the page Deployment in minimal systems, with the native host as Falco."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from support.hosts import Output, native_path, run
from support.pages import blocks_of, dockerfile_script
from support.paths import REPOSITORY
from support.roots import FILES, SUITES, run_in_root

pytestmark = [pytest.mark.roots, pytest.mark.slow]

PAGE = REPOSITORY / "docs" / "how-to" / "deploy.md"
BLOCKS = {block.title: block.text for block in blocks_of(PAGE) if block.title}
LOG = b"".join(b'{"user": "user-%d", "action": "delete"}\n' % number for number in range(3))
SUDO = b'#!/bin/sh\nexec "$@"\n'
SYSTEMCTL = b'#!/bin/sh\necho "systemctl $*"\n'
SETTINGS = "/etc/falco/config.d/audit.yaml"
RULES = "/etc/falco/rules.d/audit_rules.yaml"
ENTRY = yaml.safe_load(BLOCKS["audit.yaml"])["plugins"][0]
RUN = f"""\
{FILES}/host run "$(sed -n 's/^ *library_path: //p' {SETTINGS})" --params {ENTRY["open_params"]} --limit 3 --json
"""
"""Runs the library that the settings name."""


@dataclass(frozen=True)
class Plugin:
    """The plugin of the page, as `falco-plugin new` writes it."""

    library: Path
    rules: Path

    def files(self) -> dict[str, Path | bytes]:
        return {self.library.name: self.library, self.rules.name: self.rules, "audit.yaml": settings()}


def settings() -> bytes:
    return BLOCKS["audit.yaml"].encode()


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Plugin]:
    """Returns the plugin in two versions."""
    built = {}
    for version in ("0.1.0", "0.2.0"):
        folder = tmp_path_factory.mktemp("plugin")
        command = REPOSITORY / ".venv" / "bin" / "falco-plugin"
        assert run(command, "new", "audit", cwd=folder).status == 0
        code = folder / "audit" / "plugin.py"
        text = code.read_text()
        assert 'version = "0.1.0"' in text
        code.write_text(text.replace('version = "0.1.0"', f'version = "{version}"'))
        done = run(command, "build", "audit", cwd=folder)
        assert done.status == 0, done.stderr
        built[version] = Plugin(folder / "libaudit.so", folder / "audit" / "audit_rules.yaml")
    return built


def run_script(suite: str, script: str, files: Mapping[str, Path | bytes]) -> Output:
    """Runs a script of the shell in `FILES`, in a system that has the plugin's log, and doubles of its services."""
    added = {
        "usr/bin/sudo": SUDO,
        "usr/bin/systemctl": SYSTEMCTL,
        ENTRY["open_params"][1:]: LOG,
    }
    present = {"host": native_path(), **files}
    return run_in_root(suite, present, ["sh", "-ec", f"cd {FILES}\n{script}"], added=added)


def payloads(output: Output) -> list[str]:
    """Returns the events among the lines of the output."""
    lines = [line for line in output.stdout.splitlines() if line.startswith('{"kind":"event"')]
    return [yaml.safe_load(line)["data"] for line in lines]


def modes(output: Output) -> dict[str, str]:
    """Returns the mode and owner of each file that `stat` printed."""
    return dict(reversed(line.split(" ", 1)) for line in re.findall(r"^\d+:\S+ /.*$", output.stdout, re.MULTILINE))


@pytest.mark.parametrize("suite", SUITES)
def test_commands_for_host_install_plugin(suite: str, plugins: Mapping[str, Plugin]) -> None:
    check = f"{RUN}stat -c '%a:%U %n' {ENTRY['library_path']} {SETTINGS} {RULES}\ncmp {SETTINGS} audit.yaml\n"
    done = run_script(suite, BLOCKS["install.sh"] + check, plugins["0.1.0"].files())
    assert done.status == 0, done.stdout + done.stderr
    assert payloads(done) == LOG.decode().splitlines()
    assert modes(done) == dict.fromkeys((ENTRY["library_path"], SETTINGS, RULES), "644:root")
    assert "systemctl restart falco" in done.stdout.splitlines()


def test_commands_for_upgrade_keep_old_file(plugins: Mapping[str, Plugin]) -> None:
    files = {**plugins["0.1.0"].files(), "new.so": plugins["0.2.0"].library, "old.so": plugins["0.1.0"].library}
    folder = Path(ENTRY["library_path"]).parent
    upgrade = f"cp new.so libaudit.so\n{BLOCKS['upgrade.sh']}"
    check = f"cmp {folder}/libaudit-0.1.0.so old.so\ncmp {folder}/libaudit-0.2.0.so new.so\ncat {SETTINGS}\n"
    done = run_script("bookworm", BLOCKS["install.sh"] + upgrade + RUN + check, files)
    assert done.status == 0, done.stdout + done.stderr
    assert payloads(done) == LOG.decode().splitlines()
    assert f"library_path: {folder}/libaudit-0.2.0.so\n" in done.stdout


@pytest.mark.parametrize("suite", SUITES)
def test_image_has_plugin_and_settings(suite: str, plugins: Mapping[str, Plugin]) -> None:
    plugin = plugins["0.1.0"]
    files = {
        "libaudit.so": plugin.library,
        "falco/config.d/audit.yaml": settings(),
        "falco/rules.d/audit_rules.yaml": plugin.rules,
    }
    assert len(BLOCKS["Dockerfile"].splitlines()) == 3
    check = f"{RUN}stat -c '%a:%U %n' {ENTRY['library_path']}\ncmp {RULES} falco/rules.d/audit_rules.yaml\n"
    done = run_script(suite, dockerfile_script(BLOCKS["Dockerfile"]) + check, files)
    assert done.status == 0, done.stdout + done.stderr
    assert payloads(done) == LOG.decode().splitlines()
    assert modes(done) == {ENTRY["library_path"]: "644:root"}

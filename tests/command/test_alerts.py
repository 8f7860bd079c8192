"""``falco-plugin alerts`` with a program that behaves as Falco does, well or not (tests/hosts/falco)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from support.falco import FAKE, fake_environment
from support.hosts import Output, environment, run_command
from support.libraries import write_sources

SOURCE = """
    from falco_plugin import Plugin, field

    class Fake(Plugin):
        name = event_source = "fake"

        @field("fake.payload", desc="Payload")
        def payload(self, event) -> str:
            return event.text

        def open(self, params):
            return []
"""
RULES = """
- rule: One payload
  condition: fake.payload exists and fake.none exists

- rule: Never
  condition: fake.none exists
"""

Alerts = Callable[..., Output]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a plugin, rules and events. Its name has a blank and quotes."""
    path = tmp_path / "a \"folder\" with 'quotes'"
    path.mkdir()
    return write_sources(path, {"plugin.py": SOURCE, "a_rules.yaml": RULES, "events": "one\ntwo\n"})


@pytest.fixture
def run_alerts(folder: Path) -> Alerts:
    """Runs the command on the plugin, with options."""

    def run(*options: object, behaviour: str = "", **changes: str | None) -> Output:
        arguments = ["alerts", "plugin.py", "--rules", "a_rules.yaml", "--params", folder / "events"]
        return run_command(*arguments, *options, env=fake_environment(behaviour, **changes), cwd=folder)

    return run


def check_failed(ran: Output, *messages: str) -> None:
    assert ran.status == 1, ran
    for message in messages:
        assert message in ran.stderr
    assert "Traceback" not in ran.stderr


def test_alerts_are_shown_with_fields_and_totals(run_alerts: Alerts) -> None:
    ran = run_alerts()
    assert ran.status == 0, ran
    first, _, rest = ran.stdout.partition("2026-01-05 09:00:01")
    assert first == (
        "2026-01-05 09:00:00.000000Z  Warning   One payload\n"
        "    got one\n"
        "      fake.payload  one\n"
        "      fake.none     <NA>\n"
    )
    assert "2 alerts in " in rest
    assert ", until the source ended\n\nAlerts by rule:\n  2  One payload\n\nRules that never fired:\n  Never\n" in rest
    assert rest.endswith("  fake.none  in 2 events, for Never, One payload\n")
    assert ran.stderr == "fake: a line of the plugin\n"


def test_alerts_as_json_have_a_kind(run_alerts: Alerts) -> None:
    lines = run_alerts("--json").lines
    assert {line["kind"] for line in lines} == {"alert", "log", "end"}
    alerts = [line for line in lines if line["kind"] == "alert"]
    assert alerts[0] == {
        "kind": "alert",
        "time": "2026-01-05T09:00:00.000000000Z",
        "priority": "Warning",
        "rule": "One payload",
        "source": "fake",
        "output": "got one",
        "fields": {"fake.payload": "one", "fake.none": None},
        "tags": ["a", "b"],
    }
    end = lines[-1]
    assert (end["result"], end["alerts"], end["rules"]) == ("end", 2, {"One payload": 2})
    assert (end["never_fired"], end["never_present"], end["not_counted"]) == (["Never"], {"fake.none": 2}, [])


def test_configuration_keeps_quotes_and_dollars(run_alerts: Alerts, folder: Path) -> None:
    written = folder / "arguments.json"
    config = """{"a": "it's \\"${HOME}\\" \\\\ $5"}"""
    ran = run_alerts("--config", config, FAKE_FALCO_ARGUMENTS=str(written))
    assert ran.status == 0, ran
    found = json.loads(written.read_text())
    (plugin,) = found["config"]["plugins"]
    # Falco makes ${X} of $${X}.
    assert plugin["init_config"].replace("$${", "${") == config
    assert plugin["open_params"] == str(folder / "events")
    assert found["config"]["engine"] == {"kind": "nodriver"}
    assert found["config"]["rules_files"] == [str(folder / "a_rules.yaml")]
    assert found["arguments"][2:] == ["--enable-source", "fake"]


# Expected alerts


@pytest.mark.parametrize(
    "expected",
    [
        "One payload: 2",
        "[One payload, One payload]",
        "- rule: One payload\n  count: 2\n  priority: warning",
        "- rule: One payload\n  fields: {fake.payload: two}\n- One payload",
        '[{"rule": "One payload", "output": "got one"}, "One payload"]',
    ],
)
def test_expected_alerts_match(run_alerts: Alerts, folder: Path, expected: str) -> None:
    (folder / "expected.yaml").write_text(expected)
    ran = run_alerts("--expect", "expected.yaml")
    assert ran.status == 0, ran


@pytest.mark.parametrize(
    ("expected", "lines"),
    [
        ("One payload: 3", ["- One payload"]),
        ("[One payload]", ["+ One payload"]),
        ("", ["+ 2 times One payload"]),
        ("Never: 2\nOne payload: 2", ["- 2 times Never"]),
        (
            "- One payload\n- rule: One payload\n  fields: {fake.payload: three}",
            ["- One payload (fake.payload=three)", "+ One payload (fake.payload=two fake.none=<NA>)"],
        ),
    ],
)
def test_difference_to_expected_alerts_is_a_diff(
    run_alerts: Alerts, folder: Path, expected: str, lines: list[str]
) -> None:
    (folder / "expected.yaml").write_text(expected)
    ran = run_alerts("--expect", "expected.yaml")
    check_failed(ran, "the alerts differ (- expected, + actual):\n")
    assert [line.strip() for line in ran.stderr.splitlines()[2:]] == lines


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ("7", "must be a list of rules, or a mapping of rules to counts, not int"),
        ("- {}", "entry 1 must be the name of a rule, or a mapping with rule, got {}"),
        ("- {rule: a, cuont: 1}", "entry 1 has the unknown key cuont: use count, fields, output, priority, rule"),
        ("a: -1", "a: the count must be a number of alerts, got -1"),
        ("a: [", "expected.yaml:1: not YAML: "),
    ],
)
def test_wrong_file_of_expected_alerts_is_reported(
    run_alerts: Alerts, folder: Path, expected: str, message: str
) -> None:
    (folder / "expected.yaml").write_text(expected)
    check_failed(run_alerts("--expect", "expected.yaml"), message)


# The end of Falco


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--seconds", "1.5"], ["--limit", "1"]], ids=["seconds", "limit"])
def test_live_source_is_stopped(run_alerts: Alerts, options: list[str]) -> None:
    ran = run_alerts(*options, behaviour="live")
    assert ran.status == 0, ran
    assert "1 alert in " in ran.stdout if options[0] == "--limit" else "until the time was up" in ran.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_falco_and_shows_totals(folder: Path, number: int) -> None:
    script = Path(sysconfig.get_path("scripts"), "falco-plugin")
    process = subprocess.Popen(
        [script, "alerts", "plugin.py", "--rules", "a_rules.yaml", "--params", folder / "events"],
        env=fake_environment("live", TMPDIR=str(folder)),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "ready" in line:
                break
        # The group, as Ctrl-C in a terminal does.
        os.killpg(process.pid, number)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert ", until it was interrupted\n" in output
    assert not [path.name for path in folder.iterdir() if path.name.startswith("falco-plugin-")]


@pytest.mark.parametrize(
    ("behaviour", "messages"),
    [
        ("crash", ["falco-plugin: Falco crashed with SIGSEGV (signal 11)"]),
        ("fail", ["Error: the plugin has failed", "falco-plugin: Falco failed with exit status 1"]),
        ("wrong rules", ["Error: a_rules.yaml: Invalid\n1 Errors:\n", "  \\x1b[31mhere"]),
        ("no description", ["printed no description of the rules: use Falco 0.36 or newer"]),
    ],
)
def test_failure_of_falco_is_reported(run_alerts: Alerts, behaviour: str, messages: list[str]) -> None:
    check_failed(run_alerts(behaviour=behaviour), *messages)


@pytest.mark.slow
def test_falco_that_ignores_its_end_is_killed(run_alerts: Alerts) -> None:
    ran = run_alerts("--seconds", "1.5", behaviour="deaf")
    check_failed(ran, "falco-plugin: Falco did not end within 10 s after it was stopped, and was killed")


def test_garbage_between_alerts_is_shown_as_log(run_alerts: Alerts) -> None:
    ran = run_alerts(behaviour="garbage")
    assert ran.status == 0, ran
    assert "2 alerts in " in ran.stdout
    assert "\\x1b[2J" in ran.stderr
    assert "\x1b" not in ran.stdout + ran.stderr


def test_alert_without_newline_at_end_is_shown(run_alerts: Alerts) -> None:
    assert "2 alerts in " in run_alerts(behaviour="no newline").stdout


# Finding Falco


def test_missing_falco_is_reported_with_remedy(run_alerts: Alerts) -> None:
    check_failed(run_alerts(FALCO=None, PATH="/nonexistent"), "there is no Falco: install it", "--falco or FALCO")


def test_falco_that_cannot_run_is_reported(run_alerts: Alerts, folder: Path) -> None:
    program = folder / "falco"
    program.write_text("")
    check_failed(run_alerts("--falco", program), f"--falco: {program} is not executable: chmod +x")
    program.chmod(0o755)
    check_failed(run_alerts("--falco", program), f"cannot run {program}: Exec format error")
    check_failed(run_alerts("--falco", folder), "is a folder: name the executable in it")
    check_failed(run_alerts("--falco", "./none"), "there is no Falco at ./none")
    check_failed(run_alerts("--falco", "some/image:1", PATH="/nonexistent"), "needs docker or podman")


def copy_to(plain: Path, folder: Path) -> Path:
    """Copies the files to a folder whose name a container accepts."""
    plain.mkdir()
    for name in ("plugin.py", "a_rules.yaml", "events"):
        (plain / name).write_bytes((folder / name).read_bytes())
    return plain


@pytest.mark.slow
def test_container_gets_folders_and_self_contained_library(run_alerts: Alerts, folder: Path, tmp_path: Path) -> None:
    # A program that runs the command of the container here.
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/commands\n[ "$1" = info ] && exit 0\n'
        f'while [ "$1" != /usr/bin/falco ]; do shift; done\nshift; exec {FAKE} "$@"\n'
    )
    docker.chmod(0o755)
    # A real Falco on PATH would be used instead.
    docker.with_name("python3").symlink_to(sys.executable)
    plain = copy_to(tmp_path / "plain", folder)
    ran = run_command(
        "alerts", "plugin.py", "--rules", "a_rules.yaml", "--params", plain / "events",
        env=environment(FALCO=None, PATH=str(docker.parent)), cwd=plain,
    )  # fmt: skip
    assert ran.status == 0, ran
    command = (tmp_path / "commands").read_text().splitlines()[-1]
    assert command.startswith("run --rm --network=host --name=falco-plugin-")
    assert f"--mount=type=bind,readonly,source={plain},target={plain}" in command
    assert "--env=FALCO_PLUGIN_COUNT_FIELDS=1" in command
    assert "docker.io/falcosecurity/falco:latest /usr/bin/falco -c /" in command


def write_program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.slow
def test_docker_without_daemon_is_not_used(run_alerts: Alerts, folder: Path, tmp_path: Path) -> None:
    docker = write_program(tmp_path / "docker", "exit 1")
    unable = f"{docker} cannot run containers: see {docker} info"
    path = str(tmp_path)
    check_failed(run_alerts(FALCO=None, PATH=path), "there is no Falco: install it", unable)
    check_failed(run_alerts(FALCO="example.com/falco:1", PATH=path), "needs docker or podman, but", unable)
    # Podman can: it is used instead.
    write_program(tmp_path / "podman", '[ "$1" = info ] || exit 125')
    ran = run_alerts(FALCO="example.com/falco:1", PATH=path)
    check_failed(ran, "cannot be mounted into a container: use a path without")
    ran = run_command(
        "alerts", "plugin.py", "--rules", "a_rules.yaml",
        env=environment(FALCO="example.com/falco:1", PATH=path), cwd=copy_to(tmp_path / "plain", folder),
    )  # fmt: skip
    check_failed(ran, "podman cannot run example.com/falco:1 (exit status 125)")


def test_container_rejects_linked_library(folder: Path, tmp_path: Path) -> None:
    assert run_command("build", "--linked", "plugin.py", "-o", "fake.so", cwd=folder).status == 0
    write_program(tmp_path / "docker", "exit 0")
    ran = run_command(
        "alerts", "fake.so", "--rules", "a_rules.yaml", env=environment(FALCO=None, PATH=str(tmp_path)), cwd=folder
    )
    check_failed(ran, "fake.so is a linked library", "build it without --linked")


# Wrong targets and options


def test_plugin_without_source_is_reported(folder: Path) -> None:
    source = SOURCE.partition("def open")[0].replace("= event_source", "")
    write_sources(folder, {"plugin.py": source})
    ran = run_command("alerts", "plugin.py", "--rules", "a_rules.yaml", env=fake_environment(), cwd=folder)
    check_failed(ran, "fake makes no events: name the plugin that makes them, such as --with SOURCE")


def test_wrong_plugin_is_reported(folder: Path) -> None:
    write_sources(folder, {"plugin.py": "nothing"})
    ran = run_command("alerts", "plugin.py", "--rules", "a_rules.yaml", env=fake_environment(), cwd=folder)
    check_failed(ran, "plugin.py cannot be imported: NameError")


@pytest.mark.slow
def test_many_alerts_are_counted(run_alerts: Alerts, folder: Path) -> None:
    (folder / "events").write_text("x\n" * 20_000)
    ran = run_alerts()
    assert ran.status == 0
    assert "20,000 alerts in " in ran.stdout

"""``falco-plugin new``: each template works as its README describes, and invalid names are rejected."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.environments import sdk_environment
from support.falco import real_falco
from support.hosts import Output, environment, run, run_command
from support.paths import REPOSITORY

from falco_plugin._build import template as templates

TEMPLATES = templates.names()
# A name with a dash differs from its event source.
NAME = "access-log"
# Each worker needs a separate cache, because mypy does not lock it.
MYPY_CACHE = REPOSITORY / "target" / "mypy" / os.environ.get("PYTEST_XDIST_WORKER", "main")
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def run_new(folder: Path, name: str, *options: str) -> Output:
    return run_command("new", name, *options, cwd=folder)


def read_files(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def commands_of(readme: Path) -> list[list[str]]:
    """Returns the commands of each console block."""
    blocks = CONSOLE.findall(readme.read_text())
    return [[line.removeprefix("$ ") for line in block.splitlines()] for block in blocks]


def is_source(folder: Path) -> bool:
    """Returns whether the plugin makes events, and does not only extract fields."""
    return "event_source = " in (folder / "plugin.py").read_text()


# In a new environment


class Terminal:
    """Runs commands in a new environment that has the SDK's wheel and pytest."""

    def __init__(self, environment_folder: Path) -> None:
        self._path = f"{environment_folder / 'bin'}:{os.environ['PATH']}"

    def run(self, commands: list[str], folder: Path) -> str:
        """Runs the commands in one shell, which must succeed, and returns their output."""
        done = subprocess.run(
            ["bash", "-euc", "\n".join(commands)],
            cwd=folder,
            env=environment(PATH=self._path, PYTEST_ADDOPTS=None),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{commands} end with {done.returncode}\n{done.stdout}"
        return done.stdout


@pytest.fixture(scope="session")
def terminal() -> Terminal:
    return Terminal(sdk_environment())


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES)
def test_new_plugin_runs_commands_of_its_readme(template: str, terminal: Terminal, tmp_path: Path) -> None:
    terminal.run([f"falco-plugin new {NAME} --template {template}"], tmp_path)
    folder = tmp_path / NAME
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shown = ""
    for block in commands_of(folder / "README.md"):
        # Another run of these tests may use the port of the README.
        shown += terminal.run([command.replace("5140", port) for command in block], folder)
    assert re.search(r"= \d passed in ", shown)
    assert re.search(r"^3 events, ", shown, re.MULTILINE)
    source = ", event source access_log" if is_source(folder) else ", "
    assert f"lib{NAME}.so: plugin {NAME} 0.1.0{source}" in shown
    assert re.search(rf"^name: +{NAME}$", shown, re.MULTILINE)


# New files


@pytest.fixture(params=TEMPLATES)
def new_plugin(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Output]:
    """Creates a plugin and returns its folder and the output of the command."""
    ran = run_new(tmp_path, NAME, "--template", request.param)
    assert ran.status == 0, ran.stderr
    return tmp_path / NAME, ran


def test_new_prints_files_and_next_commands(new_plugin: tuple[Path, Output]) -> None:
    folder, ran = new_plugin
    files, _, following = ran.stdout.partition("\n\n")
    assert sorted(files.splitlines()) == sorted(f"{NAME}/{file}" for file in read_files(folder))
    enter, *commands = [line.strip() for line in following.splitlines() if line.startswith("  ")]
    assert enter == f"cd {NAME}"
    assert commands
    assert set(commands) <= {command for block in commands_of(folder / "README.md") for command in block}


@pytest.mark.slow
def test_new_plugin_passes_ruff_mypy_and_pyright(new_plugin: tuple[Path, Output], tmp_path: Path) -> None:
    folder, _ = new_plugin
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    tools = Path(sys.executable).parent
    for arguments in (
        ["ruff", "check", "--no-cache", "."],
        ["ruff", "format", "--no-cache", "--check", "."],
        ["mypy", "--strict", "--cache-dir", MYPY_CACHE, "."],
        ["pyright", "--project", tmp_path, "--pythonpath", sys.executable, "."],
    ):
        tool, *options = arguments
        checked = run(tools / str(tool), *options, env=environment(PATH=f"{tools}:{os.environ['PATH']}"), cwd=folder)
        assert checked.status == 0, checked.stdout


def test_new_plugin_uses_one_name_without_placeholders(new_plugin: tuple[Path, Output]) -> None:
    folder, _ = new_plugin
    for name, text in read_files(folder).items():
        assert not re.search(r"\{\{\w+\}\}", name + text), name
    *others, plugin = (config := yaml.safe_load((folder / "falco.yaml").read_text()))["plugins"]
    assert (plugin["name"], plugin["library_path"].rpartition("/")[2]) == (NAME, f"lib{NAME}.so")
    assert bool(others) != is_source(folder)
    assert config["load_plugins"] == [*(other["name"] for other in others), NAME]
    (rules_file,) = config["rules_files"]
    rules = yaml.safe_load((folder / Path(rules_file).name).read_text())
    assert {rule["source"] for rule in rules} == {"access_log" if is_source(folder) else "k8s_audit"}
    assert NAME in rules[0]["rule"], "two new plugins must not have a rule of the same name"


@pytest.mark.slow
def test_rule_tests_of_new_plugin_pass_in_a_real_falco(new_plugin: tuple[Path, Output]) -> None:
    folder, _ = new_plugin
    ran = run_command("test", env=environment(FALCO=real_falco()), cwd=folder)
    assert ran.status == 0, ran
    assert f"{NAME}_rules.test.yaml\n  PASS  " in ran.stdout


def test_workflow_of_new_plugin_runs_all_tests(new_plugin: tuple[Path, Output]) -> None:
    folder, _ = new_plugin
    workflow = yaml.safe_load((folder / ".github" / "workflows" / "test.yml").read_text())
    commands = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert commands == ["pip install '.[test]'", "pytest", "falco-plugin test"]


def test_new_plugin_has_no_problem(new_plugin: tuple[Path, Output]) -> None:
    folder, _ = new_plugin
    checked = run_command("check", ".", "--rules", f"{NAME}_rules.yaml", cwd=folder)
    assert checked.status == 0, checked


def test_new_plugin_runs_without_params_or_names_them(new_plugin: tuple[Path, Output]) -> None:
    folder, _ = new_plugin
    ran = run_command("run", ".", cwd=folder)
    assert ran.status == 1, ran
    advice = "open_params" if is_source(folder) else "--events"
    if "HttpReceiver" in (folder / "plugin.py").read_text():
        # The configuration is read first, and it decides who may send requests.
        advice = "secret is missing: set it, or set allow_unsigned: true"
    assert advice in ran.stderr.splitlines()[-1], ran.stderr


def test_help_describes_each_template() -> None:
    shown = run_command("new", "--help").stdout
    for template in TEMPLATES:
        assert re.search(rf"^  {template}  +(makes|extracts|polls|receives) ", shown, re.MULTILINE), shown


def test_new_uses_generator_template_by_default(tmp_path: Path) -> None:
    folders = {}
    for template in TEMPLATES:
        (tmp_path / template).mkdir()
        assert run_new(tmp_path / template, NAME, "--template", template).status == 0
        folders[template] = read_files(tmp_path / template / NAME)
    assert run_new(tmp_path, NAME).status == 0
    assert read_files(tmp_path / NAME) == folders["generator"]
    assert len({files["plugin.py"] for files in folders.values()}) == len(TEMPLATES)


# The class must not get a name that the module uses for something else.
CLASS_NAMES = {
    "access-log": "AccessLog",
    "s3_access--log2": "S3AccessLog2",
    "plugin": "PluginPlugin",
    "config": "ConfigPlugin",
    "cursor": "CursorPlugin",
    "true": "TruePlugin",
    "end-": "End",
}


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_new_accepts_names_that_falco_accepts(name: str, tmp_path: Path) -> None:
    assert run_new(tmp_path, name).status == 0
    assert f"class {CLASS_NAMES[name]}(Plugin):" in (tmp_path / name / "plugin.py").read_text()
    built = run_command("build", "--linked", name, cwd=tmp_path)
    assert built.stdout.startswith(
        f"lib{name}.so: plugin {name} 0.1.0, event source {name.replace('-', '_')}, 4 fields\n"
    )


# Rejected names and folders


def check_refused(ran: Output, message: str) -> None:
    assert (ran.status, ran.stdout) == (1, "")
    (line,) = ran.stderr.splitlines()
    assert line.startswith("falco-plugin: ")
    assert message in line


@pytest.mark.parametrize("name", ["", "Audit", "1audit", "_audit", "au dit", "au.dit", "../audit", "aud\u00eft"])
def test_new_rejects_names_that_falco_rejects(name: str, tmp_path: Path) -> None:
    check_refused(run_new(tmp_path, name), f"Falco does not accept the name {name!r}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["syscall", "internal", "plugins"])
def test_new_rejects_event_sources_of_falco(name: str, tmp_path: Path) -> None:
    check_refused(run_new(tmp_path, name), f"the event_source {name!r} is reserved by Falco")
    assert not list(tmp_path.iterdir())


def test_new_keeps_existing_files(tmp_path: Path) -> None:
    folder, file, link = tmp_path / "folder", tmp_path / "file", tmp_path / "link"
    folder.mkdir()
    file.write_text("existing")
    link.symlink_to("nowhere")
    for path in (folder, file, link):
        check_refused(run_new(tmp_path, path.name), f"{path.name} already exists")
    assert not list(folder.iterdir())
    assert file.read_text() == "existing"
    assert link.is_symlink()


def test_new_names_unwritable_folder(tmp_path: Path) -> None:
    check_refused(run_new(tmp_path, "a" * 300), "File name too long")
    check_refused(run_new(Path("/proc"), "audit"), "cannot make audit: ")
    assert not list(tmp_path.iterdir())


def test_new_removes_files_after_failure(tmp_path: Path) -> None:
    falco_plugin = Path(sys.executable).with_name("falco-plugin")
    # The limit keeps children of the shell from writing any byte to a file, as on a full disk.
    check_refused(run("bash", "-c", f"ulimit -f 0; {falco_plugin} new audit", cwd=tmp_path), "cannot write audit: ")
    assert not list(tmp_path.iterdir())

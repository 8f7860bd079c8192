"""`falco-plugin build`: what it prints, and which targets it rejects."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from support.commands import HEAD, REQUIRES, TALLY, check_refused
from support.hosts import MISSING, run, run_command
from support.libraries import build_plugin, simple_plugin, write_sources

# Invalid targets: the code, and parts of the error message.
BAD_SOURCES = {
    "no plugin": ("x = 1\n", ["bad.py has no plugin", "define a subclass of falco_plugin.Plugin", "bad.py:NAME"]),
    "two plugins": (
        f"{HEAD}\n\nclass Q(P):\n    name = 'q'\n",
        ["bad.py has 2 plugins (P at bad.py:4, Q at bad.py:9)", "name one, such as ", "bad.py:P"],
    ),
    "empty": ("", ["bad.py has no plugin"]),
    "missing module": (
        "import no_such_module_at_all\n",
        ["No module named 'no_such_module_at_all'", "install it into", "bad.py:1"],
    ),
    "missing name": ("from json import nothing\n", ["ImportError: cannot import name 'nothing'", "bad.py:1"]),
    "raises": ("x = 1\n1 / 0\n", ["ZeroDivisionError: division by zero", "bad.py:2"]),
    "exits": ("raise SystemExit(7)\n", ["SystemExit: 7", "bad.py:1"]),
    "interrupts": ("raise KeyboardInterrupt\n", ["KeyboardInterrupt", "bad.py:1"]),
    "syntax": ("x = 1\ndef (\n", ["SyntaxError: invalid syntax (bad.py:2: def ()"]),
    "indentation": ("if True:\nx = 1\n", ["IndentationError: ", "(bad.py:2: x = 1)"]),
    "nul": ("x = '\0'\n", ["bad.py", "null bytes"]),
    "sibling": ("import sibling\n", ["bad.py imports sibling", "not packed with a single file", "build the folder"]),
    "no name": (HEAD.replace("name = 'p'", ""), ["P has no name", "name = 'lines'"]),
    "invalid name": (HEAD.replace("'p'", "'Bad Name'"), ["P: Falco does not accept the name 'Bad Name'", "lower-case"]),
    "name is not a string": (HEAD.replace("'p'", "7"), ["P: name must be str, not int"]),
    "invalid version": (f"{HEAD}    version = '1'\n", ["the version '1' must be three numbers, such as 0.1.0"]),
    "id too small": (f"{HEAD}    id = 0\n", ["id must be 1 to 2147483647", "not 0"]),
    "id too large": (f"{HEAD}    id = 2**31\n", ["id must be 1 to 2147483647", "not 2147483648"]),
    "id is a string": (f"{HEAD}    id = '999'\n", ["id must be int, not str"]),
    "invalid source": (f"{HEAD}    event_source = 'a-b'\n", ["Falco does not accept the event_source 'a-b'"]),
    "reserved source": (f"{HEAD}    event_source = 'syscall'\n", ["the event_source 'syscall' is reserved by Falco"]),
    "reserved source by default": (
        HEAD.replace("'p'", "'internal'"),
        ["the event_source 'internal', which is the plugin's name, is reserved by Falco: choose another name, or set"],
    ),
    "nul in a string": (f"{HEAD}    contact = 'a\\0b'\n", ["contact must not contain NUL"]),
    "method hides attribute": (
        f"{HEAD}    def contact(self): ...\n",
        ["the method 'contact' hides the plugin attribute 'contact'", "another name"],
    ),
    "method hides config": (
        f"{HEAD}    def config(self): ...\n",
        ["the method 'config' hides the plugin attribute 'config'", "another name"],
    ),
    "attribute hides method": (
        f"{HEAD}    destroy = 4\n",
        ["the attribute 'destroy' (int) hides the plugin method 'destroy'", "another name"],
    ),
    "no capability": ("from falco_plugin import Plugin\n\n\nclass P(Plugin):\n    name = 'p'\n", ["define open"]),
    "constructor fails": (
        f"{HEAD}    def __init__(self):\n        raise ValueError('not today')\n",
        ["bad:P failed: ValueError: not today", "bad.py:8"],
    ),
}


@pytest.mark.parametrize("kind", BAD_SOURCES)
def test_build_reports_invalid_target_in_one_line(tmp_path: Path, kind: str) -> None:
    source, messages = BAD_SOURCES[kind]
    (tmp_path / "bad.py").write_text(source)
    (tmp_path / "sibling.py").write_text("")
    check_refused(run_command("build", "--linked", "bad.py", "-o", "out.so", cwd=tmp_path), *messages)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.py", "sibling.py"], (
        "the failed build leaves no file behind"
    )


@pytest.mark.parametrize("start", ["module", "--python"])
def test_build_suggests_folder_for_sibling_import(tmp_path: Path, start: str) -> None:
    # `python -m` adds the working directory to the import path, but the library will not find modules there.
    write_sources(tmp_path, {"sibling.py": "", "bad.py": "import sibling\n" + simple_plugin("lonely")})
    if start == "module":
        ran = run(sys.executable, "-m", "falco_plugin", "build", "--linked", "bad.py", cwd=tmp_path)
    else:
        ran = run_command("build", "--linked", "bad.py", "--python", sys.executable, cwd=tmp_path)
    check_refused(ran, "bad.py imports sibling", "build the folder")


@pytest.mark.parametrize("subcommand", ["run", "info"])
def test_run_and_info_report_invalid_target_in_one_line(tmp_path: Path, subcommand: str) -> None:
    (tmp_path / "bad.py").write_text("import json\njson.loads('{')\n")
    check_refused(run_command(subcommand, "bad.py", cwd=tmp_path), "JSONDecodeError: ", "bad.py:2")


@pytest.mark.parametrize("position", ["before", "after"])
@pytest.mark.parametrize("subcommand", ["build", "run", "info"])
def test_debug_shows_traceback_of_user_code(tmp_path: Path, subcommand: str, position: str) -> None:
    (tmp_path / "bad.py").write_text("def inner():\n    raise ValueError('deep inside')\n\n\ninner()\n")
    words = ["--debug", subcommand, "bad.py"] if position == "before" else [subcommand, "bad.py", "--debug"]
    ran = run_command(*words, cwd=tmp_path)
    assert ran.status == 1
    assert "Traceback (most recent call last)" in ran.stderr
    assert 'bad.py", line 2, in inner' in ran.stderr
    assert "ValueError: deep inside" in ran.stderr


def test_build_names_missing_file(tmp_path: Path) -> None:
    check_refused(
        run_command("build", "--linked", "nothing.py", cwd=tmp_path),
        "nothing.py: no such file or folder: give path.py[:Name], a folder, or a library",
    )


def test_build_names_missing_class(tmp_path: Path) -> None:
    write_sources(tmp_path, {"some.py": simple_plugin("some")})
    check_refused(
        run_command("build", "--linked", "some.py:Other", cwd=tmp_path),
        "some.py has no class or factory function 'Other': use a name of the top level of a module",
    )


def test_build_rejects_library(tmp_path: Path) -> None:
    library = build_plugin(tmp_path, simple_plugin("built"))
    check_refused(run_command("build", "--linked", library), "is not Python code", "path.py[:Name] or a folder")


def test_build_rejects_folder_without_plugin(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    check_refused(run_command("build", "--linked", "empty", cwd=tmp_path), "empty has no plugin")


def test_build_selects_plugin_by_class_name(tmp_path: Path) -> None:
    write_sources(tmp_path, {"two.py": f"{HEAD}\n\nclass Q(P):\n    name = 'q'\n"})
    ran = run_command("build", "--linked", "two.py:Q", cwd=tmp_path)
    assert ran.status == 0, ran.stderr
    assert (tmp_path / "libq.so").exists()


def test_build_prints_configuration_for_falco(tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": simple_plugin("shown", 'event_source = "shown_source"\n')})
    ran = run_command("build", "--linked", "plugin.py", cwd=tmp_path)
    assert ran.status == 0
    library = (tmp_path / "libshown.so").resolve()
    assert library.exists()
    for text in ("- name: shown\n", f"library_path: {library}\n", "load_plugins: [shown]", "source: shown_source"):
        assert text in ran.stdout


@pytest.mark.parametrize(
    ("source", "config"),
    [
        (simple_plugin("any"), ""),
        (REQUIRES, {"url": "", "period": ""}),
        (REQUIRES.replace("url: str", "url: str = ''").replace("period: int", "period: int = 5"), ""),
    ],
    ids=["text", "required", "optional"],
)
def test_build_prints_required_configuration_keys(tmp_path: Path, source: str, config: object) -> None:
    write_sources(tmp_path, {"plugin.py": source})
    _, _, text = run_command("build", "--linked", "plugin.py", cwd=tmp_path).stdout.partition("In falco.yaml:\n\n")
    shown = yaml.safe_load(text.partition("\n\n")[0])
    (plugin,) = shown["plugins"]
    assert plugin["init_config"] == config
    assert shown["load_plugins"] == [plugin["name"]]


@pytest.mark.parametrize(
    ("sources", "rules"),
    [
        ('("shop", "other")', "Rules on its fields need:\n\n  source: shop\n  source: other\n"),
        ("()", "Rules on its fields need the source of the events, such as:\n\n  source: k8s_audit\n"),
    ],
    ids=["named", "every"],
)
def test_build_explains_plugin_without_source(tmp_path: Path, sources: str, rules: str) -> None:
    write_sources(tmp_path, {"tally.py": TALLY.replace('("shop", "other")', sources)})
    ran = run_command("build", "--linked", "tally.py", cwd=tmp_path)
    assert "\nload_plugins: [SOURCE, tally]  # SOURCE: the plugin that makes the events\n" in ran.stdout
    assert "open_params" not in ran.stdout
    assert ran.stdout.endswith(rules)


def test_build_explains_plugin_for_system_calls(tmp_path: Path) -> None:
    write_sources(tmp_path, {"tally.py": TALLY.replace('("shop", "other")', '("syscall",)')})
    ran = run_command("build", "--linked", "tally.py", cwd=tmp_path)
    assert "\nload_plugins: [tally]\n" in ran.stdout
    assert ran.stdout.endswith("Rules on its fields need:\n\n  source: syscall  # the default\n")


def test_build_output_is_file_or_folder(tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": simple_plugin("placed")})
    (tmp_path / "folder").mkdir()
    for output in ("folder", "other.so"):
        assert run_command("build", "--linked", "plugin.py", "-o", output, cwd=tmp_path).status == 0
    assert (tmp_path / "folder" / "libplaced.so").read_bytes() == (tmp_path / "other.so").read_bytes()


# --python


def test_build_is_reproducible_for_same_python(tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": simple_plugin("same")})
    for words in (["-o", "a.so"], ["-o", "b.so", "--python", sys.executable]):
        ran = run_command("build", "--linked", "plugin.py", *words, cwd=tmp_path)
        assert ran.status == 0, ran.stderr
    assert (tmp_path / "a.so").read_bytes() == (tmp_path / "b.so").read_bytes()


def test_build_for_python_without_sdk_explains_install(tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": simple_plugin("other")})
    python = tmp_path / "bare" / "bin" / "python"
    assert run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare").status == 0
    ran = run_command("build", "--linked", "plugin.py", "--python", python, cwd=tmp_path)
    check_refused(ran, f"--python {python} has no falco-plugin-sdk", "-m pip install falco-plugin-sdk")
    assert not (tmp_path / "libother.so").exists()


def test_build_names_missing_python(tmp_path: Path) -> None:
    write_sources(tmp_path, {"plugin.py": simple_plugin("other")})
    ran = run_command("build", "--linked", "plugin.py", "--python", f"{MISSING}/python", cwd=tmp_path)
    check_refused(ran, f"--python {MISSING}/python: no such program: give the path of an environment's Python")

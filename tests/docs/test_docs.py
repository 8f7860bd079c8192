"""Runs the code blocks of the documentation. Checks that the reference has each public name once, with an example.

A page is a scenario in an empty folder, from top to bottom:

- A block with a title is a file of that name.
- ``console``: each ``$`` line must succeed. The lines below it are its output; "…" matches anything in a line, or any
  lines. ``cd`` lasts until the end of the page. Commands that run a Falco are left out if there is none.
- ``python`` runs, with one namespace for all blocks of a page.
- ``sh`` is for another machine, such as a cluster. Only its syntax is checked, as that of all other languages.
- ``go`` and ``text`` are not checked.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shutil
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
import yaml
from support.falco import has_falco
from support.hosts import environment
from support.pages import Block, blocks_of
from support.paths import REPOSITORY

import falco_plugin
from falco_plugin import params, polling, receiving, source, testing
from falco_plugin.cli.main import main

MODULES = (falco_plugin, params, polling, receiving, source, testing)
DOCS = REPOSITORY / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
DIRECTIVE = re.compile(r"^::: (falco_plugin[\w.]*)$", re.MULTILINE)
NEEDS_FALCO = re.compile(r"falco-plugin (alerts|test) (?!--help)|pytest .*alerts|^falco ")
REPOSITORY_URL = "https://github.com/example/falco-plugin-sdk"
DOCKERFILE = frozenset(["ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "USER", "WORKDIR"])


@dataclass
class Scenario:
    """Runs the blocks of one page, from top to bottom."""

    folder: Path
    namespace: dict[str, object] = field(default_factory=lambda: {"__name__": "docs"})

    def play(self, block: Block) -> None:
        play = getattr(self, f"play_{block.language}", None)
        assert play is not None, f"{block.origin}: there is no check for a block of {block.language!r}"
        if block.title is not None:
            file = self.folder / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text)
        play(block)

    def play_console(self, block: Block) -> None:
        for command, expected in commands_of(block):
            if command.startswith("cd "):
                self.folder /= command.removeprefix("cd ")
                continue
            if NEEDS_FALCO.search(command) and not has_falco():
                continue
            output = self.run(command, block.origin)
            if expected:
                assert matches(expected, output), f"{block.origin}: {command}\nprints\n{output}\nnot\n{expected}"

    def run(self, command: str, origin: str) -> str:
        folders = [sysconfig.get_path("scripts"), os.environ["PATH"]]
        if os.path.isabs(falco := os.environ.get("FALCO", "")):
            folders.insert(1, os.path.dirname(falco))  # the tutorial also calls falco itself
        done = subprocess.run(
            ["bash", "-c", command],
            env=environment(PATH=":".join(folders), COLUMNS="80", PYTEST_ADDOPTS=None),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, f"{origin}: {command}\nends with {done.returncode}\n{done.stdout}"
        return done.stdout

    def play_python(self, block: Block) -> None:
        code = compile(block.text, block.origin, "exec", dont_inherit=True)
        if block.title is None:
            exec(code, self.namespace)

    def play_sh(self, block: Block) -> None:
        assert_shell(block.text, block.origin)

    def play_yaml(self, block: Block) -> None:
        assert all(isinstance(document, dict | list) for document in yaml.safe_load_all(block.text)), block.origin

    def play_json(self, block: Block) -> None:
        assert [json.loads(line) for line in block.text.splitlines()], block.origin

    def play_toml(self, block: Block) -> None:
        assert tomllib.loads(block.text), block.origin

    def play_dockerfile(self, block: Block) -> None:
        stages: set[str] = set()
        for line in re.sub(r"\\\n|^#.*\n", "", block.text, flags=re.MULTILINE).splitlines():
            instruction, _, rest = line.partition(" ")
            if not instruction:
                continue
            assert instruction in DOCKERFILE, f"{block.origin}: {line}"
            assert stages or instruction in {"ARG", "FROM"}, f"{block.origin}: {line}: no FROM before it"
            if instruction == "FROM":
                stages.add(rest.partition(" AS ")[2] or rest)
            elif instruction == "RUN":
                assert_shell(rest, block.origin)
            elif stage := re.match(r"--from=(\w+) ", rest):
                assert stage[1] in stages, f"{block.origin}: {line}: no such stage"

    def play_text(self, block: Block) -> None:
        """Accepts any text."""

    play_go = play_text


def commands_of(block: Block) -> Iterator[tuple[str, str]]:
    """Yields the commands of a console block, each with the output that the page shows."""
    before, *parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
    assert before == "", f"{block.origin}: a console block begins with a command"
    for part in parts:
        command = re.match(r"(?:.*\\\n)*.*", part)
        assert command is not None
        yield command[0], part[command.end() + 1 :]


def matches(expected: str, output: str) -> bool:
    pattern = "".join(
        "(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + "\n" for line in lines_of(expected)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines_of(output))) is not None


def lines_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def assert_shell(script: str, origin: str) -> None:
    checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, f"{origin}: {checked.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_page_code_works_from_top_to_bottom(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = list(blocks_of(page))
    assert len(re.findall(r"^ *```", page.read_text(), re.MULTILINE)) == 2 * len(blocks), "a block is not closed"
    monkeypatch.chdir(tmp_path)
    scenario = Scenario(tmp_path)
    for block in blocks:
        scenario.play(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_lines_of_code_fit_their_column(page: Path) -> None:
    for block in blocks_of(page):
        if block.language not in {"console", "sh", "text"}:  # the style sheet wraps these
            long = [line for line in block.text.splitlines() if len(line) > 96]
            assert not long, f"{block.origin}: {long}"


def test_readme_code_runs(tmp_path: Path) -> None:
    scenario = Scenario(tmp_path)
    for block in blocks_of(REPOSITORY / "README.md"):
        if block.language in {"python", "yaml"}:
            scenario.play(block)


def objects_named(names: Iterable[str]) -> list[tuple[str, object]]:
    """Returns the names with their objects. Two names may refer to the same object."""
    found = []
    for name in names:
        module, _, attribute = name.rpartition(".")
        found.append((name, getattr(importlib.import_module(module), attribute)))
    return found


def test_reference_describes_each_public_name_once() -> None:
    written = [name for page in PAGES for name in DIRECTIVE.findall(page.read_text())]
    described = objects_named(written)
    for name, value in objects_named(f"{module.__name__}.{name}" for module in MODULES for name in module.__all__):
        entries = [entry for entry, other in described if other is value]
        assert len(entries) == 1, f"{name} is described {len(entries)} times"


def names_used_in(code: str) -> Iterator[str]:
    """Yields the names that code uses, but not those that it only imports."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                yield name


@pytest.mark.parametrize(
    "page", [page for page in PAGES if DIRECTIVE.search(page.read_text())], ids=lambda page: page.stem
)
def test_reference_has_an_example_of_each_public_name(page: Path) -> None:
    used = {name for block in blocks_of(page) if block.language == "python" for name in names_used_in(block.text)}
    public = {f"{module.__name__}.{name}" for module in MODULES for name in module.__all__}
    described = [name for name in DIRECTIVE.findall(page.read_text()) if name in public]
    assert [name for name in described if name.rpartition(".")[2] not in used] == []


def test_command_page_shows_the_help_of_each_command() -> None:
    blocks = [block for block in blocks_of(DOCS / "reference/command.md") if block.language == "console"]
    commands = [command for block in blocks for command, _ in commands_of(block)]
    names = main.list_commands(click.Context(main))
    assert commands == ["falco-plugin --help", *(f"falco-plugin {name} --help" for name in names)]


def test_examples_page_describes_each_plugin() -> None:
    page = (DOCS / "reference/examples.md").read_text()
    examples = sorted(path.parent.name for path in REPOSITORY.glob("plugins/*/plugin.py"))
    assert sorted(re.findall(r"^## (\w+)$", page, re.MULTILINE)) == examples


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, str]:
    """Builds the pages without a warning and returns them."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(REPOSITORY / "mkdocs.yml", folder)
    shutil.copytree(DOCS, folder / "docs")  # Zensical rejects a link
    (folder / "python").symlink_to(REPOSITORY / "python")
    built = subprocess.run(
        [Path(sysconfig.get_path("scripts"), "zensical"), "build", "--strict", "--config-file", folder / "mkdocs.yml"],
        cwd=folder,
        env={**os.environ, "REPOSITORY_URL": REPOSITORY_URL},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=240,
    )
    assert built.returncode == 0, built.stdout
    pages = folder / "build/site"
    return {path.relative_to(pages).with_suffix(".md"): path.read_text() for path in pages.rglob("*.html")}


def pages_of(entry: object) -> Iterator[str]:
    """Yields the pages of a part of the navigation."""
    if isinstance(entry, str):
        yield entry
    else:
        assert isinstance(entry, dict | list)
        for part in entry.values() if isinstance(entry, dict) else entry:
            yield from pages_of(part)


def test_navigation_has_each_page_once() -> None:
    text = (REPOSITORY / "mkdocs.yml").read_text()
    navigation = yaml.safe_load(text[text.index("nav:") :])
    assert sorted(pages_of(navigation["nav"])) == [str(page.relative_to(DOCS)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_pictures_of_page_exist(page: Path) -> None:
    for picture in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text()):
        assert (page.parent / picture).is_file(), picture


def test_site_has_each_page_and_needs_no_network(site: dict[Path, str]) -> None:
    assert set(site) == {page.relative_to(DOCS) for page in PAGES} | {Path("404.md")}
    for page, text in site.items():
        loaded = re.findall(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?((?:https?:)?//[^\s\">]+)", text)
        assert not loaded, f"{page}: {loaded}"


def test_link_to_repository_asks_for_no_number_of_stars(site: dict[Path, str]) -> None:
    for page, text in site.items():
        assert f'href="{REPOSITORY_URL}"' in text or f"href={REPOSITORY_URL}" in text, page
        assert not re.search(r"data-md-component=\"?source\b", text), page


def test_reference_has_no_private_name(site: dict[Path, str]) -> None:
    for page, text in site.items():
        if page.parent == Path("reference"):
            private = re.findall(r"(?<!os\.)(?<!\*)\b_(?!FALCO)[a-zA-Z]\w*", re.sub("<[^>]+>", "", text))
            assert not private, f"{page}: {private}"

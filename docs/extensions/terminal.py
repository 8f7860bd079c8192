"""Draws terminals in which commands run, as SVG: ``make pages`` writes them.

The output is real. A picture is not written if its Falco or its rules are missing: ``FALCO`` names a Falco, and
``FALCO_PLUGINS_SOURCE`` a checkout of github.com/falcosecurity/plugins, which has the rules for k8saudit.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
RULES = Path(os.environ.get("FALCO_PLUGINS_SOURCE", ""), "plugins/k8saudit/rules/k8s_audit_rules.yaml")
COLUMNS = 52
"""A wider terminal is not readable on a phone."""
WAITS = "waiting for a change (Ctrl-C ends)\r\n"
"""The end of the message of ``run --watch`` that the source has ended."""
# rich's own format loads a font from the network, and has no width, so that pages would enlarge the picture.
FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="480">
<style>
.{unique_id}-matrix {{ font: {char_height}px ui-monospace, "DejaVu Sans Mono", monospace; white-space: pre }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


@dataclass(frozen=True)
class Command:
    """One command, and how it ends."""

    text: str
    status: int = 0
    first_lines: int | None = None
    """Number of lines of its output that the picture shows, or `None` for all."""
    edit: str = ""
    """A command that runs when this one waits for a change of a file. Later, Ctrl-C ends this one."""


@dataclass(frozen=True)
class Picture:
    """Commands that run in a terminal, one after another, in a folder with some files."""

    name: str
    write_files: Callable[[Path], None]
    commands: Sequence[Command]


def write_files_of_readme(folder: Path) -> None:
    readme = (REPOSITORY / "README.md").read_text()
    (folder / "lines.py").write_text(block_of(readme, "python"))
    (folder / "lines_rules.yaml").write_text(block_of(readme, "yaml"))
    events = '{"user": "ada", "action": "login"}\n{"user": "bob", "action": "delete"}\n'
    (folder / "events.jsonl").write_text(events)


def write_k8saudit(folder: Path) -> None:
    for plugin in ("k8saudit", "json"):
        shutil.copytree(REPOSITORY / "plugins" / plugin, folder / plugin, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(RULES, folder)
    (folder / "audit.jsonl").write_text(AUDIT)
    (folder / "k8s_audit_rules.test.yaml").write_text(RULE_TESTS)


def write_k8saudit_with_mistake(folder: Path) -> None:
    write_k8saudit(folder)
    fields = folder / "k8saudit/fields.py"
    fields.write_text(fields.read_text().replace('"/user/username"', '"/user/name"'))


AUDIT = """\
{"kind":"Event","stage":"ResponseStarted","stageTimestamp":"2026-01-05T09:00:00Z","verb":"create",\
"user":{"username":"eve"},"requestURI":"/api/v1/namespaces/shop/pods/web/exec?command=sh",\
"objectRef":{"resource":"pods","namespace":"shop","name":"web","subresource":"exec"}}
{"kind":"Event","stage":"ResponseComplete","stageTimestamp":"2026-01-05T09:00:04Z","verb":"get",\
"user":{"username":"admin"},"requestURI":"/api/v1/namespaces/shop/secrets/keys",\
"objectRef":{"resource":"secrets","namespace":"shop","name":"keys"},"responseStatus":{"code":200}}
"""
RULE_TESTS = """\
with: [json]
tests:
  - name: a shell in a pod is an alert
    events:
      - stage: ResponseStarted
        verb: create
        user: {username: eve}
        requestURI: /pods/web/exec?command=sh
        objectRef:
          {resource: pods, subresource: exec}
    fires: [Attach/Exec Pod]

  - name: a secret that is read is an alert
    events:
      - stage: ResponseComplete
        verb: get
        user: {username: admin}
        objectRef: {resource: secrets}
        responseStatus: {code: 403}
    fires: [K8s Secret Get Successfully]
"""
PICTURES = [
    Picture(
        "tutorial/alert.svg",
        write_files_of_readme,
        [
            Command("falco-plugin run lines.py \\\n    --params events.jsonl --fields lines.user"),
            Command("falco-plugin alerts lines.py \\\n    --rules lines_rules.yaml --params events.jsonl"),
        ],
    ),
    Picture(
        "how-to/check.svg",
        write_k8saudit,
        [
            Command("falco-plugin check k8saudit --with json \\\n    --rules k8s_audit_rules.yaml"),
            Command("sed -i 's/user.name start/user.names start/' \\\n    k8s_audit_rules.yaml"),
            Command("falco-plugin check k8saudit --with json \\\n    --rules k8s_audit_rules.yaml", status=1),
        ],
    ),
    Picture(
        "how-to/alerts.svg",
        write_k8saudit,
        [
            Command(
                "falco-plugin alerts k8saudit --with json \\\n    --rules k8s_audit_rules.yaml \\\n"
                "    --params audit.jsonl",
                first_lines=30,
            )
        ],
    ),
    Picture(
        "how-to/test.svg",
        write_k8saudit,
        [
            Command("cat k8s_audit_rules.test.yaml"),
            Command("falco-plugin test k8saudit \\\n    k8s_audit_rules.test.yaml", status=1),
        ],
    ),
    Picture(
        "reference/run-pretty.svg",
        write_k8saudit,
        [
            Command(
                "falco-plugin run k8saudit --pretty \\\n    --params audit.jsonl \\\n"
                "    --fields ka.user.name,ka.verb,ka.target.name"
            )
        ],
    ),
    Picture(
        "reference/run-watch.svg",
        write_k8saudit_with_mistake,
        [
            Command(
                "falco-plugin run k8saudit --pretty --watch \\\n    --params audit.jsonl --limit 1 \\\n"
                "    --fields ka.user.name,ka.verb",
                edit="sed -i 's,/user/name,/user/username,' \\\n    k8saudit/fields.py",
            )
        ],
    ),
]


def block_of(page: str, language: str) -> str:
    """Returns the first block of a language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert found is not None, f"README.md has no block of {language}"
    return found[1]


def output_of(command: Command, folder: Path) -> str:
    """Runs a command in a terminal and returns its output, with colours."""
    variables = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
    }
    master, slave = pty.openpty()
    output, edits = "", [command.edit] if command.edit else []
    with subprocess.Popen(
        ["bash", "-c", f"stty cols {COLUMNS} rows 40; {command.text}"],
        cwd=folder,
        env=variables,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    ) as running:
        os.close(slave)
        try:
            while chunk := os.read(master, 65536):
                output += chunk.decode()
                if output.endswith(WAITS):
                    if edits:
                        output += f"\n\x1b[32m$\x1b[0m \x1b[1m{edits[0]}\x1b[0m\n"
                        subprocess.run(["bash", "-c", edits.pop()], cwd=folder, check=True)
                    else:
                        os.killpg(running.pid, signal.SIGINT)
        except OSError:  # the terminal is closed
            pass
    os.close(master)
    assert running.returncode == command.status, output
    return output.replace("\r\n", "\n")


def draw(picture: Picture) -> str:
    """Runs the commands, and returns the SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture.write_files(folder)
        for command in picture.commands:
            console.print(Text.assemble(("$ ", "green"), (command.text, "bold")))
            lines = output_of(command, folder).expandtabs().splitlines()
            if command.first_lines is not None and len(lines) > command.first_lines:
                lines[command.first_lines :] = ["…"]
            console.print(Text.from_ansi("\n".join([*lines, ""])))
    return console.export_svg(title="", code_format=FORMAT, unique_id="terminal")


def main() -> None:
    for picture in PICTURES:
        commands = " ".join(command.text for command in picture.commands)
        if re.search("plugin (alerts|test)", commands) and not (os.environ.get("FALCO") or shutil.which("falco")):
            print(f"{picture.name} is not written, because there is no Falco")
        elif "k8saudit" in commands and not RULES.is_file():
            print(f"{picture.name} is not written: set FALCO_PLUGINS_SOURCE to a checkout of falcosecurity/plugins")
        else:
            (DOCS / picture.name).write_text(draw(picture))


if __name__ == "__main__":
    main()

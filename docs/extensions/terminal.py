"""Draws docs/tutorial/alert.svg, a terminal in which the commands of the README run: ``make pages`` writes it.

The plugin and the rule are those of the README, and the output is real. Nothing is written if there is no Falco.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

REPOSITORY = Path(__file__).resolve().parents[2]
PICTURE = REPOSITORY / "docs/tutorial/alert.svg"
COLUMNS = 94
EVENTS = '{"user": "ada", "action": "login"}\n{"user": "bob", "action": "delete"}\n'
COMMANDS = [
    "falco-plugin run lines.py --params events.jsonl --fields lines.user",
    "falco-plugin alerts lines.py --rules lines_rules.yaml --params events.jsonl",
]
# rich's own format loads a font from the network.
FORMAT = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">
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


def block_of(page: str, language: str) -> str:
    """Returns the first block of a language."""
    found = re.search(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert found is not None, f"README.md has no block of {language}"
    return found[1]


def output_of(command: str, folder: Path) -> str:
    """Runs a command in a terminal and returns its output, with colours."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    master, slave = pty.openpty()
    with subprocess.Popen(
        ["bash", "-c", f"stty cols {COLUMNS} rows 40; {command}"],
        cwd=folder,
        env={**os.environ, "PATH": path, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS)},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    ) as running:
        os.close(slave)
        chunks = []
        try:
            while chunk := os.read(master, 65536):
                chunks.append(chunk)
        except OSError:  # the terminal is closed
            pass
    os.close(master)
    assert running.returncode == 0, b"".join(chunks).decode()
    return b"".join(chunks).decode().replace("\r\n", "\n")


def main() -> None:
    if not (os.environ.get("FALCO") or shutil.which("falco")):
        print(f"{PICTURE.name} is not written, because there is no Falco")
        return
    readme = (REPOSITORY / "README.md").read_text()
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "lines.py").write_text(block_of(readme, "python"))
        (folder / "lines_rules.yaml").write_text(block_of(readme, "yaml"))
        (folder / "events.jsonl").write_text(EVENTS)
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "green"), (command, "bold")))
            console.print(Text.from_ansi(output_of(command, folder).expandtabs()))
    PICTURE.write_text(console.export_svg(title="", code_format=FORMAT, unique_id="terminal"))


if __name__ == "__main__":
    main()

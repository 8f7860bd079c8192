"""Draws the pictures of docs/explanation/internals as SVG: ``make pages`` writes them.

A picture shows one way of an event as steps from top to bottom. Each column is a thread, and the colour of a step shows
what runs there.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "explanation" / "internals"

COLUMN, BOX, HEIGHT, ROW, TOP = 340, 300, 50, 76, 56
COLOURS = {"Falco": "#dbe7f5", "Rust": "#f6e0d3", "Python": "#dcefd9", "memory": "#ececec"}


@dataclass(frozen=True)
class Step:
    """One step of an event: the column, what runs or stores it, and two lines of text."""

    column: int
    kind: str
    title: str
    detail: str = ""


FALCO, RUST, PYTHON, MEMORY = COLOURS

PICTURES: dict[str, tuple[list[str], list[Step]]] = {
    "pull": (
        ["thread of Falco"],
        [
            Step(0, FALCO, "Falco calls next_batch"),
            Step(0, RUST, "stub, then abi", "check the handles and catch panics"),
            Step(0, RUST, "engine: PullInstance", "takes the GIL once for the whole batch"),
            Step(0, PYTHON, "your pull function", "runs once per event"),
            Step(0, RUST, "EventWriter.write", "copies the payload: the only copy"),
            Step(0, MEMORY, "batch memory"),
            Step(0, FALCO, "Falco reads the batch"),
        ],
    ),
    "push": (
        ["your thread", "thread of Falco, without the GIL"],
        [
            Step(0, PYTHON, "your code calls Sender.send"),
            Step(0, RUST, "Sender", "keeps a reference to the bytes object"),
            Step(0, MEMORY, "channel", "a queue behind one lock, the gate"),
            Step(1, RUST, "engine: PushInstance", "takes all queued messages under the lock"),
            Step(1, RUST, "EventWriter", "copies each payload: the only copy"),
            Step(1, MEMORY, "batch memory"),
            Step(1, FALCO, "Falco reads the batch"),
        ],
    ),
    "iterable": (
        ["thread of the producer", "thread of Falco, without the GIL"],
        [
            Step(0, PYTHON, "your generator yields an event"),
            Step(0, RUST, "send_each", "sends items until a barrier, a refusal or the end"),
            Step(0, MEMORY, "channel", "capacity: 1,024 events"),
            Step(1, RUST, "engine: PushInstance", "continues as for push"),
            Step(1, MEMORY, "batch memory"),
            Step(1, FALCO, "Falco reads the batch", "and calls next_batch again"),
            Step(1, RUST, "the next call acknowledges the batch"),
            Step(0, PYTHON, "a barrier (yield None) resumes"),
        ],
    ),
    "lines": (
        ["thread of Falco, without the GIL"],
        [
            Step(0, FALCO, "Falco calls next_batch"),
            Step(0, RUST, "engine: LinesInstance", "reads a block of the file, pipe or socket"),
            Step(0, MEMORY, "read buffer"),
            Step(0, RUST, "splitter", "copies each line: the only copy"),
            Step(0, MEMORY, "batch memory"),
            Step(0, FALCO, "Falco reads the batch"),
        ],
    ),
    "custom": (
        ["thread of Falco"],
        [
            Step(0, FALCO, "Falco calls next_batch"),
            Step(0, RUST, "stub, then abi", "check the handles and catch panics"),
            Step(0, PYTHON, "your next_batch(batch)", "appends or extends"),
            Step(0, RUST, "EventBatch", "copies each payload: the only copy"),
            Step(0, MEMORY, "batch memory", "moves to Falco when your method returns"),
            Step(0, FALCO, "Falco reads the batch"),
        ],
    ),
    "extract": (
        ["thread of Falco"],
        [
            Step(0, FALCO, "Falco calls extract_fields", "for each rule again"),
            Step(0, RUST, "stub, then abi"),
            Step(0, RUST, "engine: Extractor", "looks the value up in the cache of this thread"),
            Step(0, RUST, "json_field: JSON reader", "first request for this event only; without the GIL"),
            Step(0, PYTHON, "or @field: your method", "first request for this event only; with the GIL"),
            Step(0, MEMORY, "value in the cache", "kept until the next event"),
            Step(0, FALCO, "Falco compares the value"),
        ],
    ),
}

STYLE = """\
text { font: 14px system-ui, sans-serif; text-anchor: middle; fill: #222 }
.detail { font-size: 12px; fill: #555 }
.column { font-weight: 600 }
rect.step { stroke: #888 }
path { stroke: #666; fill: none; marker-end: url(#arrow) }
"""


def draw(columns: list[str], steps: list[Step]) -> str:
    """The SVG of one picture."""
    width, height = COLUMN * len(columns), TOP + ROW * len(steps) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">',
        '<polygon points="0,0 8,4 0,8" fill="#666"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for column, title in enumerate(columns):
        parts.append(_text(column, 28, title, "column"))
    for row, step in enumerate(steps):
        parts += _box(row, step)
        if row:
            parts.append(_arrow(row, steps[row - 1].column, step.column))
    parts += _legend(height, {step.kind for step in steps})
    return "\n".join([*parts, "</svg>", ""])


def _middle(column: int) -> int:
    return COLUMN * column + COLUMN // 2


def _text(column: int, y: int, text: str, style: str) -> str:
    return f'<text x="{_middle(column)}" y="{y}" class="{style}">{escape(text)}</text>'


def _box(row: int, step: Step) -> list[str]:
    x, y = _middle(step.column) - BOX // 2, TOP + ROW * row - 8
    fill = COLOURS[step.kind]
    box = f'<rect class="step" x="{x}" y="{y}" width="{BOX}" height="{HEIGHT}" rx="6" fill="{fill}"/>'
    if not step.detail:
        return [box, _text(step.column, y + 30, step.title, "title")]
    return [box, _text(step.column, y + 21, step.title, "title"), _text(step.column, y + 39, step.detail, "detail")]


def _arrow(row: int, start: int, end: int) -> str:
    bottom, top = TOP + ROW * (row - 1) - 8 + HEIGHT, TOP + ROW * row - 8
    return f'<path d="M{_middle(start)},{bottom} L{_middle(end)},{top}"/>'


def _legend(height: int, kinds: set[str]) -> list[str]:
    parts = []
    for position, (kind, colour) in enumerate((kind, colour) for kind, colour in COLOURS.items() if kind in kinds):
        x = 20 + 80 * position
        parts.append(f'<rect x="{x}" y="{height - 20}" width="12" height="12" fill="{colour}" stroke="#888"/>')
        parts.append(
            f'<text x="{x + 17}" y="{height - 10}" class="detail" style="text-anchor: start">{escape(kind)}</text>'
        )
    return parts


if __name__ == "__main__":
    for name, (columns, steps) in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(draw(columns, steps))

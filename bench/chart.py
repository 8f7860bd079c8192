"""Draws the ratios as a bar chart: an SVG that is readable on light and on dark backgrounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from bench.report import Verdict, ratio_text

_LEFT, _RIGHT, _TOP, _BAR, _GAP = 480, 70, 56, 16, 8
_WIDTH = 1030
_TEXT, _FAINT = "#768390", "#76839055"
_COLOURS = {True: "#2da44e", False: "#d4731f", None: "#5b8dc9"}
"""Medium lightness contrasts with white and with black."""


def draw(verdicts: Sequence[Verdict], caption: str) -> str:
    """Returns an SVG with one bar a verdict, from 1 (as fast as the peer) to its ratio, on a logarithmic scale."""
    ratios = [number for one in verdicts for number in (one.ratio, one.at_most or 1)]
    lowest, highest = math.floor(math.log10(min([*ratios, 0.5]))), math.ceil(math.log10(max([*ratios, 2])))

    def x(ratio: float) -> float:
        return round(_LEFT + (math.log10(ratio) - lowest) / (highest - lowest) * (_WIDTH - _LEFT - _RIGHT), 1)

    bottom = _TOP + len(verdicts) * (_BAR + _GAP)
    parts = [_text(8, 20, caption, bold=True)]
    parts += [_text(8, 40, "a ratio below 1 means faster than the peer; the mark is the upper bound", faint=True)]
    for power in range(lowest, highest + 1):
        for step in (1, 2, 5) if power < highest else (1,):
            ratio = step * 10.0**power
            parts.append(_line(x(ratio), _TOP - 4, bottom, _TEXT if ratio == 1 else _FAINT))
            parts.append(_text(x(ratio), bottom + 16, f"{ratio:g}", anchor="middle"))
    for number, one in enumerate(verdicts):
        top = _TOP + number * (_BAR + _GAP)
        start, end = sorted((x(1), x(one.ratio)))
        colour = _COLOURS[one.met]
        parts.append(_text(_LEFT - 10, top + 12, f"{one.workload}: {one.peer}", anchor="end"))
        parts.append(f'<rect x="{start}" y="{top}" width="{end - start:.1f}" height="{_BAR}" fill="{colour}"/>')
        parts.append(_text(_WIDTH - 8, top + 12, ratio_text(one.ratio), anchor="end", bold=True))
        if one.at_most is not None:
            parts.append(_line(x(one.at_most), top - 3, top + _BAR + 3, _TEXT, width=3))
    legend = [("within the bound", True), ("above the bound", False), ("no bound", None)]
    for column, (meaning, met) in enumerate(legend):
        parts.append(
            f'<rect x="{_LEFT + 180 * column}" y="{bottom + 32}" width="12" height="12" fill="{_COLOURS[met]}"/>'
        )
        parts.append(_text(_LEFT + 180 * column + 18, bottom + 42, meaning))
    height = bottom + 56
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    return f'{head} font-family="system-ui, sans-serif" font-size="12">\n' + "\n".join(parts) + "\n</svg>\n"


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False, faint: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    style = ' font-style="italic"' if faint else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{_TEXT}"{weight}{style}>{escape(text)}</text>'


def _line(x: float, top: float, bottom: float, colour: str, *, width: int = 1) -> str:
    return f'<line x1="{x}" y1="{top}" x2="{x}" y2="{bottom}" stroke="{colour}" stroke-width="{width}"/>'

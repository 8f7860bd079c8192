"""Writes results of tests as JUnit XML, which CI systems read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from falco_plugin._falco.rule_runner import Result

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(path: Path, results: Sequence[Result]) -> None:
    """Writes a file of results.

    Raises:
        OSError: the file cannot be written.
    """
    suites = ElementTree.Element("testsuites")
    for file, group in groupby(results, lambda result: result.file):
        tests = list(group)
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            name=_text(str(file)),
            tests=str(len(tests)),
            failures=str(sum(not result.passed for result in tests)),
            errors="0",
            time=f"{sum(result.seconds for result in tests):.3f}",
        )
        for result in tests:
            case = ElementTree.SubElement(
                suite,
                "testcase",
                classname=_text(str(file)),
                name=_text(result.test.name),
                time=f"{result.seconds:.3f}",
            )
            if not result.passed:
                failure = ElementTree.SubElement(case, "failure", message=_text(result.problems[0]))
                failure.text = _text("\n".join(result.problems))
    ElementTree.ElementTree(suites).write(path, encoding="utf-8", xml_declaration=True)


def _text(text: str) -> str:
    """Replaces characters that XML cannot contain."""
    return _NOT_XML.sub("\ufffd", text)

"""Tests short runs of the soak, the reloads and the load, and that they detect faults."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.soak import load
from tests.soak.captures import capture
from tests.soak.reloads import reload
from tests.soak.series import Limit, Series
from tests.soak.soak import ROOT, soak

PLUGIN = ROOT / "tests" / "soak" / "plugin"


@pytest.mark.extended
def test_short_soak_finds_no_fault() -> None:
    soaked = soak(15, seed=7)
    # The run is too short to check growth.
    assert soaked.problems == []
    assert all(kind["events"] and kind["opens"] for kind in soaked.total["kinds"].values())
    assert soaked.total["unloads"]


@pytest.mark.extended
@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        (
            "yield event(self.key, producer, number)",
            "yield event(self.key, producer, number + number // 9)",
            "before an earlier expected one",
        ),
        ("yield event(self.key, producer, number)", "yield event(self.key, producer, number // 2)", "twice"),
        ("yield event(self.key, producer, number)", "yield event(self.key, 0, number)[:-2] + b'!!'", "other bytes"),
    ],
    ids=["lost", "duplicated", "changed"],
)
def test_soak_detects_faults(tmp_path: Path, right: str, wrong: str, fault: str) -> None:
    plugin = tmp_path / "plugin"
    shutil.copytree(PLUGIN, plugin)
    module = plugin / "spec.py"
    assert right in module.read_text()
    module.write_text(module.read_text().replace(right, wrong))
    soaked = soak(1, seed=7, plugin=plugin)
    assert any(fault in problem for problem in soaked.problems)


@pytest.mark.parametrize(
    ("samples", "is_flat"),
    [
        ([100.0] * 50, True),
        ([*range(50), *[50.0] * 150], True),
        ([100.0] * 40 + [1000.0] + [100.0] * 9, True),
        ([float(sample) for sample in range(100, 150)], False),
        ([100.0] * 30 + [111.0] * 20, False),
    ],
    ids=["constant", "warm-up", "single peak", "leak", "step"],
)
def test_flat_ignores_growth_before_warm_up(samples: list[float], is_flat: bool) -> None:
    assert Series("", "", samples, Limit(0.1, 0)).is_flat == is_flat


@pytest.mark.extended
def test_short_reloads_find_no_fault() -> None:
    # One source needs 0.3 s to release its port. Each plugin must get its own time to close.
    reloaded = reload(7, milliseconds=10, linked=True)
    assert (reloaded.problems, len(reloaded.samples)) == ([], 8)
    assert all(reloaded.total["events"])
    for name in ("descriptors", "threads", "python_threads", "modules"):
        assert len({sample[name] for sample in reloaded.samples[2:]}) == 1


@pytest.mark.extended
def test_short_reloads_of_variants_find_no_fault() -> None:
    reloaded = reload(20, milliseconds=10)
    assert (reloaded.problems, len(reloaded.samples)) == ([], 21)
    assert all(reloaded.total["events"])
    for name in ("descriptors", "threads", "python_threads", "modules"):
        assert len({sample[name] for sample in reloaded.samples[5:]}) == 1


@pytest.mark.extended
def test_short_captures_find_no_fault() -> None:
    captured = capture(12, seed=7)
    # The run is too short to check growth of memory.
    assert captured.problems == []
    assert all(captured.total.values())
    for name in ("descriptors", "modules"):
        assert len({sample[name] for sample in captured.samples[2:]}) == 1


@pytest.mark.extended
def test_short_load_finds_no_fault() -> None:
    rows = load.run([2], 1, lambda text: None)
    assert {row.host for row in rows} == {"fast", "slow", "closes", "killed"}
    assert {row.example for row in rows} == {"webhook", "k8saudit"}
    assert [problem for row in rows for problem in row.problems] == []

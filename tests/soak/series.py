"""Checks whether a sampled quantity has grown during a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

FIFTHS = 5


@dataclass(frozen=True)
class Limit:
    """The allowed growth: a fraction of the earlier value, plus an absolute amount."""

    fraction: float
    absolute: float


@dataclass(frozen=True)
class Series:
    """The samples of one quantity, in chronological order.

    The series is flat if the median of its last fifth exceeds the median of its second fifth by at most the limit. The
    first fifth is the warm-up. A median ignores short peaks.
    """

    title: str
    unit: str
    samples: Sequence[float]
    limit: Limit

    def fifth(self, index: int) -> float:
        """Returns the median of one fifth of the samples. `index` is 0 to 4."""
        size = len(self.samples)
        return median(self.samples[index * size // FIFTHS : (index + 1) * size // FIFTHS])

    @property
    def growth(self) -> float:
        return self.fifth(FIFTHS - 1) - self.fifth(1)

    @property
    def allowed(self) -> float:
        return self.fifth(1) * self.limit.fraction + self.limit.absolute

    @property
    def is_flat(self) -> bool:
        return self.growth <= self.allowed


def describe_growth(series: Iterable[Series]) -> list[str]:
    """Describes the quantities that have grown by more than their limit."""
    return [
        f"{one.title}: {one.growth:,.0f} {one.unit} more, but {one.allowed:,.0f} is allowed"
        for one in series
        if not one.is_flat
    ]

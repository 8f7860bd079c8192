"""Whether something has grown over a run, from samples of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

FIFTHS = 5


@dataclass(frozen=True)
class Limit:
    """What may be more at the end: a part of what there was, and a number."""

    part: float
    number: float


@dataclass(frozen=True)
class Series:
    """The samples of one thing, in the order of time.

    It is flat where the median of the last fifth is not above that of the second one by more than the limit: the first
    fifth warms up, and a median leaves out what happens to be there at one moment.
    """

    title: str
    unit: str
    samples: Sequence[float]
    limit: Limit

    def fifth(self, index: int) -> float:
        """The median of a fifth of the samples, from 0."""
        size = len(self.samples)
        return median(self.samples[index * size // FIFTHS : (index + 1) * size // FIFTHS])

    @property
    def growth(self) -> float:
        return self.fifth(FIFTHS - 1) - self.fifth(1)

    @property
    def allowed(self) -> float:
        return self.fifth(1) * self.limit.part + self.limit.number

    @property
    def is_flat(self) -> bool:
        return self.growth <= self.allowed

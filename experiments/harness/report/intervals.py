"""The mean of a few numbers with its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval (Student's t); `half`, half its width, is None for a single number.

    >>> Interval.of([0.0, 0.0])
    Interval(mean=0.0, half=0.0)
    >>> Interval.of([1.0])
    Interval(mean=1.0, half=None)
    """

    mean: float
    half: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """The interval of one number or more."""
        count = len(values)
        if count == 1:
            return cls(values[0], None)
        return cls(fmean(values), float(stats.t.ppf(0.975, count - 1)) * stdev(values) / math.sqrt(count))

    @property
    def low(self) -> float:
        """Where it begins; the mean of a single number."""
        return self.mean - (self.half or 0.0)

    @property
    def high(self) -> float:
        """Where it ends; the mean of a single number."""
        return self.mean + (self.half or 0.0)

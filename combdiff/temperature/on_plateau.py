"""A temperature that falls where a metric stops getting better."""

from __future__ import annotations

import math
from typing import Literal

from combdiff.temperature.schedule import Schedule, positive, whole


class OnPlateau(Schedule):
    """Multiplied by `factor` after more than `patience` steps whose metric is not better than the best so far.

    The rule, its words and its counting are those of `torch.optim.lr_scheduler.ReduceLROnPlateau` with a relative
    threshold. A NaN is never better.

    Args:
        start: value before the first step.
        mode: "min" where a smaller metric is better, or "max".
        factor: what the value is multiplied by, above 0; above 1 it rises.
        patience: steps without a better metric that change nothing.
        threshold: share of the best metric by which another one has to be better.
        cooldown: steps after a change in which no step is counted.
        least: the value never falls below it.

    Raises:
        ValueError: for an argument out of range.

    >>> sigma = OnPlateau(1.0, factor=0.1, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.0):
    ...     sigma.step(loss)
    >>> sigma
    OnPlateau(1 × 0.1 after 1 steps without a better metric (min), now 0.1)
    """

    _state = ("value", "best", "bad", "resting")

    def __init__(
        self,
        start: float,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.5,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        least: float = 1e-12,
    ) -> None:
        self.start = self.value = positive("start", start)
        if mode not in ("min", "max"):
            raise ValueError(f"mode={mode!r} is none of 'min', 'max'")
        self.mode, self.factor, self.least = mode, positive("factor", factor), positive("least", least)
        if self.factor == 1.0:
            raise ValueError(f"factor={factor!r} changes nothing: take one below 1 (or above, to rise)")
        if not 0.0 <= threshold < 1.0:
            raise ValueError(f"threshold={threshold!r} must be at least 0 and below 1")
        self.threshold = threshold
        self.patience, self.cooldown = whole("patience", patience, 0), whole("cooldown", cooldown, 0)
        self.best = math.inf if mode == "min" else -math.inf
        self.bad = self.resting = 0

    def step(self, metric: int | float) -> None:  # type: ignore[override]  # as torch's own
        """Go on by one step, given the metric of the epoch."""
        metric = float(metric)
        if self._better(metric):
            self.best, self.bad = metric, 0
        else:
            self.bad += 1
        if self.resting:
            self.resting, self.bad = self.resting - 1, 0
        if self.bad > self.patience:
            self.value = max(self.value * self.factor, min(self.least, self.value))
            self.resting, self.bad = self.cooldown, 0

    def _better(self, metric: float) -> bool:
        """As torch: best · (1 − threshold) is the bar of "min", best · (1 + threshold) that of "max"."""
        if math.isinf(self.best):
            return metric == metric
        sign = 1 if self.mode == "min" else -1
        return sign * metric < sign * self.best * (1 - sign * self.threshold)

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        rule = f"{self.start:g} × {self.factor:g} after {self.patience} steps without a better metric ({self.mode})"
        return f"OnPlateau({rule}, now {self.value:g})"

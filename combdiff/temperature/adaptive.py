"""A temperature that holds a measured quantity at a target."""

from __future__ import annotations

import math
from typing import Literal

from combdiff.temperature.schedule import Schedule, positive

Signal = Literal["moves", "snr"]


class Adaptive(Schedule):
    """Holds what a layer measures at a target, by bounded steps of the logarithm of the temperature.

        log T ← log T + rate · clip((target − measured) / width, −1, 1)          width: min(target, 1 − target)

    so that a start that is wrong by a factor of 100 takes log(100)/rate steps, 46 by default. Near the target the steps
    are in proportion to what is missing, which averages the noise of the batches.

    The signal "moves" speaks of the smoothing alone: a gradient that is zero since the answer is right does not heat.

        Perturbed, and a Fenchel–Young loss of it    the chance that two samples of a row differ
        Interpolation                                of the rows that some λ would move, the share that this λ moves
        soft operators and losses                    the share of entries that differ from the hard ones by more than
                                                     a hundredth of their standard deviation

    The last two grow with the temperature ("pav" with "l2"; other methods in practice). So does the first over a
    simplex with Gumbel noise; in general it is 0 at σ → 0 and, under additive symmetric noise, at least ½ at σ → ∞ (no
    solution is the best of more than half of all directions), but may pass a maximum between: targets below ½ are met.

    The signal "snr", which grows up to a limit, is the signal-to-noise ratio of the gradient over the samples of
    `Perturbed`: ‖mean‖ over the standard error of the mean of M samples, of the whole batch, in the backward pass. A
    Fenchel–Young loss refuses it, since its gradient is zero where the answer is right.

    Not for a Fenchel–Young loss of raw scores under additive noise: there σ sets the scale of θ, which follows it down,
    so that the share never falls (σ went from 0.1 to 10⁻⁴ in a short training): normalise θ, or give `least`.

    What is measured while the layer trains (`layer.training`, gradients enabled) is averaged until `step()` applies it.
    Measuring costs two comparisons of y (`Perturbed` with one independent sample: one more solve a row;
    `Interpolation`: one more for at most 64 rows; soft operators: one more evaluation).

    Args:
        start: value before the first step.
        target: of the signal; 0 < target < 1 for "moves".
        signal: "moves" or "snr".
        rate: the largest change of log T in a step.
        least, most: bounds of the value; 10⁻⁶ and 10⁶ times the start if None.

    Raises:
        ValueError: for an argument out of range.

    Source: Minervini, Franceschi & Niepert (2023), "Adaptive perturbation-based gradient estimation for discrete latent
    variable models", section 3.2, where λ goes up or down by a fixed amount as the number of non-zeros of a gradient
    sample is below or above 1.

    >>> sigma = Adaptive(100.0, target=0.5)
    >>> for _ in range(200):
    ...     sigma.feed(float(sigma) / (1.0 + float(sigma)))  # a layer does this; 0.5 is at σ = 1
    ...     sigma.step()
    >>> round(float(sigma), 1)
    1.0
    """

    _state = ("value", "total", "weight")

    def __init__(
        self,
        start: float,
        target: float = 0.4,
        signal: Signal = "moves",
        rate: float = 0.1,
        least: float | None = None,
        most: float | None = None,
    ) -> None:
        self.start = self.value = positive("start", start)
        if signal not in ("moves", "snr"):
            raise ValueError(f"signal={signal!r} is none of 'moves', 'snr'")
        self.signal, self.target, self.rate = signal, positive("target", target), positive("rate", rate)
        if signal == "moves" and self.target >= 1.0:
            raise ValueError(f"target={target!r} must be below 1: it is a share")
        self.least = positive("least", 1e-6 * self.start if least is None else least)
        self.most = positive("most", 1e6 * self.start if most is None else most)
        if not self.least <= self.start <= self.most:
            raise ValueError(f"start={start!r} must be between least={self.least:g} and most={self.most:g}")
        self.total = self.weight = 0.0

    def feed(self, measured: float, weight: int | float = 1) -> None:
        """Take a measurement, of so many rows; a NaN or infinite one counts for nothing."""
        if weight > 0.0 and math.isfinite(measured):
            self.total += weight * measured
            self.weight += weight

    @property
    def measured(self) -> float:
        """The mean of what was measured since the last step; NaN where nothing was."""
        return self.total / self.weight if self.weight else math.nan

    def step(self) -> None:
        """Move towards the target, and forget what was measured; stay where nothing was."""
        if self.weight:
            width = min(self.target, 1.0 - self.target) if self.signal == "moves" else self.target
            missing = max(-1.0, min(1.0, (self.target - self.measured) / width))
            self.value = max(self.least, min(self.most, self.value * math.exp(self.rate * missing)))
        self.total = self.weight = 0.0

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"Adaptive({self.signal} at {self.target:g}, from {self.start:g}, now {self.value:g})"

"""A temperature that brings a measured quantity to a target."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from combdiff.temperature.schedule import Schedule, positive

Signal = Literal["moves", "snr"]


class Aim(NamedTuple):
    """The usual target of a method, and whether its temperature may fall once the signal was there."""

    target: float
    falls: bool


MOVES, GAIN, SNR = Aim(0.4, falls=False), Aim(0.1, falls=True), Aim(0.4, falls=True)
NEAR = 0.125  # of the target: what counts as being there
ROWS = 32  # that are measured before it is said
SEEK = 5.0  # rates in a step until then: θ must have no time to follow T
MEMORY = 0.8  # of the running mean from then on


class Adaptive(Schedule):
    """Brings what a layer measures to a target, by bounded steps of the logarithm of the temperature.

    With e = clip((target − measured) / width, −1, 1), width = min(target, 1 − target),

                                        until the signal is at the target      from there on
        Perturbed, soft layers, losses  log T ← log T + 5 rate · e             log T ← log T + rate · max(0, e)
        Fenchel–Young losses            the same                               T stays
        Interpolation; signal "snr"     log T ← log T + rate · e               the same

    The signal is *at the target* once at least 32 rows give a mean within an eighth of it, or on its other side. Until
    then |e| counts as at least 0.2, and fewer rows wait for more; from there on the running mean is taken. A start that
    is wrong by a factor of 100 takes some log(100)/rate steps, 46 by default, or a fifth as many.

    The signal "moves" speaks of the smoothing alone: a gradient that is zero since the answer is right does not heat.

        Perturbed, Fenchel–Young losses    the share of y in which two samples of a row differ: 1 − |A ∩ B| / |A ∪ B| of
                                           sets (or of their complements, where that is more), else of all entries those
                                           that differ; over a simplex the chance that the samples differ
        soft operators and losses          the share of entries that differ from the hard ones by more than a hundredth
                                           of their standard deviation
        FrankWolfe, GumbelTopK             Σ|μ − y| over Σ max(μ, y) (over 2k): how far the mean or the relaxation is
                                           from the hard answer
        Interpolation, LagrangianProximal, ⟨g, y − y_λ⟩ / ⟨g, y − y_∞⟩: of what any λ can gain of the linearised loss
        ImplicitMLE                        what this λ gains, in the mean over the rows where that is not 0

    All grow from 0 with the temperature (soft: "pav" with "l2"; other methods in practice), up to a limit of 0.5 (two
    candidates), 0.6 to 0.85 (paths on grids, subsets) or nearly 1 (long rankings). Where the limit is below the target
    (paths on 3 × 3: 0.34) T rises to `most`: give that, or a lower target.

    Why T does not fall again: Perturbed and soft layers depend on θ/T alone, so that T is a unit of θ, which learns to
    fit it, and the signal ends where the data says, whatever T is. In Fenchel–Young training on labels with noise of
    half the spread of the scores it was 0.39 and 0.48 (paths on 6 × 6 and 12 × 12), 0.53 (top-3 of 10), 0.79 (rankings
    of 20); with more noise it is next to its limit, as it is where T is far too large. To hold it below drives T and θ
    to 0: σ went from 0.3 to 0.0015 in 300 steps. T rises where θ outgrows it, and the gradient would vanish; that of a
    Fenchel–Young loss does not. `Interpolation` has no such balance: at a large λ it shrinks θ, at a small one θ grows.

    The signal "snr", which grows up to a limit, is the signal-to-noise ratio of the gradient over the samples of
    `Perturbed`: ‖mean‖ over the standard error of the mean of M samples, of the whole batch, in the backward pass. A
    Fenchel–Young loss refuses it, since its gradient is zero where the answer is right.

    The target is at the scale that θ has now. The outputs of an untrained network have yet to grow: in the sorting of
    experiments/README.md T ended 7 to 29 points behind the best constant one, where `Auto` was 1 to 2 behind.

    What is measured while the layer trains (`layer.training`, gradients enabled) is averaged until `step()` applies it.
    Measuring costs a comparison of y (`Perturbed` with one independent sample: one more solve a row; `Interpolation`:
    one more for at most 64 rows; soft operators: one more evaluation).

    Args:
        start: value before the first step.
        target: of the signal; 0 < target < 1 for "moves". None: 0.4; for the "moves" of `Interpolation` 0.1.
        signal: "moves" or "snr".
        rate: the largest change of log T in a step (a fifth of it where T seeks the target, see above).
        least, most: bounds of the value; 10⁻⁶ and 10⁶ times the start if None.

    Attributes:
        reached: whether the signal was at the target.

    Raises:
        ValueError: for an argument out of range.

    Source: Minervini, Franceschi & Niepert (2023), "Adaptive perturbation-based gradient estimation for discrete latent
    variable models", section 3.2, where λ goes up or down by a fixed amount as the number of non-zeros of a gradient
    sample is below or above 1. The signals, and the rule once at the target, are ours.

    >>> sigma = Adaptive(100.0, target=0.5)
    >>> for _ in range(200):
    ...     sigma.feed(float(sigma) / (1.0 + float(sigma)), 32)  # a layer does this; 0.5 is at σ = 1
    ...     sigma.step()
    >>> 0.7 < float(sigma) < 1.4, sigma.reached
    (True, True)
    """

    _state = ("value", "total", "weight", "mean", "reached")

    def __init__(
        self,
        start: float,
        target: float | None = None,
        signal: Signal = "moves",
        rate: float = 0.1,
        least: float | None = None,
        most: float | None = None,
    ) -> None:
        self.start = self.value = positive("start", start)
        if signal not in ("moves", "snr"):
            raise ValueError(f"signal={signal!r} is none of 'moves', 'snr'")
        self.signal, self.rate = signal, positive("rate", rate)
        self.target = None if target is None else positive("target", target)
        if signal == "moves" and self.target is not None and self.target >= 1.0:
            raise ValueError(f"target={target!r} must be below 1: it is a share")
        self.least = positive("least", 1e-6 * self.start if least is None else least)
        self.most = positive("most", 1e6 * self.start if most is None else most)
        if not self.least <= self.start <= self.most:
            raise ValueError(f"start={start!r} must be between least={self.least:g} and most={self.most:g}")
        self.total = self.weight = 0.0
        self.mean, self.reached = math.nan, False
        self._aim = MOVES if signal == "moves" else SNR

    def feed(self, measured: float, weight: int | float = 1, aim: Aim | None = None) -> None:
        """Take a measurement, of so many rows; a NaN or infinite one counts for nothing.

        Args:
            measured: the signal.
            weight: number of rows.
            aim: of the method; that of the signal if None.
        """
        if weight > 0.0 and math.isfinite(measured):
            self.total += weight * measured
            self.weight += weight
            self._aim = aim or self._aim

    @property
    def measured(self) -> float:
        """The mean of what was measured since the last step; NaN where nothing was."""
        return self.total / self.weight if self.weight else math.nan

    def step(self) -> None:
        """Move towards the target, and forget what was measured; stay where nothing, or too little, was."""
        falls, target = self._aim.falls, self._target
        if not self.weight or (self.weight < ROWS and not (falls or self.reached)):
            return
        now, before = self.measured, self.mean
        self.mean = MEMORY * before + (1.0 - MEMORY) * now if self.reached else now
        width = min(target, 1.0 - target) if self.signal == "moves" else target
        missing = max(-1.0, min(1.0, (target - now) / width))
        if not falls and self.reached:
            missing = max(0.0, min(1.0, (target - self.mean) / width))
        elif not falls:
            missing = math.copysign(SEEK * max(0.2, abs(missing)), missing)
        if abs(now - target) <= NEAR * target or (before - target) * (now - target) < 0.0:
            missing, self.reached = (missing if falls or self.reached else 0.0), True
        self.value = max(self.least, min(self.most, self.value * math.exp(self.rate * missing)))
        self.total = self.weight = 0.0

    @property
    def _target(self) -> float:
        return self._aim.target if self.target is None else self.target

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"Adaptive({self.signal} at {self._target:g}, from {self.start:g}, now {self.value:g})"

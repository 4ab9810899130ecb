"""A temperature that follows a quantity that its layer measures."""

from __future__ import annotations

import math
from typing import Any, Literal

from combdiff.temperature.auto import Auto
from combdiff.temperature.schedule import Schedule, positive

Signal = Literal["moves", "snr"]
MEMORY = 64  # rows, of the running mean


class Adaptive(Auto):
    """Begins at what `advise` says of the first batch, and rises where the signal is lost; or holds a signal.

                           value                    then in each step, with e = (target − measured) / target
        as it is           as of `Auto`             log T ← log T + rate · max(0, e)
        with `hold`        `start`                  log T ← log T + rate · clip(e, −1, 1)

    As it is, `start` counts for nothing: the outputs of an untrained network are small, and grow in training until they
    fit the temperature, whatever it is, so that T begins as high as the adviser allows, and never follows θ down. It
    rises where θ outgrows it, and the gradient would vanish. That of a Fenchel–Young loss does not: T stays. Use it
    where the network is trained from the beginning.

    With `hold` the signal is brought to the target and kept there, from above and below, as by Minervini et al.: for θ
    whose scale is fixed, or as good as trained. A start that is wrong by a factor of 100 takes log(100)/rate steps, 46
    by default. `Perturbed` and soft layers depend on θ/T alone, and θ learns to fit T: where T follows θ, both go to 0
    or to infinity. In Fenchel–Young training with labels of some noise σ went from 0.3 to 0.0015 in 300 steps.

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

    The signal "snr", which grows up to a limit, is the signal-to-noise ratio of the gradient over the samples of
    `Perturbed`: ‖mean‖ over the standard error of the mean of M samples, of the whole batch, in the backward pass. A
    Fenchel–Young loss refuses it, since its gradient is zero where the answer is right.

    What is measured while the layer trains (`layer.training`, gradients enabled) is averaged until `step()` applies it;
    without `hold` over the last 64 rows or so, in a running mean.
    Measuring costs a comparison of y (`Perturbed` with one independent sample: one more solve a row; `Interpolation`:
    one more for at most 64 rows; soft operators: one more evaluation).

    Args:
        start: value before the first batch.
        target: of the signal, above 0, and below 1 for "moves".
        signal: "moves" or "snr".
        rate: the largest change of log T in a step.
        hold: whether the signal is held at the target, from `start` on, instead.
        least, most: bounds of the value; 10⁻⁶ and 10⁶ times what it begins with if None.

    Attributes:
        value: the temperature.
        advice: as of `Auto`.

    Raises:
        ValueError: for an argument out of range.

    Source: Minervini, Franceschi & Niepert (2023), "Adaptive perturbation-based gradient estimation for discrete latent
    variable models", section 3.2, where λ goes up or down by a fixed amount as the number of non-zeros of a gradient
    sample is below or above 1. The signals, and the rule without `hold`, are ours.

    >>> sigma = Adaptive(100.0, target=0.5, hold=True)
    >>> for _ in range(100):
    ...     sigma.feed(float(sigma) / (1.0 + float(sigma)), 32)  # a layer does this; 0.5 is at σ = 1
    ...     sigma.step()
    >>> 0.9 < float(sigma) < 1.1
    True
    """

    _state = ("value", "start", "open", "total", "weight", "mean")
    value: float
    total: float  # of what was measured since the last step, times its rows
    weight: int  # these rows
    mean: float  # until the last step

    def __init__(
        self,
        start: float = 1.0,
        target: float = 0.1,
        signal: Signal = "moves",
        rate: float = 0.1,
        hold: bool = False,
        least: float | None = None,
        most: float | None = None,
    ) -> None:
        super().__init__()
        self.start = self.value = positive("start", start)
        if signal not in ("moves", "snr"):
            raise ValueError(f"signal={signal!r} is none of 'moves', 'snr'")
        self.signal, self.rate, self.target = signal, positive("rate", rate), positive("target", target)
        if signal == "moves" and self.target >= 1.0:
            raise ValueError(f"target={target!r} must be below 1: it is a share")
        self.hold, self.open = hold, not hold
        self.least = None if least is None else positive("least", least)
        self.most = None if most is None else positive("most", most)
        if (self.least or 0.0) > (self.most or math.inf):
            raise ValueError(f"least={least!r} must be at most most={most!r}")
        self._forget()

    def choose(self, method: Any, theta: Any, *args: Any, again: bool = False, **kwargs: Any) -> None:
        """Begin at the advice, see `Auto`; what was measured at another temperature counts for nothing."""
        if self.open:
            super().choose(method, theta, *args, again=again, **kwargs)
            self.start = self.value
            self._forget()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        Schedule.load_state_dict(self, state)

    def feed(self, measured: float, rows: int = 1) -> None:
        """Take a measurement, on so many rows; a NaN or infinite one counts for nothing."""
        if rows > 0 and math.isfinite(measured):
            self.total += rows * measured
            self.weight += rows

    @property
    def measured(self) -> float:
        """The mean of what was measured since the last step; NaN where nothing was."""
        return self.total / self.weight if self.weight else math.nan

    def step(self) -> None:
        """Rise, or go towards the target, and forget what was measured; stay where nothing was."""
        if not self.weight:
            return
        now = self.measured
        if not self.hold and not math.isnan(self.mean):
            now = self.mean + min(1.0, self.weight / MEMORY) * (now - self.mean)
        missing = max(-1.0 if self.hold else 0.0, min(1.0, 1.0 - now / self.target))
        value = self.value * math.exp(self.rate * missing)
        self.value = max(self.least or 1e-6 * self.start, min(self.most or 1e6 * self.start, value))
        self.total, self.weight, self.mean = 0.0, 0, now

    def _forget(self) -> None:
        self.total, self.weight, self.mean = 0.0, 0, math.nan

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        does = (
            f"holds {self.signal} at {self.target:g}" if self.hold else f"rises where {self.signal} < {self.target:g}"
        )
        return f"Adaptive({does}, from {self.start:g}, now {self.value:g})"

"""What was measured over a ladder of temperatures, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

MOST_SAMPLES = 128
MOVES = 0.4  # of y: where it does
NEAR = 0.75  # of the best progress, or signal to noise
CLEAR = 0.9  # of the best signal to noise of a decade


@dataclass(frozen=True)
class Rung:
    """What was measured at one temperature; NaN where a method has no such quantity.

    Attributes:
        temperature: in the method's unit.
        moves: how much of y moves, the signal "moves" of `combdiff.temperature.Adaptive`.
        zeros: share of the rows whose gradient is exactly zero.
        snr: ‖mean‖ over the standard deviation of one gradient of the method as it is, with its samples.
        bias: 1 − cosine of the mean gradient and the reference (see `advise`).
        cosine: of one gradient and the reference, over all rows, in the mean.
        progress: share of the hard loss by which a step along minus the mean gradient lowers it.
    """

    temperature: float
    moves: float
    zeros: float
    snr: float
    bias: float
    cosine: float
    progress: float


@dataclass(frozen=True)
class Advice:
    """A temperature and a number of samples, with the reason; what was measured.

    Attributes:
        temperature: proposed, in the method's unit.
        samples: proposed; None for a method without samples.
        reason: one sentence.
        unit: the scale of the temperature: the spread of θ (σ, ε), or its size over that of ∂L/∂y (λ). Temperatures
            over their units compare methods on one axis without a dimension. 0.1 for multiplicative noise.
        table: a `Rung` for each temperature, the lowest first.
    """

    temperature: float
    samples: int | None
    reason: str
    unit: float = field(repr=False)
    table: tuple[Rung, ...] = field(repr=False)

    def __repr__(self) -> str:
        names = [one.name for one in fields(Rung)]
        lines = ["".join(f"{name:>13}" for name in names)]
        for rung in self.table:
            numbers = (getattr(rung, name) for name in names)
            lines.append("".join(f"{'–' if math.isnan(number) else f'{number:.3g}':>13}" for number in numbers))
        samples = "" if self.samples is None else f", samples {self.samples}"
        return "\n".join([*lines, f"temperature {self.temperature:.3g}{samples}: {self.reason}"])

    def plot(self, axes: Any = None) -> Any:
        """Draw every measured quantity against the temperature, and the proposal; return the matplotlib axes.

        Args:
            axes: to draw into; a new figure's if None.
        """
        if axes is None:
            import matplotlib.pyplot as plt  # needed here alone

            axes = plt.subplots(figsize=(6, 3.5))[1]
        temperatures = [rung.temperature for rung in self.table]
        for name in [one.name for one in fields(Rung)][1:]:
            values = [getattr(rung, name) for rung in self.table]
            if not all(map(math.isnan, values)):
                axes.plot(temperatures, [min(value, 2.0) for value in values], marker="o", label=name)
        axes.axvline(self.temperature, color="black", linestyle="--", label=f"proposed: {self.temperature:.3g}")
        axes.set(xscale="log", xlabel="temperature", ylim=(min(0.0, axes.get_ylim()[0]), 2.0))
        axes.legend(fontsize="small")
        return axes


def propose(table: Sequence[Rung], most: float, noisy: float) -> tuple[float, str]:
    """The temperature that the measurements speak for, and why.

    The highest whose progress is at least 75 % of the best (any, where there is no hard loss), up to `most`; where the
    signal to noise is below 75 % of the best at which y moves, up to `noisy`, and down to where it is 90 % of the best
    of a decade. θ grows in training, so that what is a high temperature now is a low one later; one that is too high
    costs speed and noise, one that is too low the signal. Where nothing helps: the middle of the ladder.
    """
    judged = not all(math.isnan(rung.progress) for rung in table)
    gains = [rung.progress if judged else float(rung.moves >= MOVES) for rung in table]
    best = max(gains)
    if not best > 0.0:
        return math.exp(sum(math.log(rung.temperature) for rung in table) / len(table)), (
            "no temperature of the ladder, whose middle this is, does any good: look at theta, or give temperatures"
        )
    good = [at for at, gain in enumerate(gains) if gain >= NEAR * best]
    clear = NEAR * _clearest(rung for rung in table if rung.moves >= MOVES)
    limits = [1.001 * (noisy if rung.snr < clear else most) for rung in table]  # NaN: without noise
    chosen = max((at for at in good if table[at].temperature <= limits[at]), default=good[0])
    if table[chosen].snr < clear:
        decade = [at for at in good if at <= chosen and table[at].temperature >= 0.099 * table[chosen].temperature]
        clear = CLEAR * _clearest(table[at] for at in decade)
        chosen = max((at for at in decade if table[at].snr >= clear), default=chosen)
    low, high = (f"{table[good[end]].temperature:.3g}" for end in (0, -1))
    if not judged:
        what = f"y moves there; it does from {low} on"
    else:
        what = f"a step along its gradient lowers the hard loss by {100 * gains[chosen]:.0f} %"
        if len(good) > 1:
            what += f", {100 * gains[chosen] / best:.0f} % of what the best would; at least {100 * NEAR:.0f} % do those"
            what += f" from {low} to {high}"
    return table[chosen].temperature, what


def _clearest(rungs: Iterable[Rung]) -> float:
    """The best signal to noise."""
    return max((rung.snr for rung in rungs if not math.isnan(rung.snr)), default=math.nan)


def propose_samples(snr: float, samples: int) -> int:
    """The least power of two whose gradient has a signal above its noise, at most 128."""
    if not snr > 0.0:
        return MOST_SAMPLES
    return int(min(MOST_SAMPLES, max(1, 2 ** math.ceil(math.log2(samples / snr**2)))))

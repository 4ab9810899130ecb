"""What was measured over a ladder of temperatures, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

MOVES = 0.4  # the share of y that is to move where nothing else is known
MOST_SAMPLES = 128
NEAR = 0.75  # of the best progress


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
        unit: the scale of the temperature: the spread of θ (σ, ε), or that over the size of ∂L/∂y (λ). Temperatures
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


def propose(table: Sequence[Rung], progress: Float[Tensor, "rungs groups"] | None, most: float) -> tuple[float, str]:
    """The temperature that the measurements speak for, and why.

    With a hard loss: the highest temperature up to `most` whose progress is at least 75 % of the best. θ grows in
    training, so that what is a high temperature now is a low one later; a temperature that is too high costs speed, one
    that is too low the signal. Without: where 40 % of y moves, interpolated; the middle of the ladder if
    it never moves.
    """
    logs = [math.log(rung.temperature) for rung in table]
    if progress is not None and float(progress.mean(1).max()) > 0.0:
        mean = progress.mean(1)
        good = (mean >= NEAR * mean.max()).nonzero().flatten().tolist()
        chosen = max((at for at in good if table[at].temperature <= most * 1.001), default=good[0])
        share = 100 * float(mean[chosen] / mean.max())
        low, high = (f"{table[good[end]].temperature:.3g}" for end in (0, -1))
        what = f"a step along its gradient lowers the hard loss by {100 * float(mean[chosen]):.0f} %"
        if len(good) > 1:
            what += f", {share:.0f} % of what the best would; at least {100 * NEAR:.0f} % do those from {low} to {high}"
        return table[chosen].temperature, what
    moves = torch.tensor([rung.moves for rung in table], dtype=torch.float64)
    above = (moves >= MOVES).nonzero().flatten().tolist()
    if not above:
        return math.exp(sum(logs) / len(logs)), (
            "y hardly moves at any temperature of the ladder, whose middle this is: look at theta, or give temperatures"
        )
    high = above[0]
    log = logs[high]
    if high and moves[high] > moves[high - 1]:
        share = float((MOVES - moves[high - 1]) / (moves[high] - moves[high - 1]))
        log = logs[high - 1] + share * (logs[high] - logs[high - 1])
    return math.exp(log), f"{100 * MOVES:.0f} % of y moves there, which is neither nothing nor all"


def propose_samples(snr: float, samples: int) -> int:
    """The least power of two whose gradient has a signal above its noise, at most 128."""
    if not snr > 0.0:
        return MOST_SAMPLES
    return int(min(MOST_SAMPLES, max(1, 2 ** math.ceil(math.log2(samples / snr**2)))))

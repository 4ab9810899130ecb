"""Which temperature, and how many samples? Measured on a batch."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from combdiff import _bridge
from combdiff.diagnostics.advice import Advice, Rung, propose, propose_samples
from combdiff.diagnostics.probes import Probe, probe_of
from combdiff.soft.arguments import computing
from combdiff_solvers.protocol import Instances, as_instances

RUNGS, DECADES, SHIFTS = 9, 4.0, 3
STEPS = (0.1, 0.3, 1.0)  # sizes of the steps that are tried, in units of the spread of θ
HALF = 10**0.5  # a decade: by so much the ladder, and a temperature without noise, is higher
STEEP = 10.0  # times the unit of a temperature beside noise; multiplicative noise overflows above it


@torch.enable_grad()  # also in a backward pass
def advise(
    method: Any,
    theta: Tensor,
    target: Any = None,
    *,
    loss: Callable[..., Tensor] | None = None,
    gradient: Tensor | None = None,
    instances: Instances | None = None,
    mask: Tensor | None = None,
    temperatures: Sequence[float] | None = None,
    rows: int = 64,
    solves: int = 32,
    growth: float = 10**2.5,
) -> Advice:
    """Measure a method on a batch over a ladder of temperatures, and propose one.

    At each temperature, for some rows of the batch and under the same noise: how much of y moves; the share of rows
    whose gradient is exactly zero; its signal to noise; its bias; and the progress. The method itself is not changed.

    *Bias*: 1 − cosine of the mean gradient and a reference, over all rows, less what noise adds to the norm. The
    reference of a Fenchel–Young loss is its limit at temperature 0, ȳ − y(c), which is exact. A layer's is zero there
    almost everywhere: its reference is the mean gradient at the lowest temperature of the ladder where it stands out
    (at least half of the rows have one, and its signal is above its noise).

    *Progress*: how much of the hard loss (of the solver's or the hard operator's answers) goes away when each row of θ
    makes a step along minus its mean gradient, in the mean over steps of 0.1, 0.3 and 1 times its spread. It takes
    noise and bias into account in one number, and needs a target, a loss or a gradient.

    The proposal: the highest temperature, up to `growth` times the scale of θ, whose progress is at least 75 % of the
    best, where it is known (θ grows in training). Where noise grows with it (the signal to noise is below 75 % of the
    best at which y moves), a third of `growth`, and down from there to 90 % of the best signal to noise of a decade.
    Samples: the least power of two at which the gradient of a row has a signal above its noise.

    Args:
        method: a layer, a `FenchelYoungLoss`, a soft operator as a module (`SoftRank` ...) or a soft loss.
        theta: (batch, ...), what the network made of a batch, scaled as in training.
        target: of a loss: its second argument. Of a layer or an operator: what `loss` compares with.
        loss: for a layer or an operator: loss(y), or loss(y, target) with a target, of the whole batch, as it is
            trained with. Σ (y − target)² if None.
        gradient: for a layer, instead of a loss: ∂L/∂y.
        instances: the feasible set of each row.
        mask: for soft operators, as in their call.
        temperatures: the ladder, increasing; by default nine over four decades around the scale of θ, moved where y
            always or never moves.
        rows: at most so many rows are used, evenly spread over the batch.
        solves: noisy solves of a row at each temperature, at least four times the samples of the layer. Lower it, and
            the rows, for a solver that takes seconds.
        growth: how many times its present scale θ may have at the end of the training. The outputs of an untrained
            network are small; 1 is for one that is trained. Large is safe where the learning rate lets θ follow.

    Raises:
        TypeError: for a method without a temperature.
        ValueError: for an empty batch, or a missing target.

    >>> import combdiff, combdiff.solvers
    >>> _ = torch.manual_seed(0)
    >>> layer = combdiff.Perturbed(combdiff.solvers.TopK(6, 2), samples=8)
    >>> theta = torch.randn(32, 6)
    >>> y_true = torch.eye(6)[:2].sum(0).expand(32, 6)
    >>> advice = advise(combdiff.FenchelYoungLoss(layer), theta, y_true)
    >>> 0.1 < advice.temperature < 1000.0
    True
    """
    theta = computing(theta.detach())
    if not theta.numel():
        raise ValueError(f"theta has shape {tuple(theta.shape)}: advice needs at least one row")
    shape, solver = theta.shape, getattr(getattr(method, "layer", method), "solver", None)
    kept = theta.ndim - 1 if solver is None else len(solver.shape)
    if solver is not None or theta.ndim == 1:  # one batch dimension; the loss gets its own
        kept = max(kept, 1)
        theta = theta.reshape(-1, *shape[len(shape) - kept :])
        target_rows, gradient, mask = (
            one if one is None else one.reshape(-1, *one.shape[one.ndim - kept :])
            for one in (target if loss is None else None, gradient, mask)
        )
        if loss is None:
            target = target_rows
        else:
            loss = _in_shape(loss, shape)
    whole = len(theta)
    count = min(rows, len(theta)) if getattr(method, "dim", -1) in (-1, len(shape) - 1) else len(theta)
    chosen = torch.linspace(0, len(theta) - 1, count, device=theta.device).round().long()
    given = as_instances(instances, len(theta))
    if loss is None:  # else it is of the whole batch
        theta, given = theta[chosen], _bridge.take(given, chosen)
        target, gradient, mask = (
            one[chosen] if isinstance(one, Tensor) and len(one) == whole else one for one in (target, gradient, mask)
        )
        chosen = torch.arange(count, device=theta.device)
    probe = probe_of(method, theta, chosen, target, loss, gradient, given, mask, solves)
    measure = functools.cache(probe.gradients)
    ladder = (
        list(temperatures)
        if temperatures is not None
        else _ladder(probe.unit() * (HALF if probe.grows else 1.0), measure)
    )
    table = _table(probe, {temperature: measure(temperature) for temperature in ladder})
    unit = probe.unit()
    most = (growth if probe.grows else STEEP) * unit
    temperature, reason = propose(table, most, most / HALF if probe.grows else most)
    nearest = min(table, key=lambda rung: abs(math.log(rung.temperature / temperature)))
    samples = None if probe.samples is None else max(probe.least, propose_samples(nearest.snr, probe.samples))
    return Advice(temperature, samples, reason, unit, tuple(table))


def _in_shape(loss: Callable[..., Tensor], shape: torch.Size) -> Callable[..., Tensor]:
    return lambda y, *target: loss(y.reshape(shape) if y.numel() == shape.numel() else y, *target)


def _ladder(centre: float, measure: Callable[[float], tuple[Tensor, float]]) -> list[float]:
    """Temperatures around a guess of their scale, moved by whole ladders while y never or always moves."""
    for _ in range(SHIFTS):
        ladder = [centre * 10 ** (DECADES * (at / (RUNGS - 1) - 0.5)) for at in range(RUNGS)]
        low, high = (measure(ladder[end])[1] for end in (0, -1))
        if high < 0.05:
            centre *= 10**DECADES
        elif low > 0.95:
            centre /= 10**DECADES
        else:
            break
    return ladder


def _progress(probe: Probe, mean: Tensor, before: float) -> float:
    """The share of the hard loss `before` that a step along minus the mean gradient takes away."""
    length = mean.flatten(1).norm(dim=1).clamp(min=torch.finfo(mean.dtype).tiny) / math.sqrt(mean[0].numel())
    step = mean / length.reshape(-1, *[1] * (mean.ndim - 1)) * probe.spread()
    with torch.no_grad():
        after = [probe.hard_loss(probe.theta - size * step) for size in STEPS]
    return (before - sum(after) / len(after)) / max(abs(before), 1e-12)


def _table(probe: Probe, found: dict[float, tuple[Tensor, float]]) -> list[Rung]:
    count = probe.estimates
    reference = probe.limit()
    with torch.no_grad():
        before = probe.hard_loss(probe.theta) if probe.judged else math.nan
    rungs = []
    for temperature, (gradients, moves) in found.items():
        gain = _progress(probe, gradients.mean(0), before) if probe.judged else math.nan
        gradients = gradients.double()
        mean = gradients.mean(0)
        noise = float((gradients - mean).square().sum()) / (count - 1) if count > 1 else 0.0
        signal = max(0.0, float(mean.square().sum()) - noise / count)
        snr = math.sqrt(signal / noise) if noise else math.nan
        zeros = float((gradients.flatten(2) == 0).all(-1).double().mean())
        if reference is None and zeros <= 0.5 and signal > 0.0 and signal >= noise / count:
            reference = mean
        bias = cosine = math.nan
        if reference is not None and signal > 0.0 and bool(reference.any()):
            one, other = gradients.flatten(1), reference.double().flatten()
            cosine = float((one @ other / (one.norm(dim=1) * other.norm()).clamp(min=1e-300)).mean())
            length = math.sqrt(signal * float(reference.double().square().sum()))
            bias = min(1.0, max(0.0, 1.0 - float((mean * reference).sum()) / length))
        rungs.append(Rung(temperature, moves, zeros, snr, bias, cosine, gain))
    return rungs

"""The variance of `Perturbed` at equal numbers of solves: which samples and which baseline?

    python -m experiments.benchmarks.variance

Independent samples without and with the mean of the others taken off (leave-one-out), antithetic pairs, and scrambled
Sobol sequences: one of M points, and two of M/2 with the mean of the other taken off. For each problem, σ (in units of
the spread of θ) and M: E‖y − E[y]‖² and E‖g − E[g]‖², of the mean solution and of the layer's gradient for a random
∂L/∂y, over independent rows of one θ, as multiples of those of leave-one-out. Then the processor time of a step,
forward and backward, of 64 rows at σ = 1, in turns, as a multiple of leave-one-out's.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import numpy as np
import torch

from combdiff import Perturbed
from combdiff.solvers import Knapsack, Ranking, ShortestPath, Solver, TopK

ROWS, SAMPLES, SIGMAS = 2000, (2, 4, 8, 16, 32, 64), (0.3, 1.0, 3.0)
KINDS: dict[str, dict[str, Any]] = {
    "plain": {"variance_reduction": False},
    "leave-one-out": {"variance_reduction": True},
    "antithetic": {"antithetic": True},
    "Sobol": {"scrambles": 1},
    "2 Sobol": {"scrambles": 2},
}


def problems() -> dict[str, Solver]:
    """Small ones: 25 to 30 entries, and rankings of 10."""
    weights = np.random.default_rng(0).integers(3, 9, size=(1, 30)).astype(float)
    return {
        "shortest path 5×5": ShortestPath.grid(5, negative="clamp", threads=1),
        "top 5 of 25": TopK(25, 5),
        "ranking of 10": Ranking(10),
        "knapsack of 30": Knapsack(weights, np.array([60.0])),
    }


def variances(solver: Solver, sigma: float, samples: int, options: dict[str, Any]) -> tuple[float, float]:
    """Of y and of the gradient."""
    generator = torch.Generator().manual_seed(0)
    theta = torch.randn(solver.shape, generator=generator)
    if isinstance(solver, ShortestPath):
        theta = theta + 10.0  # costs stay above zero
    gain = torch.randn(solver.shape, generator=generator)
    layer = Perturbed(solver, sigma, samples, generator=generator.manual_seed(1), **options)
    rows = theta.expand(ROWS, *solver.shape).clone().requires_grad_()
    y = layer(rows)
    (gradient,) = torch.autograd.grad(y, rows, gain.expand_as(y))
    return tuple(float(one.double().var(0).sum()) for one in (y.detach(), gradient))  # type: ignore[return-value]


def seconds(solver: Solver, samples: int, rounds: int = 40) -> dict[str, float]:
    """The least processor time of a step of each kind."""
    theta = (torch.randn(64, *solver.shape) + 10.0).requires_grad_()
    layers = {kind: Perturbed(solver, 1.0, samples, **options) for kind, options in KINDS.items()}
    least = dict.fromkeys(KINDS, float("inf"))
    for _ in range(rounds):
        for kind, layer in layers.items():
            began = time.process_time()
            layer(theta).sum().backward()
            least[kind] = min(least[kind], time.process_time() - began)
    return least


def main() -> None:
    """Print a table a problem, how often each kind has the least variance (or less than leave-one-out), and times."""
    torch.set_num_threads(1)
    least: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    less: Counter[str] = Counter()
    for name, solver in problems().items():
        print(f"\n| {name}: σ | M | " + " | ".join(KINDS) + " |\n|" + "---|" * (2 + len(KINDS)))
        for sigma in SIGMAS:
            for samples in SAMPLES:
                found = {kind: variances(solver, sigma, samples, options) for kind, options in KINDS.items()}
                unit = found["leave-one-out"]
                if not min(unit):
                    continue  # no sample moves
                cells = (f"{y / unit[0]:.2f} / {g / unit[1]:.2f}" for y, g in found.values())
                print(f"| {sigma} | {samples} | " + " | ".join(cells) + " |", flush=True)
                less.update(kind for kind, (_, g) in found.items() if g < unit[1])
                for part, count in enumerate(least):
                    count[min(found, key=lambda kind: found[kind][part])] += 1
    for what, count in zip(("y", "the gradient"), least, strict=True):
        print(f"\nleast variance of {what}: " + ", ".join(f"{kind} {times}" for kind, times in count.most_common()))
    print("\nthe gradient below leave-one-out: " + ", ".join(f"{kind} {times}" for kind, times in less.most_common()))
    print_times()


def print_times() -> None:
    """A line for each problem and number of samples."""
    print("\n| a step | M | " + " | ".join(KINDS) + " |\n|" + "---|" * (2 + len(KINDS)))
    for name, solver in problems().items():
        for samples in (4, 16, 64):
            found = seconds(solver, samples)
            cells = (f"{taken / found['leave-one-out']:.2f}" for taken in found.values())
            print(f"| {name} | {samples} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()

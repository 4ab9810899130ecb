"""What a method costs beside a mean squared error of the same tensor, a layer beside its solver, and the import.

    python -m experiments.benchmarks.lean

- Forward and backward at (32, 40), one sample, shortest paths over the 40 edges of a 5×5 grid, one thread. Bars: 6 ×
  the error for `FenchelYoungLoss(Perturbed)` and `Perturbed`, 7 × for `Interpolation`, which solves twice.
- `Perturbed` on 64 maps of 12×12 tiles, 8 samples, against the bare solves of the same 512 perturbed maps.
- `import combdiff` against `import torch`, each in processes of its own. Bar: 1.4 ×.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import torch

from combdiff import FenchelYoungLoss, Interpolation, Perturbed
from combdiff.solvers import ShortestPath
from experiments.benchmarks.timing import race

SIZE, BATCH, CALLS = 5, 32, 100
MAPS, SAMPLES, TILES, SIGMA = 64, 8, 12, 0.3


def compare_methods() -> None:
    """Print the ratio of each method."""
    torch.manual_seed(0)
    right = [(cell, cell + 1) for cell in range(SIZE**2) if (cell + 1) % SIZE]
    down = [(cell, cell + SIZE) for cell in range(SIZE**2 - SIZE)]
    solver = ShortestPath.graph(right + down, 0, SIZE**2 - 1, negative="exact", threads=1)
    theta = (torch.rand(BATCH, *solver.shape) + 1).requires_grad_()
    rows = theta.detach().double().numpy()
    target = torch.from_numpy(solver.solve(rows).y).float()
    loss, perturbed, interpolation = FenchelYoungLoss(Perturbed(solver)), Perturbed(solver), Interpolation(solver)
    mse = torch.nn.functional.mse_loss
    steps: dict[str, Callable[[], object]] = {
        "mse_loss": lambda: torch.autograd.backward(mse(theta, target)),
        "a bare solve": lambda: solver.solve(rows),
        "FenchelYoungLoss(Perturbed)": lambda: loss(theta, target).backward(),
        "Perturbed": lambda: perturbed(theta).sum().backward(),
        "Interpolation": lambda: interpolation(theta).sum().backward(),
    }
    repeated = {name: lambda step=step: [step() for _ in range(CALLS)] for name, step in steps.items()}
    seconds = race(repeated, rounds=31, by=min)
    for name, taken in seconds.items():
        print(f"{name}: {taken / CALLS * 1e6:.1f} µs, {taken / seconds['mse_loss']:.1f} × mse_loss")


def compare_with_solves(threads: int, antithetic: bool) -> None:
    """Print the ratio on so many threads."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    solver = ShortestPath.grid(TILES, threads=threads, negative="clamp")
    layer = Perturbed(solver, SIGMA, SAMPLES, antithetic=antithetic)
    theta = (torch.rand(MAPS, TILES, TILES) * 9 + 1).requires_grad_()
    gradient = torch.randn(MAPS, TILES, TILES)
    noise = SIGMA * torch.randn(SAMPLES, MAPS, TILES, TILES)
    rows = (theta.detach() + noise).reshape(SAMPLES * MAPS, -1).double().numpy()

    steps: dict[str, Callable[[], object]] = {
        "kernel": lambda: solver.solve(rows),
        "layer": lambda: layer(theta).backward(gradient),
        "noise": lambda: torch.empty(SAMPLES, MAPS, TILES**2).normal_(),
    }
    seconds = race(steps, rounds=201, by=min)
    print(
        f"{threads} thread(s), {'antithetic' if antithetic else 'independent'} samples: bare solves of 512 maps "
        f"{seconds['kernel'] * 1e3:.2f} ms, forward + backward {seconds['layer'] * 1e3:.2f} ms, "
        f"ratio {seconds['layer'] / seconds['kernel']:.2f}; drawing as much noise {seconds['noise'] * 1e3:.2f} ms"
    )


def compare_imports() -> None:
    """Print the ratio of the imports."""
    commands = {name: [sys.executable, "-c", f"import {name}"] for name in ("torch", "combdiff")}
    seconds = race({name: partial(subprocess.check_call, line) for name, line in commands.items()}, rounds=7, by=min)
    print(f"import combdiff: {seconds['combdiff'] / seconds['torch']:.2f} × import torch")


if __name__ == "__main__":
    torch.set_num_threads(1)
    compare_methods()
    for threads, antithetic in itertools.product((1, 2), (False, True)):
        compare_with_solves(threads, antithetic)
    compare_imports()

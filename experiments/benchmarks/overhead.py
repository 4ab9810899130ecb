"""What a layer costs beside its solver: one `Perturbed` forward and backward against the bare solves.

    python -m experiments.benchmarks.overhead

B = 64 maps of 12×12 tiles, M = 8 samples: the kernel gets the same 512 perturbed maps.
"""

from __future__ import annotations

import torch

from combdiff import Perturbed
from combdiff.solvers import ShortestPath
from experiments.benchmarks.timing import race

BATCH, SAMPLES, SIZE, SIGMA = 64, 8, 12, 0.3


def compare(threads: int, antithetic: bool) -> None:
    """Print the ratio on so many threads."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    solver = ShortestPath.grid(SIZE, threads=threads, negative="clamp")
    layer = Perturbed(solver, SIGMA, SAMPLES, antithetic=antithetic)
    theta = (torch.rand(BATCH, SIZE, SIZE) * 9 + 1).requires_grad_()
    gradient = torch.randn(BATCH, SIZE, SIZE)
    noise = SIGMA * torch.randn(SAMPLES, BATCH, SIZE, SIZE)
    rows = (theta.detach() + noise).reshape(SAMPLES * BATCH, -1).double().numpy()

    seconds = race(
        {"kernel": lambda: solver.solve(rows), "layer": lambda: layer(theta).backward(gradient)}, rounds=101, warm_up=5
    )
    print(
        f"{threads} thread(s), {'antithetic' if antithetic else 'independent'} samples: bare solves of 512 maps "
        f"{seconds['kernel'] * 1e3:.2f} ms, forward + backward {seconds['layer'] * 1e3:.2f} ms, "
        f"ratio {seconds['layer'] / seconds['kernel']:.2f}"
    )


if __name__ == "__main__":
    for threads in (1, 2):
        for antithetic in (False, True):
            compare(threads, antithetic)

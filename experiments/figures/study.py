"""Draw the picture of section 1 of docs/study.md: `python -m experiments.figures.study`.

One cost of a shortest-path problem moves. Above: how much of the path uses that cell, exactly and under noise. Below: a
linear loss of the exact path, and the function that interpolates it.
"""

from __future__ import annotations

from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor

import combdiff
from combdiff.solvers import ShortestPath

DOCS = Path(__file__).parents[2] / "docs"
SIZE = 5
CELL = 2, 2  # in the middle
SIGMAS, LAMBDAS = (0.1, 0.3, 1.0), (0.3, 1.0, 3.0)
SAMPLES = 4000


def main() -> None:
    """Draw it."""
    torch.manual_seed(1)
    solver = ShortestPath.grid(SIZE, negative="clamp")
    moved = torch.linspace(0, 3, 241, dtype=torch.float64)
    costs = (1 + torch.rand(SIZE, SIZE, dtype=torch.float64)).repeat(len(moved), 1, 1)
    costs[:, CELL[0], CELL[1]] = moved
    pull = torch.rand(SIZE, SIZE, dtype=torch.float64)

    def solve(at: Tensor) -> Tensor:
        return torch.from_numpy(solver.solve(at.reshape(len(at), -1).numpy()).y).reshape(at.shape)

    def value(at: Tensor) -> Tensor:
        return (at * solve(at)).sum((1, 2))

    figure = Figure(figsize=(8, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    exact = solve(costs)
    above.plot(moved, exact[:, CELL[0], CELL[1]], color="black", label="exact")
    for sigma in SIGMAS:
        torch.manual_seed(0)
        mean = combdiff.Perturbed(solver, sigma=sigma, samples=SAMPLES)(costs)
        above.plot(moved, mean[:, CELL[0], CELL[1]], label=f"perturbed, σ = {sigma:g}")
    above.set_ylabel("share of paths through the cell")
    below.plot(moved, (pull * exact).sum((1, 2)), color="black", label="exact")
    for lam in LAMBDAS:
        below.plot(moved, (value(costs + lam * pull) - value(costs)) / lam, label=f"interpolated, λ = {lam:g}")
    below.set_ylabel("loss")
    below.set_xlabel("cost of the cell in the middle")
    for axis in (above, below):
        axis.legend(frameon=False, fontsize=8)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    figure.savefig(DOCS / "study_slices.png", dpi=90)


if __name__ == "__main__":
    main()

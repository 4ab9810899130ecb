"""`Knapsack` against PyEPO's knapsack (32 items, 2 dimensions, SCIP in OR-Tools), on one thread.

    pip install -e '.[benchmarks]'
    python -m experiments.benchmarks.knapsack

The weights and values are those of PyEPO's own generator.
"""

from __future__ import annotations

import numpy as np
from pyepo.data.knapsack import genData
from pyepo.model.ort import knapsackModel

from combdiff.solvers import Knapsack
from experiments.benchmarks.timing import race

ROWS, ITEMS, DIMENSIONS, CAPACITY = 200, 32, 2, 20.0


def compare() -> None:
    """Print the ratio of each back end."""
    weights, _, values = genData(ROWS, 5, ITEMS, dim=DIMENSIONS, deg=4, noise_width=0.5, seed=42)
    capacity = np.full(DIMENSIONS, CAPACITY)
    peer = knapsackModel(weights, capacity)
    values = values.astype(np.float64)

    def pyepo() -> list[float]:
        found = []
        for row in values:
            peer.setObj(row)
            found.append(peer.solve()[1])
        return found

    kernel = Knapsack(weights, capacity, backend="kernel", threads=1)
    mip = Knapsack(weights, capacity, backend="mip")
    np.testing.assert_allclose(kernel.solve(values).objective, pyepo())
    contestants = {"kernel": lambda: kernel.solve(values), "mip": lambda: mip.solve(values), "pyepo": pyepo}
    seconds = race(contestants, rounds=5, warm_up=1)
    for name in ("kernel", "mip"):
        print(
            f"Knapsack({name}) {seconds[name] / ROWS * 1e3:.3f} ms a row, PyEPO {seconds['pyepo'] / ROWS * 1e3:.3f} "
            f"ms: {seconds['pyepo'] / seconds[name]:.1f} × (bar for the best 2 ×)"
        )


if __name__ == "__main__":
    compare()

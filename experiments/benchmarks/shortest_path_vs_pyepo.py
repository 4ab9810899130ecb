"""`ShortestPath` against PyEPO's grid models (an LP over edge costs, solved by OR-Tools' GLOP), on one thread.

    pip install -e '.[benchmarks]'
    python -m experiments.benchmarks.shortest_path_vs_pyepo

Both get the same 1,000 cost vectors of the same graph, all edges of which lead right or down.
"""

from __future__ import annotations

import numpy as np
from pyepo.model.ort import shortestPathModel

from combdiff.solvers import ShortestPath
from experiments.benchmarks.timing import race

BARS = {5: 100, 12: 500}


def compare(size: int, rows: int = 1000) -> None:
    """Print the ratio at one size."""
    peer = shortestPathModel((size, size))
    cost = np.random.default_rng(size).uniform(0.5, 10.0, (rows, peer.num_cost))
    ours = ShortestPath.graph(peer.arcs, source=0, target=size * size - 1, negative="exact", threads=1)

    def pyepo() -> list[float]:
        values = []
        for row in cost:
            peer.setObj(row)
            values.append(peer.solve()[1])
        return values

    np.testing.assert_allclose(ours.solve(cost).objective, pyepo(), rtol=1e-6)
    seconds = race({"ours": lambda: ours.solve(cost), "pyepo": pyepo}, rounds=5, warm_up=1)
    print(
        f"{size}×{size}: ShortestPath {seconds['ours'] / rows * 1e6:.2f} µs a row, PyEPO's GLOP "
        f"{seconds['pyepo'] / rows * 1e6:.0f} µs: {seconds['pyepo'] / seconds['ours']:.0f} × (bar {BARS[size]} ×)"
    )


if __name__ == "__main__":
    for size in BARS:
        compare(size)

"""The same GLOP linear program re-solved, against PyEPO with its OR-Tools GLOP back end, one process.

    pip install -e '.[benchmarks]'
    python -m experiments.benchmarks.glop_vs_pyepo

PyEPO's own 5×5 and 12×12 grid shortest-path models (edge costs), 1,000 cost vectors; the wrapped model is the very
`pywraplp.Solver` that PyEPO built.
"""

from __future__ import annotations

import numpy as np
from pyepo.model.ort import shortestPathModel

from combdiff.solvers import Status, wrap
from experiments.benchmarks.timing import race

COSTS = 1000


def compare(side: int) -> None:
    """Print the ratio on one grid."""
    peer = shortestPathModel((side, side), solver="glop")
    solver = wrap(peer._model, list(peer.x.values()), sense="min")
    theta = np.random.default_rng(0).uniform(0.1, 2.0, size=(COSTS, peer.num_cost))
    objectives: list[float] = []

    def run_peer() -> None:
        objectives.clear()
        for costs in theta:
            peer.setObj(costs)
            objectives.append(peer.solve()[1])

    seconds = race({"PyEPO": run_peer, "combdiff": lambda: solver.solve(theta)}, rounds=3, warm_up=1)
    found = solver.solve(theta)
    assert (found.status == Status.OPTIMAL).all()
    np.testing.assert_allclose(found.objective, objectives, rtol=1e-6)
    print(
        f"{side}×{side}, {COSTS} costs: PyEPO {seconds['PyEPO'] / COSTS * 1e3:.3f} ms a solve, "
        f"combdiff {seconds['combdiff'] / COSTS * 1e3:.3f} ms: "
        f"{seconds['PyEPO'] / seconds['combdiff']:.2f} times as fast"
    )


if __name__ == "__main__":
    for side in (5, 12):
        compare(side)

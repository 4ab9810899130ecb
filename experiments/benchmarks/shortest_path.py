"""`ShortestPath` on grids against SciPy's Dijkstra, and two threads against one.

    python -m experiments.benchmarks.shortest_path

SciPy gets one call a map on a graph that is built beforehand, so only its search is timed.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from combdiff.solvers import ShortestPath
from experiments.benchmarks.timing import race
from experiments.shortest_path.models import grid_arcs


def compare(size: int, maps: int, peers: int) -> None:
    """Print maps a second and the ratios at one size."""
    cost = np.random.default_rng(size).uniform(0.8, 9.2, (maps, size, size))
    theta = cost.reshape(maps, -1)
    tail, head = grid_arcs(size, size).T  # an edge costs what its head does
    graphs = [csr_matrix((row[head], (tail, head)), shape=(size**2, size**2)) for row in theta[:peers]]
    one, two = ShortestPath.grid(size, threads=1), ShortestPath.grid(size, threads=2)

    def scipy() -> list[float]:
        return [dijkstra(graph, indices=0, return_predecessors=True)[0][-1] for graph in graphs]

    np.testing.assert_allclose(one.solve(theta[:peers]).objective, np.array(scipy()) + cost[:peers, 0, 0])
    seconds = race({"one": lambda: one.solve(theta), "two": lambda: two.solve(theta), "scipy": scipy})
    rate = {"one": maps / seconds["one"], "two": maps / seconds["two"], "scipy": peers / seconds["scipy"]}
    print(
        f"{size}×{size}: {rate['one']:9,.0f} maps/s on one thread, {rate['one'] / rate['scipy']:5.1f} × SciPy; "
        f"two threads {rate['two']:9,.0f} maps/s, {rate['two'] / rate['one']:.2f} × one"
    )


if __name__ == "__main__":
    for size, maps in ((12, 8192), (18, 4096), (24, 2048), (30, 1024)):
        compare(size, maps, peers=100)

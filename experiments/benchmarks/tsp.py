"""`TravelingSalesman`: the kernel against CP-SAT's circuit constraint, and the heuristic's gap.

pip install -e '.[benchmarks]'
python -m experiments.benchmarks.tsp
"""

from __future__ import annotations

import time

import numpy as np

from combdiff.solvers import Status, TravelingSalesman
from experiments.benchmarks.timing import race

PATIENCE = 20.0  # seconds a row for CP-SAT


def compare(cities: int, rows: int, peers: int) -> None:
    """Print times, the share of proven rows and the heuristic's gap, for cities drawn in the unit square."""
    places = np.random.default_rng(cities).random((rows, cities, 2))
    low, high = np.triu_indices(cities, 1)
    theta = np.linalg.norm(places[:, low] - places[:, high], axis=-1)
    kernel = TravelingSalesman(cities, threads=1)
    rough = TravelingSalesman(cities, backend="heuristic", threads=1)
    found = kernel.solve(theta)
    gap = rough.solve(theta).objective.sum() / found.objective.sum() - 1
    seconds = race({"kernel": lambda: kernel.solve(theta), "rough": lambda: rough.solve(theta)}, rounds=3, warm_up=1)
    peer = TravelingSalesman(cities, backend="cp_sat", time_limit=PATIENCE)
    began = time.perf_counter()
    checked = peer.solve(theta[:peers])
    slow = (time.perf_counter() - began) / peers
    both = checked.status == Status.OPTIMAL
    np.testing.assert_allclose(checked.objective[both], found.objective[:peers][both], rtol=1e-9)
    fast, rough_ = seconds["kernel"] / rows, seconds["rough"] / rows
    proven = (found.status == Status.OPTIMAL).mean()
    print(
        f"{cities} cities: kernel {fast * 1e3:.2f} ms, {proven:.0%} proven; CP-SAT {slow * 1e3:.0f} ms "
        f"({slow / fast:.0f} ×, {both.sum()} of {peers} proven in {PATIENCE:.0f} s); "
        f"heuristic {rough_ * 1e3:.2f} ms, {gap:.2%} longer"
    )


if __name__ == "__main__":
    compare(20, rows=100, peers=10)
    compare(50, rows=30, peers=3)

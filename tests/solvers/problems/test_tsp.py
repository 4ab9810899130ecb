"""TravelingSalesman against enumeration and CP-SAT."""

from itertools import permutations
from typing import Any, ClassVar

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from combdiff.testing import SolverContract
from combdiff_solvers import Solver, Status, TravelingSalesman


def round_trips(cities: int) -> Float64[ndarray, "k n"]:
    """Every round trip, over the pairs of cities."""
    low, high = np.triu_indices(cities, 1)
    found = set()
    for rest in permutations(range(1, cities)):
        used = np.zeros((cities, cities))
        way = (0, *rest)
        used[way, np.roll(way, -1)] = 1.0
        found.add(tuple((used + used.T)[low, high]))
    return np.array(sorted(found))


class TestMin(SolverContract):
    options: ClassVar[dict[str, Any]] = {}

    def make(self) -> Solver:
        return TravelingSalesman(7, **self.options)

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        return round_trips(7)


class TestMax(TestMin):
    options: ClassVar[dict[str, Any]] = {"sense": "max"}


class TestCircuit(TestMin):
    options: ClassVar[dict[str, Any]] = {"backend": "cp_sat"}
    rows = 70

    @pytest.fixture(autouse=True)
    def need_cp_sat(self) -> None:
        pytest.importorskip("combdiff_solvers.models.cp_sat")


class TestLongestCircuit(TestCircuit):
    options: ClassVar[dict[str, Any]] = {"backend": "cp_sat", "sense": "max"}


@pytest.mark.parametrize("cities", [3, 4, 5, 6])
def test_few_cities(cities: int) -> None:
    theta = np.random.default_rng(0).integers(-3, 4, (200, cities * (cities - 1) // 2)).astype(float)
    found = TravelingSalesman(cities).solve(theta)
    np.testing.assert_array_equal(found.objective, (theta @ round_trips(cities).T).min(axis=1))


def lengths(kind: str, rows: int, cities: int) -> Float64[ndarray, "b n"]:
    """Distances in the plane, or drawn at random, or few different ones."""
    rng = np.random.default_rng(0)
    low, high = np.triu_indices(cities, 1)
    places = rng.random((rows, cities, 2))
    return {
        "plane": np.linalg.norm(places[:, low] - places[:, high], axis=-1),
        "random": rng.normal(size=(rows, len(low))),
        "ties": rng.integers(1, 5, (rows, len(low))).astype(float),
    }[kind]


@pytest.mark.parametrize("kind", ["plane", "random", "ties"])
def test_agrees_with_circuits(kind: str) -> None:
    pytest.importorskip("combdiff_solvers.models.cp_sat")
    theta = lengths(kind, 17, 12)
    found, expected = TravelingSalesman(12).solve(theta), TravelingSalesman(12, backend="cp_sat").solve(theta)
    assert (expected.status == Status.OPTIMAL).all()
    np.testing.assert_allclose(found.objective, expected.objective, rtol=1e-9, atol=1e-9)


def is_tour(y: Float64[ndarray, " n"], edges: ndarray, cities: int) -> bool:
    """Whether the pairs make one round trip."""
    used = edges[y > 0.5]
    if len(used) != cities or (np.bincount(used.ravel(), minlength=cities) != 2).any():
        return False
    seen, at = {0}, 0
    while (ahead := [b if a == at else a for a, b in used if at in (a, b)]) and not set(ahead) <= seen:
        at = next(city for city in ahead if city not in seen)
        seen.add(at)
    return len(seen) == cities


@pytest.mark.parametrize("kind", ["plane", "random"])
def test_fifty_cities_are_proven(kind: str) -> None:
    solver, theta = TravelingSalesman(50), lengths(kind, 4, 50)
    found = solver.solve(theta)
    assert (found.status == Status.OPTIMAL).all()
    assert all(is_tour(y, solver.edges, 50) for y in found.y)


def test_the_heuristic_says_that_it_is_one() -> None:
    theta = lengths("plane", 20, 30)
    rough, best = TravelingSalesman(30, backend="heuristic").solve(theta), TravelingSalesman(30).solve(theta)
    assert (rough.status == Status.FEASIBLE).all()
    assert "heuristic" in rough.messages[19]
    assert all(is_tour(y, TravelingSalesman(30).edges, 30) for y in rough.y)
    assert (rough.objective >= best.objective - 1e-9).all()
    assert rough.objective.sum() < 1.03 * best.objective.sum()


def test_a_row_that_is_not_proven_says_so() -> None:
    found = TravelingSalesman(40, nodes=1).solve(lengths("plane", 8, 40))
    struck = found.status == Status.FEASIBLE
    assert struck.any()
    assert "raise nodes" in found.messages[int(np.flatnonzero(struck)[0])]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [({"cities": 2}, "at least 3"), ({"backend": "guess"}, "'guess'"), ({"nodes": 0}, "nodes=0")],
)
def test_bad_arguments(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        TravelingSalesman(**{"cities": 5, **arguments})

"""Real costs in CP-SAT: spreads, sums and gaps at the edge of what numbers hold."""

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest

from combdiff.solvers import Solutions, Solver, Status, wrap

cp_model = pytest.importorskip("ortools.sat.python.cp_model")

from combdiff_solvers.models.cp_sat_engine import PROVEN  # noqa: E402
from combdiff_solvers.models.integer_scaling import ROOM, Box, add_exactly, scale  # noqa: E402

CUBE = np.array(list(product([0.0, 1.0], repeat=8)))
CHOOSE_3 = CUBE[CUBE.sum(axis=1) == 3]


def choose_3(**options: Any) -> Solver:
    model = cp_model.CpModel()
    x = [model.new_bool_var(f"x{i}") for i in range(8)]
    model.add(sum(x) == 3)
    return wrap(model, x, **options)


def exact_value(theta: np.ndarray, y: np.ndarray) -> Fraction:
    return sum((Fraction(c) * int(v) for c, v in zip(theta.tolist(), y.tolist(), strict=True)), Fraction(0))


def assert_within_the_bound(theta: np.ndarray, found: Solutions, points: np.ndarray) -> None:
    """An OPTIMAL row is within the documented bound, judged by exact arithmetic; others say that they are not."""
    for row in range(len(theta)):
        own = exact_value(theta[row], found.y[row])
        best = min(exact_value(theta[row], point) for point in points)
        terms = sum(abs(Fraction(c)) * int(v) for c, v in zip(theta[row].tolist(), found.y[row].tolist(), strict=True))
        if found.status[row] == Status.OPTIMAL:
            assert own - best <= Fraction(PROVEN) * terms, f"row {row} is wrong, and in silence"
        else:
            assert "not proven" in found.messages[row]


def test_twelve_orders_of_magnitude_are_solved_exactly() -> None:
    rng = np.random.default_rng(0)
    theta = rng.choice([-1.0, 1.0], size=(60, 8)) * 10.0 ** rng.uniform(-6, 6, size=(60, 8))
    theta[:30] = np.abs(theta[:30])  # the small ones decide
    found = choose_3().solve(theta)
    assert (found.status == Status.OPTIMAL).all()
    assert_within_the_bound(theta, found, CHOOSE_3)


def test_sixty_orders_of_magnitude_are_within_the_bound_or_say_that_they_are_not() -> None:
    rng = np.random.default_rng(1)
    theta = 10.0 ** rng.uniform(-30, 30, size=(40, 8))
    found = choose_3().solve(theta)
    assert_within_the_bound(theta, found, CHOOSE_3)
    assert (found.status <= Status.FEASIBLE).all()


@pytest.mark.parametrize("gap", [1e-9, 1e-12])
def test_relative_gaps_decide(gap: float) -> None:
    rng = np.random.default_rng(2)
    for size in (1.0, 1e-200, 1e250):
        theta = np.ones((20, 8)) * size
        worse = np.array([rng.permutation(8)[:5] for _ in range(20)])
        np.put_along_axis(theta, worse, size * (1 + gap * rng.uniform(1, 2, size=(20, 5))), axis=1)
        found = choose_3().solve(theta)
        assert (found.status == Status.OPTIMAL).all()
        assert (np.take_along_axis(found.y, worse, axis=1) == 0).all()


@pytest.mark.parametrize("size", [1e300, 2.0**62, 2.0**31, 1.0, 5e-324])
def test_sums_near_the_limits(size: float) -> None:
    theta = size * np.array([[1, 2, 3, 4, 5, 6, 7, 8.0], [-8, -7, -6, -5, -4, -3, -2, -1], [0, 0, 0, 0, 0, 0, 0, 1]])
    found = choose_3().solve(theta)
    assert (found.status == Status.OPTIMAL).all()
    assert_within_the_bound(theta, found, CHOOSE_3)


def test_wide_domains() -> None:
    """Integers up to 2⁴⁰: coefficients shrink, the row is right or says what it leaves open."""
    model = cp_model.CpModel()
    x = [model.new_int_var(-(2**40), 2**40, f"x{i}") for i in range(3)]
    model.add(sum(x) == 5)
    theta = np.random.default_rng(3).normal(size=(8, 3))
    found = wrap(model, x).solve(theta)
    for row in range(8):
        low, middle, high = np.sort(theta[row])
        best = -high * 2.0**40 + low * 2.0**40 + 5 * middle
        terms = np.abs(theta[row]) @ np.abs(found.y[row])
        if found.status[row] == Status.OPTIMAL:
            assert found.objective[row] <= best + 2 * PROVEN * terms
        else:
            left = float(found.messages[row].split("better by ")[1].split()[0])
            assert found.objective[row] <= best + 1.01 * left + 1e-12 * terms
            assert left < 1e-3 * terms


def test_a_large_h_does_not_drown_theta() -> None:
    model = cp_model.CpModel()
    x = [model.new_bool_var(f"x{i}") for i in range(4)]
    model.add_exactly_one(x)
    model.minimize(10**9 * sum(x) + 7)
    theta = np.array([[3e-4, 2e-4, 1.5e-4, 4e-4]])
    found = wrap(model, x).solve(theta)
    assert found.y[0].tolist() == [0, 0, 1, 0]
    assert found.objective[0] == pytest.approx(1e9 + 7 + 1.5e-4, abs=1e-6)


def test_scale_stays_within_its_room_and_knows_its_error() -> None:
    rng = np.random.default_rng(4)
    for _ in range(200):
        n = int(rng.integers(1, 30))
        lower = -np.floor(10.0 ** rng.uniform(0, 9, size=n))
        upper = np.floor(10.0 ** rng.uniform(0, 9, size=n))
        costs = rng.normal(size=n) * 10.0 ** rng.uniform(-9, 9, size=n)
        box = Box(lower, upper)
        scaled = scale(costs, box)
        sums = [abs(int(c)) * int(w) for c, w in zip(scaled.coefficients, box.size, strict=True)]
        assert sum(sums) <= ROOM
        factor = Fraction(2) ** scaled.exponent
        for cost, whole, rest in zip(
            costs.tolist(), scaled.coefficients.tolist(), scaled.residual.tolist(), strict=True
        ):
            assert Fraction(cost) * factor == whole + Fraction(rest)
        x, other = np.floor(rng.uniform(lower, upper)), np.floor(rng.uniform(lower, upper))
        assert scaled.slack(x, box) >= scaled.residual @ (x - other) - 1e-6


def test_two_sum_loses_nothing() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=100) * 1e12, rng.normal(size=100) * 1e-3
    total, rest = add_exactly(a, b)
    for values in zip(a.tolist(), b.tolist(), total.tolist(), rest.tolist(), strict=True):
        assert Fraction(values[0]) + Fraction(values[1]) == Fraction(values[2]) + Fraction(values[3])


def test_sums_of_booleans_beyond_32_bits() -> None:
    """google/or-tools issue 5293: an enforced row with a sum above 2³¹ must not become unconditional."""
    rng = np.random.default_rng(6)
    for _ in range(30):
        weights = rng.integers(2**28, 2**30, size=8)
        model = cp_model.CpModel()
        x = [model.new_bool_var(f"x{i}") for i in range(8)]
        switch = model.new_bool_var("switch")
        model.add(sum(int(w) * v for w, v in zip(weights, x, strict=True)) <= 2**31).only_enforce_if(switch)
        model.add_at_most_one(x[:3])
        theta = rng.normal(size=(2, 9))
        found = wrap(model, [*x, switch]).solve(theta)
        points = np.array(list(product([0.0, 1.0], repeat=9)))
        good = (points[:, :3].sum(axis=1) <= 1) & ((points[:, 8] == 0) | (points[:, :8] @ weights <= 2**31))
        np.testing.assert_allclose(found.objective, (points[good] @ theta.T).min(axis=0), rtol=1e-12)

"""The laws of `Solver`."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers.compute.sums import row_products
from combdiff_solvers.protocol import Sense, Solutions, Solver, Status, as_instances


class SolverContract:
    """The laws of `Solver`, as tests.

    A subclass says `make` and `feasible_set`; without them its tests fail.

    Attributes:
        rows: number of random θ that are checked against enumeration.
        negative: whether the solver takes negative coefficients.
        tolerance: relative error allowed in the objective; 0 for solvers that compare exactly.
    """

    rows = 200
    negative = True
    tolerance = 1e-9

    def make(self) -> Solver:
        """A new solver, of at most some thousand feasible points."""
        raise NotImplementedError(f"{type(self).__name__} must define make(self), which returns the solver to test")

    def feasible_set(self, solver: Solver) -> Float64[ndarray, "k n"]:
        """Every feasible y of a row (that has no instance of its own)."""
        raise NotImplementedError(
            f"{type(self).__name__} must define feasible_set(self, solver), which returns every feasible y, (k, n)"
        )

    def instances(self, solver: Solver, rows: int) -> Sequence[Any] | None:
        """Instances for so many rows; None for a solver that takes none (which must then refuse them)."""
        return None

    def feasible_set_of(self, solver: Solver, instance: Any) -> Float64[ndarray, "k n"]:
        """Every feasible y of one instance; override together with `instances`. May be empty."""
        return self.feasible_set(solver)

    def value(
        self, solver: Solver, theta: Float64[ndarray, " n"], y: Float64[ndarray, "k n"]
    ) -> Float64[ndarray, " k"]:
        """The objective of feasible points, ⟨θ, y⟩ + h(y); override where the model has an h."""
        return y @ theta

    def theta(self, solver: Solver, rows: int, kind: str = "normal") -> Float64[ndarray, "b n"]:
        """Random coefficients: "normal", "ties" (small integers) or "offset" (large and nearly equal)."""
        rng, size = np.random.default_rng(len(kind)), (rows, prod(solver.shape))
        normal, ties = rng.normal(size=size), rng.integers(-2, 3, size=size).astype(float)
        draws = {"normal": normal, "ties": ties, "offset": 1e6 + rng.normal(size=size)}[kind]
        return draws if self.negative else np.abs(draws)

    def check(self, solver: Solver, theta: Float64[ndarray, "b n"], found: Solutions, instances: Any = None) -> None:
        """Assert that every answer is feasible and as good as the best point, and that no point beats the bound."""
        common = self.feasible_set(solver) if instances is None else None
        sign = solver.sense.sign
        assert not np.isnan(found.bound).any()
        for row in range(len(theta)):
            points = common if common is not None else self.feasible_set_of(solver, instances[row])
            if not len(points):
                assert found.status[row] == Status.INFEASIBLE
                assert np.isnan(found.y[row]).all()
                assert np.isnan(found.objective[row])
                continue
            assert found.status[row] == Status.OPTIMAL, f"row {row}: {Status(found.status[row]).name} {found.messages}"
            assert (np.abs(points - found.y[row]).max(axis=1) <= 1e-6).any(), f"row {row}: y is not feasible"
            best = (sign * self.value(solver, theta[row], points)).min()
            own = self.value(solver, theta[row], found.y[row][None])[0]
            scale = 1.0 + np.abs(theta[row]).sum()
            assert sign * own <= best + self.tolerance * scale, f"row {row}: a better point exists"
            assert abs(found.objective[row] - own) <= self.tolerance * scale
            bound = sign * found.bound[row]
            assert bound <= best + 1e-13 * scale, f"row {row}: a point is better than the proven bound"
            close = sign * own - max(self.tolerance, 1e-6) * scale
            assert bound == -np.inf or bound >= close, f"row {row}: OPTIMAL, but the bound is {found.bound[row]}"

    def same(self, one: Solutions, two: Solutions, rows: slice = slice(None), *more: str) -> None:
        """Assert that an answer equals some rows of another one to the last bit (in more fields, where named)."""
        for field in ("y", "objective", "status", *more):
            np.testing.assert_array_equal(getattr(one, field), getattr(two, field)[rows])

    def test_is_a_solver(self) -> None:
        solver = self.make()
        assert isinstance(solver, Solver)
        assert isinstance(solver.sense, Sense)
        assert min(solver.shape, default=0) >= 1

    @pytest.mark.parametrize("kind", ["normal", "ties", "offset"])
    def test_best_of_the_feasible_set(self, kind: str) -> None:
        solver = self.make()
        theta = self.theta(solver, self.rows, kind)
        self.check(solver, theta, solver.solve(theta))

    @pytest.mark.parametrize("kind", ["normal", "ties"])
    def test_batch_is_its_rows(self, kind: str) -> None:
        solver = self.make()
        theta = self.theta(solver, 7, kind)
        instances = as_instances(self.instances(solver, 7))
        for given in (None, instances) if instances is not None else (None,):
            together = solver.solve(theta, given)
            for rows in (slice(at, at + size) for size in (1, 3) for at in range(0, 7, size)):
                part = solver.solve(theta[rows], None if given is None else given[rows])
                self.same(part, together, rows, "bound")

    def test_value_is_the_objective(self) -> None:
        """A solver whose model holds an h beside θ has a method `value`; another's objective is ⟨θ, y⟩."""
        solver = self.make()
        value = getattr(solver, "value", None)
        if value is None:
            if type(self).value is not SolverContract.value:
                pytest.fail("this model holds a term h of its own: its solver needs value(y, theta, instances)")
            value = lambda y, theta, instances: row_products(theta, y)  # noqa: E731
        theta = self.theta(solver, 20)
        for instances in (None, self.instances(solver, 20)):
            found = solver.solve(theta, instances)
            values = value(found.y, theta, instances)
            scale = self.tolerance * (1.0 + np.abs(theta).sum(axis=1))
            assert (np.abs(values - found.objective)[found.solved] <= scale[found.solved]).all()
            assert np.isnan(values[~found.solved]).all()

    def test_answer_does_not_depend_on_what_was_solved_before(self) -> None:
        theta = self.theta(self.make(), 9, "ties")
        used = self.make()
        used.solve(self.theta(used, 20))
        self.same(used.solve(theta), self.make().solve(theta))
        self.same(used.solve(theta), used.solve(theta))

    def test_pickle(self) -> None:
        solver = self.make()
        theta = self.theta(solver, 5)
        self.same(pickle.loads(pickle.dumps(solver)).solve(theta), solver.solve(theta))

    def test_no_rows(self) -> None:
        solver = self.make()
        none = np.zeros((0, prod(solver.shape)))
        found = solver.solve(none)
        assert found.y.shape == none.shape
        assert found.objective.shape == found.status.shape == (0,)

    def test_any_memory_layout_and_theta_is_left_alone(self) -> None:
        solver = self.make()
        theta = self.theta(solver, 6)
        before = theta.copy()
        expected = solver.solve(theta)
        np.testing.assert_array_equal(theta, before)
        self.same(solver.solve(np.asfortranarray(theta)), expected)
        self.same(solver.solve(np.repeat(theta, 2, axis=0)[::2]), expected)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_not_finite_is_refused_by_index(self, bad: float) -> None:
        solver = self.make()
        theta = self.theta(solver, 3)
        theta[1, -1] = bad
        with pytest.raises(ValueError, match=rf"theta\[1, {theta.shape[1] - 1}\]"):
            solver.solve(theta)

    def test_wrong_shape_is_refused(self) -> None:
        solver = self.make()
        with pytest.raises(ValueError, match="shape"):
            solver.solve(np.zeros((2, prod(solver.shape) + 1)))

    def test_instances(self) -> None:
        solver = self.make()
        theta = self.theta(solver, 40)
        instances = self.instances(solver, 40)
        if instances is None:
            with pytest.raises(ValueError, match="instances"):
                solver.solve(theta, instances=[None] * 40)
            return
        self.check(solver, theta, solver.solve(theta, instances), instances)
        with pytest.raises(ValueError, match="instances"):
            solver.solve(theta[:-1], instances)

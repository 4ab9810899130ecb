"""Contract suites: a new solver or layer inherits every law as a test.

Subclass a suite in a test module that pytest collects, and say how to make the thing:

    class TestMySolver(SolverContract):
        def make(self):
            return MySolver(n=4)

        def feasible_set(self, solver):
            return np.array([...])  # every feasible y, (k, n)

    class TestMyLayer(LayerContract):
        def make(self, solver):
            return MyLayer(solver)

Needs pytest.
"""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float64
from numpy import ndarray
from torch import Tensor

from combdiff.errors import SolverError
from combdiff.layer import SmoothedLayer, SolverLayer
from combdiff.losses import FenchelYoungLoss
from combdiff_solvers.protocol import (
    BatchSolver,
    Sense,
    Solutions,
    Solver,
    Status,
    as_instances,
    row_products,
)


class Enumerated(BatchSolver):
    """The best of an explicit list of points, found by trying each: the reference for small problems.

    An instance is the sequence of the numbers of the points that are allowed; an empty one is INFEASIBLE.

    Args:
        points: (k, n), the feasible points.
        sense: "min" or "max".

    >>> corners = Enumerated(np.eye(3), "max")
    >>> corners.solve(np.array([[1.0, 5.0, 2.0]]), instances=[[0, 2]]).y
    array([[0., 0., 1.]])
    """

    def __init__(self, points: Float64[ndarray, "k n"], sense: Sense | str = Sense.MIN) -> None:
        self.points = points
        self.shape: tuple[int, ...] = (points.shape[1],)
        self.sense = Sense(sense)

    takes_instances = True

    def solve_checked(self, theta: Float64[ndarray, "b n"], instances: Sequence[Any] | None) -> Solutions:
        """Solve every row; among equally good points the first is taken."""
        cost = np.array([self.points @ row for row in self.sense.sign * theta]).reshape(len(theta), len(self.points))
        if instances is not None:
            for row, allowed in enumerate(instances):
                closed = np.setdiff1d(np.arange(len(self.points)), np.asarray(allowed, dtype=int))
                cost[row, closed] = np.inf
        y = self.points[cost.argmin(axis=1)]
        status = np.where(np.isinf(cost.min(axis=1)), Status.INFEASIBLE, Status.OPTIMAL).astype(np.uint8)
        y[status == Status.INFEASIBLE] = np.nan
        return Solutions.from_y(y, theta, self.sense, status)


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
        rng = np.random.default_rng(len(kind))
        size = (rows, prod(solver.shape))
        draws = {
            "normal": rng.normal(size=size),
            "ties": rng.integers(-2, 3, size=size).astype(float),
            "offset": 1e6 + rng.normal(size=size),
        }[kind]
        return draws if self.negative else np.abs(draws)

    def check(self, solver: Solver, theta: Float64[ndarray, "b n"], found: Solutions, instances: Any = None) -> None:
        """Assert that every answer is feasible and as good as the best point, and that no point beats the bound."""
        common = self.feasible_set(solver) if instances is None else None
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
            values = solver.sense.sign * self.value(solver, theta[row], points)
            own = self.value(solver, theta[row], found.y[row][None])[0]
            scale = 1.0 + np.abs(theta[row]).sum()
            assert solver.sense.sign * own <= values.min() + self.tolerance * scale, f"row {row}: a better point exists"
            assert abs(found.objective[row] - own) <= self.tolerance * scale
            bound = solver.sense.sign * found.bound[row]
            assert bound <= values.min() + 1e-13 * scale, f"row {row}: a point is better than the proven bound"
            close = solver.sense.sign * own - max(self.tolerance, 1e-6) * scale
            assert bound == -np.inf or bound >= close, f"row {row}: OPTIMAL, but the bound is {found.bound[row]}"

    def same(self, one: Solutions, two: Solutions) -> None:
        """Assert that two answers are equal to the last bit."""
        np.testing.assert_array_equal(one.y, two.y)
        np.testing.assert_array_equal(one.objective, two.objective)
        np.testing.assert_array_equal(one.status, two.status)

    def test_is_a_solver(self) -> None:
        solver = self.make()
        assert isinstance(solver, Solver)
        assert isinstance(solver.sense, Sense)
        assert solver.shape
        assert min(solver.shape) >= 1

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
            for size in (1, 3):
                for first in range(0, 7, size):
                    rows = slice(first, first + size)
                    part = solver.solve(theta[rows], None if given is None else given[rows])
                    np.testing.assert_array_equal(part.y, together.y[rows])
                    np.testing.assert_array_equal(part.objective, together.objective[rows])
                    np.testing.assert_array_equal(part.bound, together.bound[rows])
                    np.testing.assert_array_equal(part.status, together.status[rows])

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
        before = solver.solve(theta)
        self.same(pickle.loads(pickle.dumps(solver)).solve(theta), before)

    def test_no_rows(self) -> None:
        solver = self.make()
        found = solver.solve(np.zeros((0, prod(solver.shape))))
        assert found.y.shape == (0, prod(solver.shape))
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


HYPERSIMPLEX = np.array(
    [[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1]], dtype=float
)


class LayerContract:
    """The laws of `SolverLayer`, as tests on a small solver whose feasible set is known.

    Attributes:
        points: the feasible points of that solver.
    """

    points = HYPERSIMPLEX

    def make(self, solver: Solver, on_failure: Any = "raise") -> SolverLayer:
        """A new layer over the solver."""
        raise NotImplementedError(f"{type(self).__name__} must define make(self, solver, on_failure), a new layer")

    def freeze(self, layer: SolverLayer) -> SolverLayer:
        """Make a random layer a function, with the same noise in every row and call; others stay as they are."""
        return layer

    def layer(self, sense: str = "min", on_failure: Any = "raise") -> SolverLayer:
        """A frozen layer over the points."""
        return self.freeze(self.make(Enumerated(self.points, sense), on_failure))

    def theta(self, *batch: int, dtype: torch.dtype = torch.float64) -> Tensor:
        """Random θ that requires a gradient, all entries away from zero."""
        draws = torch.randn(
            *batch, self.points.shape[1], generator=torch.Generator().manual_seed(1), dtype=torch.float64
        )
        return (draws + 3.0).to(dtype).requires_grad_()

    def value_and_gradient(self, layer: SolverLayer, theta: Tensor, instances: Any = None) -> tuple[Tensor, Tensor]:
        """y, and the gradient of ⟨w, y⟩ for a fixed w."""
        theta = theta.detach().requires_grad_()
        y = layer(theta, instances)
        weight = torch.linspace(-1.0, 2.0, theta.shape[-1], dtype=theta.dtype, device=theta.device)
        (gradient,) = torch.autograd.grad((y * weight)[~y.isnan()].sum(), theta)
        return y.detach(), gradient

    def test_batch_is_its_rows(self) -> None:
        layer, theta = self.layer(), self.theta(5)
        y, gradient = self.value_and_gradient(layer, theta)
        for row in range(5):
            alone = self.value_and_gradient(layer, theta[row])
            torch.testing.assert_close(alone[0], y[row])
            torch.testing.assert_close(alone[1], gradient[row])

    @pytest.mark.parametrize("batch", [(), (1,), (6,), (2, 3), (3, 1, 2), (0,), (2, 0)])
    def test_any_leading_dimensions(self, batch: tuple[int, ...]) -> None:
        layer, theta = self.layer(), self.theta(*batch)
        y, gradient = self.value_and_gradient(layer, theta)
        assert y.shape == gradient.shape == theta.shape
        assert layer.last is not None
        assert layer.last.status.shape == batch
        flat = self.value_and_gradient(layer, theta.reshape(-1, theta.shape[-1]))
        torch.testing.assert_close(y.reshape(flat[0].shape), flat[0])
        torch.testing.assert_close(gradient.reshape(flat[1].shape), flat[1])

    def test_min_is_max_of_the_negative(self) -> None:
        theta = self.theta(4)
        y_min, g_min = self.value_and_gradient(self.layer("min"), theta)
        y_max, g_max = self.value_and_gradient(self.layer("max"), -theta)
        torch.testing.assert_close(y_min, y_max)
        torch.testing.assert_close(g_min, -g_max)

    def test_answers_lie_in_the_hull(self) -> None:
        for theta in (self.theta(6), self.theta(6).detach().round(), -self.theta(6)):
            y, gradient = self.value_and_gradient(self.layer(), theta)
            assert torch.isfinite(y).all()
            assert torch.isfinite(gradient).all()
            torch.testing.assert_close(y.sum(-1), torch.full_like(y.sum(-1), self.points[0].sum()))
            assert (y >= self.points.min() - 1e-9).all()
            assert (y <= self.points.max() + 1e-9).all()

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_dtype_comes_back(self, dtype: torch.dtype) -> None:
        theta = self.theta(3).detach().to(torch.bfloat16).to(dtype)
        y, gradient = self.value_and_gradient(self.layer(), theta)
        assert y.dtype == gradient.dtype == dtype
        assert y.device == theta.device
        assert torch.isfinite(gradient).all()

    def test_non_contiguous(self) -> None:
        layer, theta = self.layer(), self.theta(5)
        expected = self.value_and_gradient(layer, theta)
        strided = theta.detach().repeat_interleave(2, 0)[::2]
        transposed = theta.detach().t().contiguous().t()
        for other in (strided, transposed):
            assert not other.is_contiguous()
            got = self.value_and_gradient(layer, other)
            torch.testing.assert_close(got[0], expected[0])
            torch.testing.assert_close(got[1], expected[1])

    @pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
    def test_not_finite_is_refused_by_index(self, bad: float, dtype: torch.dtype) -> None:
        layer, theta = self.layer(), self.theta(2, 3, dtype=dtype).detach()
        theta[1, 2, 3] = bad
        with pytest.raises(ValueError, match=r"theta\[1, 2, 3\]"):
            layer(theta)
        assert layer.stats.solves == 0

    def test_bad_arguments_are_refused(self) -> None:
        layer = self.layer()
        with pytest.raises(ValueError, match="shape"):
            layer(torch.zeros(2, self.points.shape[1] + 1))
        with pytest.raises(TypeError, match=r"torch\.int64"):
            layer(torch.zeros(2, self.points.shape[1], dtype=torch.int64))
        with pytest.raises(ValueError, match="instances"):
            layer(self.theta(3), instances=[[0]])
        with pytest.raises(ValueError, match="on_failure"):
            self.make(Enumerated(self.points), on_failure="ignore")

    def test_instances_are_of_their_rows(self) -> None:
        layer = self.layer()
        y = layer(self.theta(2, 2), instances=[[0], [1], [2], [3]])
        torch.testing.assert_close(y.detach().reshape(4, -1), torch.from_numpy(self.points[:4]))

    def test_failure_raises_and_names_the_row(self) -> None:
        layer = self.layer()
        with pytest.raises(SolverError, match=r"row 1: INFEASIBLE") as caught:
            layer(self.theta(3), instances=[[0, 1], [], [2]])
        assert caught.value.rows == [1]

    def test_masked_failure_costs_no_other_row(self) -> None:
        layer, theta = self.layer(on_failure="mask"), self.theta(3)
        every = range(len(self.points))
        expected = self.value_and_gradient(layer, theta, [every, every, every])
        y, gradient = self.value_and_gradient(layer, theta, [every, [], every])
        assert y[1].isnan().all()
        assert (gradient[1] == 0).all()
        for row in (0, 2):
            torch.testing.assert_close(y[row], expected[0][row])
            torch.testing.assert_close(gradient[row], expected[1][row])
        assert layer.last is not None
        assert layer.last.status.tolist() == [Status.OPTIMAL, Status.INFEASIBLE, Status.OPTIMAL]
        assert layer.stats.failures > 0

    def test_nan_from_a_masked_row_does_not_spread(self) -> None:
        layer, theta = self.layer(on_failure="mask"), self.theta(2)
        (gradient,) = torch.autograd.grad((layer(theta, [[0, 1, 2], []]) ** 2).sum(), theta)
        assert torch.isfinite(gradient).all()

    def test_seed_rules(self) -> None:
        layer, theta = self.make(Enumerated(self.points)), self.theta(4)
        runs = []
        for _ in range(2):
            torch.manual_seed(3)
            runs.append(self.value_and_gradient(layer, theta))
        assert torch.equal(runs[0][0], runs[1][0])
        assert torch.equal(runs[0][1], runs[1][1])

    def test_copies_are_equal(self) -> None:
        layer, theta = self.make(Enumerated(self.points)), self.theta(4)
        stream = io.BytesIO()
        torch.save(layer.state_dict(), stream)
        stream.seek(0)
        loaded = self.make(Enumerated(self.points))
        loaded.load_state_dict(torch.load(stream, weights_only=True))
        for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), loaded):
            torch.manual_seed(3)
            expected = self.value_and_gradient(layer, theta)
            torch.manual_seed(3)
            got = self.value_and_gradient(other, theta)
            assert torch.equal(got[0], expected[0])
            assert torch.equal(got[1], expected[1])

    def test_compiled_model_is_the_model(self) -> None:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, self.points.shape[1]), self.layer(), torch.nn.Linear(4, 2))
        x = torch.randn(5, 3)
        expected = model(x)
        gradients = torch.autograd.grad(expected.sum(), list(model.parameters()))
        torch.compiler.reset()
        got = torch.compile(model, backend="aot_eager")(x)
        torch.testing.assert_close(got, expected)
        for one, two in zip(torch.autograd.grad(got.sum(), list(model.parameters())), gradients, strict=True):
            torch.testing.assert_close(one, two)

    def test_second_derivative_is_refused(self) -> None:
        theta = self.theta(2)
        for power in (1, 2):
            (gradient,) = torch.autograd.grad((self.layer()(theta) ** power).sum(), theta, create_graph=True)
            with pytest.raises(RuntimeError, match="no second derivative"):
                torch.autograd.grad(gradient.sum() + (theta**2).sum(), theta)

    def test_stats_count(self) -> None:
        layer = self.layer()
        layer(self.theta(3))
        assert layer.stats.calls == 1
        assert layer.stats.solves % 3 == 0
        assert layer.stats.solves > 0
        assert layer.stats.seconds > 0
        assert layer.stats.reset().solves == 0


class SmoothedLayerContract(LayerContract):
    """The laws of `SmoothedLayer`, as tests beside those of every layer.

    Attributes:
        gradient_is_forward: False for layers (multiplicative noise) whose potential has another gradient than
            the mean solution.
    """

    gradient_is_forward = True

    def smoothed(self, sense: str = "min", on_failure: Any = "raise") -> SmoothedLayer:
        """A frozen layer, known to be smoothed."""
        layer = self.layer(sense, on_failure)
        assert isinstance(layer, SmoothedLayer)
        return layer

    @pytest.mark.parametrize("sense", ["min", "max"])
    def test_potential_is_differentiable_and_its_gradient_is_the_layer(self, sense: str) -> None:
        layer, theta = self.smoothed(sense), self.theta(3)
        assert torch.autograd.gradcheck(layer.potential, theta)
        (gradient,) = torch.autograd.grad(layer.potential(theta).sum(), theta)
        if self.gradient_is_forward:
            torch.testing.assert_close(gradient, layer(theta).detach())

    @pytest.mark.parametrize("sense", ["min", "max"])
    def test_fenchel_young_loss_is_the_loss_of_its_gradient(self, sense: str) -> None:
        theta = self.theta(2, 2)
        y_true = torch.from_numpy(self.points[:4]).reshape(2, 2, -1)
        for reduction in ("mean", "sum", "none"):
            loss = FenchelYoungLoss(self.smoothed(sense), reduction)
            assert torch.autograd.gradcheck(lambda t, loss=loss: loss(t, y_true), theta)

    @pytest.mark.parametrize("sense", ["min", "max"])
    def test_fenchel_young_loss_falls_to_zero_at_the_target(self, sense: str) -> None:
        y_true = torch.from_numpy(self.points)
        sign = Sense(sense).sign
        loss = FenchelYoungLoss(self.smoothed(sense), "none")
        far = loss(sign * (10.0 + 100.0 * y_true), y_true)
        near = loss(sign * (110.0 - 100.0 * y_true), y_true)
        assert (far > 50.0).all()
        assert (near.abs() < 0.25 * far).all()

    def test_fenchel_young_loss_leaves_failed_rows_out(self) -> None:
        theta = self.theta(3)
        y_true = torch.from_numpy(self.points[:3])
        every = range(len(self.points))
        masked = FenchelYoungLoss(self.smoothed(on_failure="mask"))
        value = masked(theta, y_true, [every, [], every])
        each = FenchelYoungLoss(self.smoothed(on_failure="mask"), "none")(theta, y_true, [every, [], every])
        assert each[1].isnan()
        torch.testing.assert_close(value, each[[0, 2]].mean())
        (gradient,) = torch.autograd.grad(value, theta)
        assert (gradient[1] == 0).all()
        assert torch.isfinite(gradient).all()

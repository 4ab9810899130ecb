"""The laws of `SolverLayer` and `SmoothedLayer`."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from combdiff.errors import SolverError
from combdiff.layer import SmoothedLayer, SolverLayer
from combdiff.losses import FenchelYoungLoss
from combdiff.testing.enumerated import HYPERSIMPLEX, CutShort, Enumerated
from combdiff_solvers.protocol import Sense, Solver, Status


class LayerContract:
    """The laws of `SolverLayer`, as tests on a small solver whose feasible set is known.

    Attributes:
        points: the feasible points of that solver.
        calls: batches that a call of the layer sends to its solver; None where it depends on θ.
    """

    points = HYPERSIMPLEX
    calls: int | None = 1

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
        generator = torch.Generator().manual_seed(1)
        draws = torch.randn(*batch, self.points.shape[1], generator=generator, dtype=torch.float64)
        return (draws + 3.0).to(dtype).requires_grad_()

    def value_and_gradient(self, layer: SolverLayer, theta: Tensor, instances: Any = None) -> tuple[Tensor, Tensor]:
        """y, and the gradient of ⟨w, y⟩ for a fixed w."""
        theta = theta.detach().requires_grad_()
        y = layer(theta, instances)
        weight = torch.linspace(-1.0, 2.0, theta.shape[-1], dtype=theta.dtype, device=theta.device)
        (gradient,) = torch.autograd.grad((y * weight)[~y.isnan()].sum(), theta)
        return y.detach(), gradient

    def seeded(self, layer: SolverLayer, theta: Tensor) -> tuple[Tensor, Tensor]:
        """`value_and_gradient` after a fixed seed of torch's global generator."""
        torch.manual_seed(3)
        return self.value_and_gradient(layer, theta)

    def test_batch_is_its_rows(self) -> None:
        layer, theta = self.layer(), self.theta(5)
        y, gradient = self.value_and_gradient(layer, theta)
        for row in range(5):
            torch.testing.assert_close(self.value_and_gradient(layer, theta[row]), (y[row], gradient[row]))

    @pytest.mark.parametrize("batch", [(), (1,), (6,), (2, 3), (3, 1, 2), (0,), (2, 0)])
    def test_any_leading_dimensions(self, batch: tuple[int, ...]) -> None:
        layer, theta = self.layer(), self.theta(*batch)
        y, gradient = self.value_and_gradient(layer, theta)
        assert y.shape == gradient.shape == theta.shape
        assert layer.last is not None
        assert layer.last.status.shape == batch
        flat = theta.reshape(-1, theta.shape[-1])
        expected = self.value_and_gradient(layer, flat)
        torch.testing.assert_close((y.reshape(flat.shape), gradient.reshape(flat.shape)), expected)

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
            torch.testing.assert_close(self.value_and_gradient(layer, other), expected)

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
        torch.testing.assert_close((y[::2], gradient[::2]), (expected[0][::2], expected[1][::2]))
        assert layer.last is not None
        assert layer.last.status.tolist() == [Status.OPTIMAL, Status.INFEASIBLE, Status.OPTIMAL]
        assert layer.stats.failures > 0

    def test_nan_from_a_masked_row_does_not_spread(self) -> None:
        layer, theta = self.layer(on_failure="mask"), self.theta(2)
        (gradient,) = torch.autograd.grad((layer(theta, [[0, 1, 2], []]) ** 2).sum(), theta)
        assert torch.isfinite(gradient).all()

    @pytest.mark.parametrize("sense", ["min", "max"])
    def test_a_row_cut_short_teaches_by_its_incumbent(self, sense: str) -> None:
        cut = self.freeze(self.make(CutShort(self.points, sense)))
        found = self.value_and_gradient(cut, self.theta(3))
        torch.testing.assert_close(found, self.value_and_gradient(self.layer(sense), self.theta(3)), rtol=0, atol=0)
        assert cut.last is not None
        assert cut.last.status.tolist() == [Status.FEASIBLE] * 3
        assert cut.stats.feasible == cut.stats.bounded == cut.stats.solves
        assert cut.stats.gap == pytest.approx(2.5)

    def test_seed_rules(self) -> None:
        layer, theta = self.make(Enumerated(self.points)), self.theta(4)
        torch.testing.assert_close(self.seeded(layer, theta), self.seeded(layer, theta), rtol=0, atol=0)

    def test_copies_are_equal(self) -> None:
        layer, theta = self.make(Enumerated(self.points)), self.theta(4)
        stream = io.BytesIO()
        torch.save(layer.state_dict(), stream)
        stream.seek(0)
        loaded = self.make(Enumerated(self.points))
        loaded.load_state_dict(torch.load(stream, weights_only=True))
        for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), loaded):
            torch.testing.assert_close(self.seeded(other, theta), self.seeded(layer, theta), rtol=0, atol=0)

    def test_compiled_model_is_the_model(self) -> None:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, self.points.shape[1]), self.layer(), torch.nn.Linear(4, 2))
        x = torch.randn(5, 3)
        torch.compiler.reset()
        found = []
        for program in (model, torch.compile(model, backend="aot_eager")):
            y = program(x)
            found.append((y, torch.autograd.grad(y.sum(), list(model.parameters()))))
        torch.testing.assert_close(found[1], found[0])

    def test_second_derivative_is_refused(self) -> None:
        theta = self.theta(2)
        for power in (1, 2):
            (gradient,) = torch.autograd.grad((self.layer()(theta) ** power).sum(), theta, create_graph=True)
            with pytest.raises(RuntimeError, match="no second derivative"):
                torch.autograd.grad(gradient.sum() + (theta**2).sum(), theta)

    def test_stats_count(self) -> None:
        layer = self.layer()
        layer(self.theta(3))
        stats = layer.stats
        assert self.calls is None or (stats.calls, stats.solves % 3) == (self.calls, 0)
        assert min(stats.solves, stats.seconds) > 0
        assert stats.reset().solves == 0


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
        value, each = (
            FenchelYoungLoss(self.smoothed(on_failure="mask"), reduction)(theta, y_true, [every, [], every])
            for reduction in ("mean", "none")
        )
        assert each[1].isnan()
        torch.testing.assert_close(value, each[[0, 2]].mean())
        (gradient,) = torch.autograd.grad(value, theta)
        assert (gradient[1] == 0).all()
        assert torch.isfinite(gradient).all()

"""Rows without a solution: whose mask it is, what is said of them, and what a loss makes of them."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from combdiff import FenchelYoungLoss, Interpolation, Perturbed, Solutions, SolverLayer, Status
from combdiff.errors import SolverError
from combdiff.solvers import ShortestPath
from combdiff.testing import HYPERSIMPLEX, Enumerated

EVERY = range(len(HYPERSIMPLEX))
TARGET = torch.from_numpy(HYPERSIMPLEX[:3])


class Scripted(Enumerated):
    """Ends each row of a batch as it is told."""

    def __init__(self, *ends: tuple[Status, str]) -> None:
        super().__init__(HYPERSIMPLEX)
        self.ends = ends

    def solve(self, theta: Any, instances: Any = None) -> Solutions:
        found = super().solve(theta)
        y, objective = found.y.copy(), found.objective.copy()
        for row, (status, _) in enumerate(self.ends):
            if not status.has_solution:
                y[row] = objective[row] = np.nan
        messages = {row: message for row, (_, message) in enumerate(self.ends) if message}
        return Solutions(
            y,
            objective,
            bound=np.full(len(theta), -np.inf),
            status=np.array([status for status, _ in self.ends], dtype=np.uint8),
            messages=messages,
        )


def theta(rows: int) -> Tensor:
    draws = torch.randn(rows, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 3.0
    return draws.requires_grad_()


class Interrupted(Interpolation):
    """Another thread's call passes between this call's solve and its mask."""

    def _estimate(self, costs: Tensor, instances: Any) -> Any:
        answer = super()._estimate(costs, instances)
        if len(costs) == 3:
            self(theta(2), [EVERY, []])
        return answer


def test_a_call_gets_its_own_mask_when_threads_share_a_layer() -> None:
    layer = Interrupted(Enumerated(HYPERSIMPLEX), on_failure="mask")
    y = layer(theta(3), [[], EVERY, []])
    assert y.isnan().all(1).tolist() == [True, False, True]
    assert layer.last is not None
    assert layer.last.status.tolist() == [Status.INFEASIBLE, Status.OPTIMAL, Status.INFEASIBLE]


@pytest.mark.parametrize("first", [Status.OPTIMAL, Status.FEASIBLE, Status.LIMIT])
def test_the_message_is_of_the_sample_that_gave_the_status(first: Status) -> None:
    layer = Perturbed(Scripted((first, "a limit struck"), (Status.ERROR, "division by zero")), samples=2)
    with pytest.raises(SolverError, match="row 0: ERROR: division by zero"):
        layer(theta(1))


@pytest.mark.parametrize("kind", [Interpolation, Perturbed])
def test_a_batch_of_nothing_but_errors_raises_whatever_the_policy(kind: type[SolverLayer]) -> None:
    fault = (Status.ERROR, "NameError: name 'modle' is not defined")
    layer = kind(Scripted(fault, fault), on_failure="mask")
    with pytest.raises(SolverError, match=r"NameError(.|\n)*Every row is an ERROR") as caught:
        layer(theta(2))
    assert "on_failure='mask': they become NaN" not in str(caught.value)
    assert layer.stats.empty == 1
    layer = kind(Scripted(fault, (Status.INFEASIBLE, "")), on_failure="mask")
    assert layer(theta(2)).isnan().all()


def test_a_loss_of_nothing_but_errors_raises() -> None:
    layer = Perturbed(Scripted((Status.ERROR, "broken")), on_failure="mask")
    with pytest.raises(SolverError, match="row 0: ERROR: broken"):
        FenchelYoungLoss(layer)(theta(1), TARGET[:1])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("rows", [0, 2])
def test_a_batch_that_teaches_nothing_has_no_loss_and_is_counted(rows: int, reduction: Any) -> None:
    layer = Perturbed(Enumerated(HYPERSIMPLEX), samples=2, on_failure="mask")
    x = theta(rows)
    loss = FenchelYoungLoss(layer, reduction)(x, TARGET[:rows], [[]] * rows)
    loss.backward()
    assert loss.item() == 0.0
    assert x.grad is not None
    assert x.grad.tolist() == torch.zeros(rows, 4).tolist()
    assert layer.stats.empty == 1
    FenchelYoungLoss(layer, reduction)(theta(2), TARGET[:2], [EVERY, []])
    assert layer.stats.empty == 1


def test_solutions_that_are_not_proven_optimal_are_counted() -> None:
    layer = Perturbed(ShortestPath.grid(3, negative="clamp"), sigma=0.1, samples=2)
    layer(torch.ones(3, 3, 3))
    assert layer.stats.feasible == 0
    costs = torch.ones(3, 3, 3)
    costs[1] = -9.0
    layer(costs)
    assert layer.stats.feasible == 2
    assert layer.stats.reset().feasible == 0


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_a_loss_leaves_its_report_with_the_layer(batch: tuple[int, ...]) -> None:
    layer = Perturbed(Enumerated(HYPERSIMPLEX), on_failure="mask")
    x = torch.rand(*batch, 4)
    allowed = [EVERY, [], EVERY, [], EVERY, EVERY][: x.numel() // 4]
    FenchelYoungLoss(layer)(x, torch.zeros_like(x), allowed)
    assert layer.last is not None
    expected = [Status.INFEASIBLE if not len(rows) else Status.OPTIMAL for rows in allowed]
    assert layer.last.status.shape == batch
    assert layer.last.status.flatten().tolist() == expected


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_target_of_a_masked_row_is_ignored(reduction: Any) -> None:
    """NaN labels of infeasible rows reach neither the loss nor the weights that all rows share."""
    loss = FenchelYoungLoss(Perturbed(Enumerated(HYPERSIMPLEX), 1.0, 4, on_failure="mask"), reduction)
    gradients = []
    for label in (torch.nan, 0.0):
        weight = torch.full((4,), 2.0, dtype=torch.float64, requires_grad=True)
        target = TARGET.clone()
        target[1] = label
        torch.manual_seed(0)
        value = loss(theta(3).detach() * weight, target, [EVERY, [], EVERY])
        value.nansum().backward()
        assert weight.grad is not None
        gradients.append(weight.grad)
    assert torch.isfinite(gradients[0]).all()
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_bad_targets_are_refused_by_index(bad: float) -> None:
    layer = Perturbed(Enumerated(HYPERSIMPLEX), on_failure="mask")
    target = torch.zeros(2, 2, 4)
    target[1, 0, 3] = bad
    with pytest.raises(ValueError, match=rf"y_true\[1, 0, 3\] is {bad}"):
        FenchelYoungLoss(layer)(torch.rand(2, 2, 4), target)
    with pytest.raises(TypeError, match=r"y_true is a ndarray.*torch\.as_tensor"):
        FenchelYoungLoss(layer)(torch.rand(2, 2, 4), np.zeros((2, 2, 4)))

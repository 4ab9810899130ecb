"""Every loss of decisions: the laws that they share. What is true of one alone is in the file of that loss."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from combdiff import Perturbed, SolutionPool
from combdiff.errors import SolverError
from combdiff.losses import (
    ContrastiveMAPLoss,
    LearningToRankLoss,
    NoiseContrastiveLoss,
    PerturbationGradientLoss,
    PushforwardLoss,
    RegretLoss,
    SPOPlusLoss,
    StructuredHingeLoss,
)
from combdiff.solvers import TopK
from combdiff.testing import HYPERSIMPLEX, CutShort, Enumerated


def pooled(kind: Any, *own: Any) -> Callable[..., Any]:
    """A loss over a pool that holds all that is feasible for the instances of these tests."""

    def make(solver: Any, reduction: Any = "mean", **rest: Any) -> Any:
        pool = SolutionPool(solver, **rest)
        pool.add(torch.from_numpy(HYPERSIMPLEX))
        for instance in (*INSTANCES, ALL):
            pool.add(torch.from_numpy(HYPERSIMPLEX[list(instance)]), [instance] * len(instance))
        return kind(pool, *own, solve_ratio=1.0, reduction=reduction)

    return make


ALL = range(len(HYPERSIMPLEX))
INSTANCES = [[0, 1, 2], [1, 3], [2, 4, 5], [3, 0], list(ALL)]
LOSSES: dict[str, Callable[..., Any]] = {
    "spo+": SPOPlusLoss,
    "hinge": StructuredHingeLoss,
    "backward": lambda solver, **rest: PerturbationGradientLoss(solver, 0.5, **rest),
    "forward": lambda solver, **rest: PerturbationGradientLoss(solver, 0.3, "forward", **rest),
    "central": lambda solver, **rest: PerturbationGradientLoss(solver, 0.3, "central", **rest),
    "regret": RegretLoss,
    "nce": pooled(NoiseContrastiveLoss),
    "map": pooled(ContrastiveMAPLoss),
    "list": pooled(LearningToRankLoss, "list"),
    "pair": pooled(LearningToRankLoss, "pair"),
    "point": pooled(LearningToRankLoss, "point"),
}
every = pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)
differentiable = pytest.mark.parametrize(
    "make",
    [make for name, make in LOSSES.items() if name != "regret"],
    ids=[name for name in LOSSES if name != "regret"],
)


def solver(sense: str = "min") -> Enumerated:
    return Enumerated(HYPERSIMPLEX, sense)


def problem(*batch: int, sense: str = "min") -> dict[str, Tensor]:
    """Predicted and true costs, none near zero, and the best solutions for the true ones."""
    generator = torch.Generator().manual_seed(len(batch))
    theta, c_true = 3.0 + torch.randn(2, *batch, 4, generator=generator, dtype=torch.float64)
    rows = c_true.reshape(-1, 4)
    y_true = torch.from_numpy(solver(sense).solve(rows.numpy()).y).reshape(c_true.shape)
    return {"theta": theta.requires_grad_(), "c_true": c_true, "y_true": y_true}


def call(loss: Any, given: dict[str, Tensor], instances: Any = None) -> Tensor:
    """The loss, of the targets that it takes."""
    names = inspect.signature(loss.forward).parameters
    if isinstance(loss, NoiseContrastiveLoss):  # whose true costs may be left out
        given = {name: part for name, part in given.items() if name != "c_true"}
    found: Tensor = loss(**{name: part for name, part in given.items() if name in names}, instances=instances)
    return found


def row_of(given: dict[str, Tensor], index: Any) -> dict[str, Tensor]:
    return {name: part[index] for name, part in given.items()}


@every
@pytest.mark.parametrize("batch", [(), (1,), (2, 3), (0,), (2, 0)])
def test_any_leading_dimensions(make: Callable[..., Any], batch: tuple[int, ...]) -> None:
    loss, given = make(solver(), reduction="none"), problem(*batch)
    found = call(loss, given)
    assert found.shape == batch
    assert loss.last.status.shape == batch
    assert loss.last.y.shape[-1 - len(batch) :] == (*batch, 4)
    assert loss.last.y_true is None or loss.last.y_true.shape == (*batch, 4)
    flat = {name: part.reshape(-1, 4) for name, part in given.items()}
    torch.testing.assert_close(call(loss, flat).reshape(batch), found)


@every
def test_a_batch_is_its_rows(make: Callable[..., Any]) -> None:
    loss, given = make(solver(), reduction="none"), problem(5)
    given["y_true"] = loss.solve(given["c_true"], INSTANCES)
    together = call(loss, given, INSTANCES)
    for row in range(5):
        torch.testing.assert_close(call(loss, row_of(given, row), [INSTANCES[row]]), together[row])


@every
def test_min_is_max_of_the_negative(make: Callable[..., Any]) -> None:
    given = problem(4)
    other = {**given, "theta": -given["theta"], "c_true": -given["c_true"]}
    low, high = make(solver("min"), reduction="none"), make(solver("max"), reduction="none")
    torch.testing.assert_close(call(low, given), call(high, other))


@every
def test_reductions(make: Callable[..., Any]) -> None:
    given = problem(2, 3)
    each, mean, total = (call(make(solver(), reduction=name), given) for name in ("none", "mean", "sum"))
    torch.testing.assert_close(mean, each.mean())
    torch.testing.assert_close(total, each.sum())


@every
def test_bad_reduction(make: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="reduction='max' is none of 'mean'"):
        make(solver(), reduction="max")


@every
@pytest.mark.parametrize("sense", ["min", "max"])
def test_rows_cut_short_teach_by_their_incumbents(make: Callable[..., Any], sense: str) -> None:
    given, found = problem(3, sense=sense), []
    for kind in (Enumerated, CutShort):
        loss = make(kind(HYPERSIMPLEX, sense), reduction="none")
        value = call(loss, given)
        found.append((value, *(torch.autograd.grad(value.sum(), given["theta"]) if value.requires_grad else ())))
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)
    assert loss.stats.feasible == loss.stats.bounded == loss.stats.solves > 0
    assert loss.stats.gap == pytest.approx(2.5)


@every
def test_failed_rows_raise_or_are_left_out(make: Callable[..., Any]) -> None:
    given = problem(3)
    instances = [ALL, [], ALL]
    with pytest.raises(SolverError, match="row 1: INFEASIBLE"):
        call(make(solver()), given, instances)
    given["y_true"] = given["y_true"].clone()
    given["y_true"][1] = torch.nan
    mean, each = (
        call(make(solver(), reduction=name, on_failure="mask"), given, instances) for name in ("mean", "none")
    )
    assert each[1].isnan()
    torch.testing.assert_close(mean, each[[0, 2]].mean())
    if mean.requires_grad:
        (gradient,) = torch.autograd.grad(mean, given["theta"])
        assert (gradient[1] == 0).all()
        assert torch.isfinite(gradient).all()
        assert gradient.abs().sum() > 0
    nothing = make(solver(), on_failure="mask")
    assert call(nothing, given, [[], [], []]).item() == 0
    assert nothing.stats.empty == 1


@differentiable
@pytest.mark.parametrize("sense", ["min", "max"])
def test_the_gradient_is_that_of_the_value(make: Callable[..., Any], sense: str) -> None:
    given = problem(2, 2, sense=sense)
    for reduction in ("mean", "sum", "none"):
        loss = make(solver(sense), reduction=reduction)
        assert torch.autograd.gradcheck(lambda theta, loss=loss: call(loss, {**given, "theta": theta}), given["theta"])


@differentiable
def test_second_derivatives_are_exact(make: Callable[..., Any]) -> None:
    """With the solutions held fixed they are those of a piecewise linear function, or of the formula."""
    given = problem(2)
    loss = make(solver())
    assert torch.autograd.gradgradcheck(lambda theta: call(loss, {**given, "theta": theta}) ** 2, given["theta"])


@differentiable
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtype_comes_back(make: Callable[..., Any], dtype: torch.dtype) -> None:
    given = {name: part.detach().to(dtype) for name, part in problem(3).items()}
    given["theta"].requires_grad_()
    value = call(make(solver()), given)
    torch.autograd.backward(value)
    assert value.dtype == given["theta"].grad.dtype == dtype  # type: ignore[union-attr]


@every
def test_a_layer_lends_its_oracle(make: Callable[..., Any]) -> None:
    layer = Perturbed(solver(), on_failure="mask")
    loss = make(layer)
    call(loss, problem(3), [ALL, [], ALL])
    assert loss.oracle is layer.oracle
    assert layer.stats.failures > 0
    assert layer.last is not None
    assert layer.last.solved.tolist() == loss.last.solved.tolist() == [True, False, True]


@every
def test_bad_targets_are_refused_by_name(make: Callable[..., Any]) -> None:
    loss, given = make(solver()), problem(2, 3)
    names = set(inspect.signature(loss.forward).parameters) & {"c_true", "y_true"}
    names -= {"c_true"} if isinstance(loss, NoiseContrastiveLoss) else set()
    for name in names:
        for bad, error, words in (
            (np.ones((2, 3, 4)), TypeError, f"{name} is a ndarray"),
            (torch.ones(3, 4), ValueError, rf"{name} has shape \(3, 4\), but theta \(2, 3, 4\)"),
        ):
            with pytest.raises(error, match=words):
                call(loss, {**given, name: bad})  # type: ignore[dict-item]
    theta = given["theta"].detach().clone()
    theta[0, 1, 2] = torch.nan
    with pytest.raises(ValueError, match=r"theta\[0, 1, 2\] is nan"):
        call(loss, {**given, "theta": theta})
    for name in names:
        wrong = given[name].clone()
        wrong[1, 2, 0] = torch.inf
        with pytest.raises(ValueError, match=rf"{name}\[.* is -?inf|optimal"):
            call(loss, {**given, name: wrong})


@pytest.mark.parametrize("sense", ["min", "max"])
@pytest.mark.parametrize("kind", [SPOPlusLoss, StructuredHingeLoss])
def test_bad_infeasible_targets_are_refused(kind: Any, sense: str) -> None:
    given = problem(2, sense=sense)
    given["y_true"] = given["y_true"].clone()
    given["y_true"][1] = 0.0 if sense == "min" else 1.0
    with pytest.raises(ValueError, match=r"y_true of row 1 is better by .* infeasible"):
        call(kind(solver(sense)), given)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="not a Solver"):
        SPOPlusLoss(torch.nn.Linear(2, 2))
    with pytest.raises(TypeError, match="c_true is None, and SPOPlusLoss needs it"):
        SPOPlusLoss(solver())(torch.ones(4), None)
    with pytest.raises(ValueError, match="width=0"):
        PerturbationGradientLoss(solver(), width=0)
    with pytest.raises(ValueError, match="margin=-1"):
        StructuredHingeLoss(solver(), margin=-1)
    with pytest.raises(ValueError, match="difference='both' is none of 'backward'"):
        PerturbationGradientLoss(solver(), difference="both")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"0\.5 in row 0, entry 1, but the Hamming margin"):
        StructuredHingeLoss(solver())(torch.ones(4), torch.tensor([1.0, 0.5, 0.5, 0.0]))
    with pytest.raises(TypeError, match="Enumerated is no SolverLayer"):
        PushforwardLoss(solver())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cost=3 must be a function"):
        PushforwardLoss(Perturbed(solver()), 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"cost returned shape \(3, 4\), but must be \(3,\)"):
        PushforwardLoss(Perturbed(solver()), lambda y: y)(torch.ones(3, 4))
    with pytest.raises(ValueError, match="c_true must be a tensor of theta's shape"):
        PushforwardLoss(Perturbed(solver()))(torch.ones(3, 4), torch.ones(4))


@pytest.mark.parametrize("kind", [PerturbationGradientLoss, StructuredHingeLoss])
def test_a_temperature_is_set_by_either_name(kind: Any) -> None:
    loss = kind(TopK(4))
    loss.temperature = 3.0
    assert loss.temperature == getattr(loss, "width" if kind is PerturbationGradientLoss else "margin") == 3.0


@every
def test_degree_is_the_power_of_the_scale(make: Callable[..., Any]) -> None:
    loss, given = make(solver(), reduction="none"), problem(40)
    one, two = call(loss, given), call(loss, {**given, "theta": 2.0 * given["theta"]})
    if loss.degree is not None:
        torch.testing.assert_close(two, 2.0**loss.degree * one)
    else:
        assert not any(torch.allclose(two, 2.0**degree * one) for degree in (-1, 0, 1, 2))

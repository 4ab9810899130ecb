"""The usual troubles of a training set-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from combdiff import _bridge
from combdiff.diagnostics.probes import twin
from combdiff.layer import SmoothedLayer, SolverLayer
from combdiff.oracle import Oracle
from combdiff.soft.arguments import HasStrength
from combdiff_solvers.protocol import Status, as_instances

MANY = 0.9  # share of rows from which on a trouble is the rule


@dataclass(frozen=True)
class Finding:
    """One trouble.

    Attributes:
        kind: a short name of it.
        where: the parameter or module.
        message: what was seen.
        fix: what to do.
    """

    kind: str
    where: str
    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.kind} ({self.where}): {self.message}. {self.fix}."


@dataclass
class Call:
    """One call of a layer or loss in the batch, and the gradients that came to its input and output."""

    module: Any
    theta: Tensor
    target: Any
    instances: Any
    output: Any
    theta_gradient: Tensor | None = None
    output_gradient: Tensor | None = None
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = type(self.module).__name__
        self.layer: SolverLayer | None = getattr(self.module, "layer", self.module)
        if not isinstance(self.layer, SolverLayer):
            self.layer = None
        if self.theta.requires_grad:
            self._keep(self.theta, "theta_gradient")
        if isinstance(self.output, Tensor) and self.output.requires_grad:
            self._keep(self.output, "output_gradient")

    def _keep(self, tensor: Tensor, name: str) -> None:
        tensor.register_hook(lambda gradient: setattr(self, name, gradient))  # type: ignore[no-untyped-call]

    def rows(self, tensor: Tensor) -> Tensor:
        """(batch, entries)."""
        kept = 1 if self.layer is None else len(self.layer.solver.shape)
        return tensor.detach().reshape(-1, max(1, tensor.shape[tensor.ndim - kept :].numel()))


def audit(
    model: nn.Module,
    batch: Any,
    objective: Callable[[nn.Module, Any], Tensor] | None = None,
    *,
    true_costs: Tensor | None = None,
    solutions: Tensor | None = None,
) -> list[Finding]:
    """Compute the loss of one batch and its gradient, and list what is wrong with them; an empty list is good news.

    Found are: parameters without a gradient, or with one that is zero; a loss or gradient that is not finite; a result
    that was cut from the graph after the layer; a layer whose temperature is so low that hardly a row has a gradient;
    costs whose scale nothing holds under a homogeneous method (`degree`), and that are not normalised; negative costs
    that a solver clamps; the same solution for every row; rows without a solution; targets outside the feasible set;
    the wrong sense. Each has a fix in plain words. The model's gradients, buffers and random state stay as they were.

    Args:
        model: the network (and whatever else has parameters).
        batch: what the objective takes.
        objective: objective(model, batch) is the loss to be minimised; model(batch) if None. It calls its layers as
            modules: `layer(theta)`, `loss(theta, y_true)`.
        true_costs, solutions: a few rows of what the solver is to be told, in its sense, and what is optimal for it,
            each (rows, *solver.shape), to check the sense with.

    >>> import combdiff, combdiff.solvers
    >>> layer = combdiff.Interpolation(combdiff.solvers.TopK(3), lam=1e-6)
    >>> network = nn.Linear(4, 3)
    >>> data = torch.randn(8, 4)
    >>> found = audit(network, data, lambda network, x: layer(network(x)).square().mul(torch.arange(3.0)).sum())
    >>> [finding.kind for finding in found]
    ['zero gradient', 'temperature too low', 'scale']
    """
    names = {id(part): name or type(part).__name__ for name, part in model.named_modules()}
    with _as_before(model), torch.enable_grad():
        calls: list[Call] = []

        def record(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            known = isinstance(module, SolverLayer | HasStrength) or isinstance(
                getattr(module, "layer", None), SolverLayer
            )
            if known and given and isinstance(given[0], Tensor):
                target = given[1] if len(given) > 1 and isinstance(given[1], Tensor) else None
                rest = [one for one in given[1:] if one is not target]
                calls.append(Call(module, given[0], target, rest[0] if rest else None, output))
                calls[-1].name = names.get(id(module), calls[-1].name)

        handle = register_module_forward_hook(record)
        try:
            loss = model(batch) if objective is None else objective(model, batch)
        finally:
            handle.remove()
        if loss.requires_grad:
            torch.autograd.backward(loss)
        found = list(_of_gradients(model, loss, calls))
    with torch.no_grad():
        for call in calls:
            found += _of_call(call)
            if call.layer is not None and true_costs is not None and solutions is not None:
                found += _of_sense(call, true_costs, solutions)
    return list(dict.fromkeys(found))


@contextmanager
def _as_before(model: nn.Module) -> Iterator[None]:
    """Put gradients, buffers and the random state back afterwards."""
    gradients = [(parameter, parameter.grad) for parameter in model.parameters()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    for parameter, _ in gradients:
        parameter.grad = None
    with torch.random.fork_rng():
        try:
            yield
        finally:
            for parameter, gradient in gradients:
                parameter.grad = gradient
            for buffer, value in buffers:
                buffer.data.copy_(value)


def _of_gradients(model: nn.Module, loss: Tensor, calls: list[Call]) -> Iterator[Finding]:
    if not bool(torch.isfinite(loss).all()):
        yield Finding("not finite", "loss", f"the loss is {loss.detach().sum():g}", "Look for a division by zero")
    cut = [call for call in calls if isinstance(call.output, Tensor) and call.output.requires_grad]
    for call in cut:
        if call.output_gradient is None:
            yield Finding(
                "cut after the layer", call.name, "the loss does not depend on its result by a differentiable path",
                "Leave out detach(), round(), comparisons and conversions between the layer and the loss",
            )  # fmt: skip
    trained = [(name, one) for name, one in model.named_parameters() if one.requires_grad]
    without = [name for name, one in trained if one.grad is None]
    if without:
        every = len(without) == len(trained)
        yield Finding(
            "no gradient", "every parameter" if every else ", ".join(without), "no gradient reaches it",
            "Look for detach(), no_grad() or a part of the model that the loss does not use" if every else
            "Use it in the loss, or set requires_grad=False",
        )  # fmt: skip
    bad = [name for name, one in trained if one.grad is not None and not bool(torch.isfinite(one.grad).all())]
    if bad:
        yield Finding("not finite", ", ".join(bad), "its gradient has NaN or inf", "Look at the loss, and at theta")
    zero = [name for name, one in trained if one.grad is not None and not bool(one.grad.any())]
    asked = [call.output_gradient for call in calls if call.output_gradient is not None]
    shapes = {name: one.ndim for name, one in trained}
    if len(zero) < len(trained):  # one bias may have none: that of a result whose shift changes nothing
        zero = [name for name in zero if shapes[name] > 1]
    if zero and (not asked or any(bool(one.any()) for one in asked)):  # else every answer is right
        yield Finding(
            "zero gradient", ", ".join(zero), "its gradient is exactly zero",
            "Look for a temperature that is too low, or an activation that is always off",
        )  # fmt: skip


def _of_call(call: Call) -> Iterator[Finding]:
    theta = call.rows(call.theta)
    gradient = None if call.theta_gradient is None else call.rows(call.theta_gradient)
    if gradient is not None and isinstance(call.output, Tensor):
        asked = torch.ones(len(gradient), dtype=torch.bool, device=gradient.device)
        if call.output_gradient is not None and call.output_gradient.shape == call.theta.shape:
            asked = call.rows(call.output_gradient).any(1)
        if call.output.shape == call.theta.shape or bool(call.output.detach().sum() > 1e-3):
            silent = float((~gradient.any(1) & asked).sum()) / max(1, int(asked.sum()))
            if silent >= MANY:
                yield Finding(
                    "temperature too low", call.name, f"{100 * silent:.0f} % of the rows get no gradient",
                    "Raise the temperature: combdiff.diagnostics.advise proposes one",
                )  # fmt: skip
    layer = call.layer
    if layer is None:
        return
    degree = getattr(call.module, "degree", None)
    scale = theta.abs().mean(1)
    if degree is not None and len(theta) > 1 and float(scale.std() / scale.mean().clamp(min=1e-30)) > 1e-3:
        yield Finding(
            "scale", call.name,
            f"the method is homogeneous of degree {degree} in theta, and theta is not normalised: nothing holds its "
            "scale, which " + ("shrinks to zero" if degree else "drifts"),
            "Divide each row of theta by the mean of its absolute values, or use additive noise",
        )  # fmt: skip
    yield from _of_solutions(call, layer)


def _of_solutions(call: Call, layer: SolverLayer) -> Iterator[Finding]:
    oracle = Oracle(layer.solver, on_failure="mask")
    costs = oracle.costs(call.theta.detach())
    answer = oracle.solve(costs, as_instances(call.instances))
    if answer.report.failed is not None:
        first = int(answer.report.failed.nonzero()[0])
        status = Status(int(answer.report.status[first]))
        yield Finding(
            "no solution", call.name, f"{int(answer.report.failed.sum())} of {len(costs)} rows have none",
            f"{status.name}: {answer.report.messages.get(first, status.advice)}".rstrip("."),
        )  # fmt: skip
        return
    feasible = (answer.report.status == Status.FEASIBLE).to(costs.device) & (costs < 0).any(1)
    if bool(feasible.any()):
        yield Finding(
            "clamped", call.name,
            f"{int(feasible.sum())} of {len(costs)} rows of theta have negative costs, which the solver clamps",
            "Make theta positive (softplus and a floor), or take a solver that accepts negative costs",
        )  # fmt: skip
    target = None if call.target is None or call.target.shape != call.theta.shape else call.rows(call.target)
    different = len(costs) > 1 and bool((costs != costs[0]).any())
    expected = target is None or bool((target != target[0]).any())
    same = len(costs) > 1 and not bool((answer.y != answer.y[0]).any())
    if same and expected and call.instances is None and not (different and _moves(call, layer, oracle, answer.y)):
        yield Finding(
            "equal solutions", call.name,
            "every row has the same solution" + ("" if different else ", since every row of theta is the same"),
            "Look whether theta depends on the input, and whether one entry of it is far from the others in every row",
        )  # fmt: skip
    binary = target is not None and isinstance(layer, SmoothedLayer) and bool(((target == 0) | (target == 1)).all())
    if target is not None and binary:  # a solution inside the target's support costs nothing
        inside = oracle.solve((1.0 - target).to(costs), as_instances(call.instances))
        outside = ((1.0 - target).to(costs) * inside.y).sum(-1) > 1e-6
        if inside.report.failed is None and bool(outside.any()):
            yield Finding(
                "infeasible targets", call.name, f"{int(outside.sum())} of {len(costs)} targets hold no solution",
                "Look for another order of the entries, other instances, or 0 and 1 exchanged",
            )  # fmt: skip


def _moves(call: Call, layer: SolverLayer, oracle: Oracle, y: Tensor) -> bool:
    """Whether the method's own temperature moves rows away from the solution that they share, as of a new network."""
    if isinstance(layer, SmoothedLayer):
        smooth = twin(layer)
        smooth.oracle = oracle
        moved = call.rows(smooth(call.theta.detach())) != y
    else:
        moved = torch.zeros_like(y) if call.theta_gradient is None else call.rows(call.theta_gradient) != 0
    return float(moved.any(1).double().mean()) > 1.0 - MANY


def _of_sense(call: Call, true_costs: Tensor, solutions: Tensor) -> Iterator[Finding]:
    assert call.layer is not None
    oracle = Oracle(call.layer.solver, on_failure="mask")
    costs = oracle.costs(true_costs.detach())
    given = (costs * solutions.detach().reshape(costs.shape).to(costs)).sum(-1)
    size = costs.abs().sum(-1) * 1e-6
    instances = as_instances(call.instances)
    if instances is not None:
        instances = _bridge.take(instances, torch.arange(len(costs)))
    best, worst = oracle.solve(costs, instances), oracle.solve(-costs, instances)
    wrong = given > (costs * best.y).sum(-1) + size
    opposite = (given >= (costs * worst.y).sum(-1) - size) & wrong
    sense = call.layer.solver.sense.value
    if float(opposite.double().mean()) > 0.5:
        yield Finding(
            "wrong sense", call.name, f"the solutions are the worst, not the best, under sense={sense!r}",
            "Give the solver the other sense, or negate theta",
        )  # fmt: skip
    elif bool(wrong.any()):
        yield Finding(
            "not optimal", call.name,
            f"{int(wrong.sum())} of {len(costs)} solutions are not optimal for their true costs (sense={sense!r})",
            "Look for another order of the entries, other units, or the wrong sense",
        )  # fmt: skip

"""The exact answer forward, the gradient of a smoothed layer backward."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from combdiff.layer import SmoothedLayer, SolverLayer
from combdiff.needs import Needs
from combdiff.oracle import Costs, Oracle, Report
from combdiff.temperature import Schedule
from combdiff_solvers.protocol import Sets


class StraightThrough(SolverLayer):
    """The solver's exact answer forward; backward the Jacobian of a smoothed layer, taken at the exact answer's loss.

        y = y(c)          ∂L/∂c = J_σ(c)ᵀ ∂L/∂y, where J_σ is the Jacobian of the layer

    The network that follows sees feasible solutions, in training as later on. The gradient is biased: g = ∂L/∂y belongs
    to y(c), not to the layer's mean. Over one-hot vectors with Gumbel noise J_σ is that of softmax(−c/σ): the
    straight-through estimator of Gumbel-softmax. With `Identity` there is no layer to make: use that.

    It shares the oracle of the layer: its solver, failure policy and counts. One more solve a row than the layer.

    Scale: the answer is homogeneous of degree 0; the gradient has the scale of the layer's temperature.

    Args:
        layer: a `SmoothedLayer`, such as `Perturbed` or `FrankWolfe`. Its temperature is `temperature` here, too.

    Raises:
        TypeError: for a layer whose answer is exact already.

    Sources: Bengio, Léonard & Courville (2013), "Estimating or propagating gradients through stochastic neurons",
    section 4; Jang, Gu & Poole (2017), "Categorical reparameterization with Gumbel-softmax", section 2.2.
    Not for: second derivatives (refused), or a Fenchel–Young loss, which takes the layer itself.

    >>> import torch, combdiff.solvers
    >>> _ = torch.manual_seed(0)
    >>> layer = StraightThrough(combdiff.Perturbed(combdiff.solvers.TopK(3), 1.0, 10_000, noise="gumbel"))
    >>> theta = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> y = layer(theta)
    >>> y[2].backward()
    >>> y.detach(), theta.grad.round(decimals=1)  # the Jacobian of softmax
    (tensor([0., 0., 1.]), tensor([-0.1000, -0.2000,  0.2000]))
    """

    degree = 0
    needs = Needs(
        forward="1 + those of the layer",
        backward="those of the layer",
        no_potential="its gradient belongs to its layer, not to its answer: give the loss that layer",
        solver="what its layer wants",
        bias="yes: the Jacobian of its layer, at the loss of the exact answer",
        scale="the temperature of its layer",
        use="a network behind it that has to see feasible solutions in training",
    )

    def __init__(self, layer: SmoothedLayer) -> None:
        if not isinstance(layer, SmoothedLayer):
            raise TypeError(
                f"a {type(layer).__name__} has no other answer than the exact one: give a SmoothedLayer, like Perturbed"
            )
        super().__init__(layer.solver, layer.on_failure)
        self.layer = layer
        own = layer.needs
        of_layer = {name: getattr(own, name) for name in ("backward", "negative", "gradient_degree")}
        self.needs = replace(self.needs, forward=f"1 + {own.forward}", **of_layer)

    @property
    def oracle(self) -> Oracle:
        """That of the layer."""
        return self.layer.oracle

    @oracle.setter
    def oracle(self, value: Oracle) -> None:
        if "layer" in self._modules:  # not in the base's __init__
            self.layer.oracle = value

    @property
    def temperature(self) -> float | Schedule:
        """That of the layer, in its unit; it may be set, also to "auto"."""
        return self.layer.temperature

    @temperature.setter
    def temperature(self, value: Any) -> None:
        self.layer.temperature = value

    def costs(self, theta: Float[Tensor, "*dims"]) -> Costs:
        """As the layer's, which knows whether anything holds the scale of θ."""
        return self.layer.costs(theta)

    def _estimate(self, costs: Costs, instances: Sets) -> tuple[Costs, Report]:
        answer = self.oracle.solve(costs, instances)
        soft, report = self.layer._estimate(costs, instances)
        value = answer.y + (soft - soft.detach()) if soft.requires_grad else answer.y
        return value, answer.report.worst(report)

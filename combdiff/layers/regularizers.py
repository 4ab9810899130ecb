"""Convex functions Ω that smooth a linear problem; `combdiff.FrankWolfe` takes any `Regularizer`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

Points = Float[Tensor, "b n"]
Name = Literal["quadratic", "entropy"]


class Regularizer(ABC):
    """A strictly convex, twice differentiable function Ω of each row of points.

    >>> class Weighted(Regularizer):
    ...     def value(self, mu):
    ...         return (torch.arange(1.0, 1.0 + mu.shape[1]).to(mu) * mu**4).sum(-1)
    ...
    ...     def gradient(self, mu):
    ...         return torch.arange(1.0, 1.0 + mu.shape[1]).to(mu) * 4 * mu**3
    >>> Weighted().hessian(torch.ones(1, 2))
    tensor([[[12.,  0.],
             [ 0., 24.]]])

    Attributes:
        quadratic: whether its Hessian is constant; then Newton steps are exact.
        keeps_sign: whether costs that are positive stay so when its gradient is added, at points that are not negative.
    """

    quadratic: ClassVar[bool] = False
    keeps_sign: ClassVar[bool] = False

    @abstractmethod
    def value(self, mu: Points) -> Float[Tensor, " b"]:
        """Ω(μ)."""

    @abstractmethod
    def gradient(self, mu: Points) -> Points:
        """∇Ω(μ), made of differentiable operations unless `hessian` is defined, too."""

    def hessian(self, mu: Points) -> Float[Tensor, "b n"] | Float[Tensor, "b n n"]:
        """∇²Ω(μ); only its diagonal, (b, n), where Ω is a sum over entries. By default autograd's, of n products."""
        with torch.enable_grad():
            mu = mu.detach().requires_grad_()
            slope = self.gradient(mu)
            columns = [torch.autograd.grad(slope[:, j].sum(), mu, retain_graph=True)[0] for j in range(mu.shape[1])]
        return torch.stack(columns, dim=1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Quadratic(Regularizer):
    """½‖μ‖²: the regularized argmin is the projection of −c/ε onto the hull of the solutions (SparseMAP).

    >>> Quadratic().value(torch.tensor([[3.0, 4.0]]))
    tensor([12.5000])
    """

    quadratic = True
    keeps_sign = True

    def value(self, mu: Points) -> Float[Tensor, " b"]:
        """½‖μ‖²."""
        return mu.square().sum(-1) / 2.0

    def gradient(self, mu: Points) -> Points:
        """μ."""
        return mu

    def hessian(self, mu: Points) -> Points:
        """1, on the diagonal."""
        return torch.ones_like(mu)


class Entropy(Regularizer):
    """Σ μ log μ, for μ ≥ 0: over one-hot vectors the regularized argmin is softmax(−c/ε).

    >>> Entropy().value(torch.tensor([[0.5, 0.5, 0.0]]))
    tensor([-0.6931])
    """

    def value(self, mu: Points) -> Float[Tensor, " b"]:
        """Σ μ log μ."""
        return torch.xlogy(mu, mu).sum(-1)

    def gradient(self, mu: Points) -> Points:
        """log μ + 1; at 0, where it has no limit, a large negative number."""
        return mu.clamp(min=1e-300).log() + 1.0

    def hessian(self, mu: Points) -> Points:
        """1/μ, on the diagonal."""
        return 1.0 / mu.clamp(min=1e-300)


REGULARIZERS: dict[str, type[Regularizer]] = {"quadratic": Quadratic, "entropy": Entropy}

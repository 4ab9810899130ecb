"""How noise perturbs costs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from combdiff.noise.distributions import Gaussian
from combdiff.noise.noise import Noise

Costs = Float[Tensor, "b n"]
Perturbed = Float[Tensor, "m b n"]


class Perturbation(ABC):
    """How noise Z of strength σ changes costs c.

    Attributes:
        degree: k where the solution under a·c is aᵏ times that under c for every a > 0 and the same noise; None where
            no k does it.
        keeps_sign: whether costs that are positive stay so.
    """

    degree: ClassVar[int | None] = None
    keeps_sign: ClassVar[bool] = False

    def check(self, noise: Noise) -> None:  # noqa: B027  (most take any noise)
        """Raise a ValueError for noise that it does not take."""

    @abstractmethod
    def perturb(self, costs: Costs, noise: Perturbed, sigma: float) -> tuple[Perturbed, Perturbed | None]:
        """The perturbed costs, and their derivatives by c, entry by entry; None where these are 1."""

    def divide(self, gradient: Costs, costs: Costs) -> tuple[Costs, int]:
        """Turn Σ ⟨g, y⟩ ∇ν(Z) / σ into the gradient by c; and the number of entries that get none."""
        return gradient, 0

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Additive(Perturbation):
    """c + σZ, with σ in units of c. Costs may become negative.

    >>> Additive().perturb(torch.ones(1, 2), torch.tensor([[[1.0, -4.0]]]), sigma=0.5)
    (tensor([[[ 1.5000, -1.0000]]]), None)
    """

    def perturb(self, costs: Costs, noise: Perturbed, sigma: float) -> tuple[Perturbed, None]:
        """c + σZ."""
        return torch.add(costs, noise, alpha=sigma), None


class Multiplicative(Perturbation):
    """c ⊙ exp(σZ − σ²/2), with σ in units of log c: factors of mean 1 that keep the sign of every cost.

    Its Jacobian divides by c: an entry that is zero or next to it (at most √eps of the row's largest |c|) gets none.

    Source: Dalle et al. (2022), "Learning with combinatorial optimization layers", section 3.2.

    >>> costs, weight = Multiplicative().perturb(torch.tensor([[-1.0, 2.0]]), torch.zeros(1, 1, 2), sigma=1.0)
    >>> costs
    tensor([[[-0.6065,  1.2131]]])
    >>> Multiplicative().divide(torch.tensor([[1.0, 1.0]]), torch.tensor([[4.0, 0.0]]))
    (tensor([[0.2500, 0.0000]]), 1)
    """

    degree = 0
    keeps_sign = True

    def check(self, noise: Noise) -> None:
        """Refuse all but Gaussian noise, whose factors have the mean 1."""
        if not isinstance(noise, Gaussian):
            raise ValueError(f"multiplicative noise is log-normal: use noise='gaussian', not {noise!r}")

    def perturb(self, costs: Costs, noise: Perturbed, sigma: float) -> tuple[Perturbed, Perturbed]:
        """c ⊙ w and w = exp(σZ − σ²/2)."""
        weight = torch.exp(sigma * noise - sigma**2 / 2)
        return costs * weight, weight

    def divide(self, gradient: Costs, costs: Costs) -> tuple[Costs, int]:
        """Divide by c, and by infinity where c is too near zero."""
        if not costs.numel():
            return gradient, 0
        size = costs.abs()
        small = size <= math.sqrt(torch.finfo(costs.dtype).eps) * size.amax(dim=-1, keepdim=True)
        return gradient / costs.masked_fill(small, torch.inf), int(small.sum())


PERTURBATIONS: dict[str, type[Perturbation]] = {"additive": Additive, "multiplicative": Multiplicative}

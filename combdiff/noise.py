"""Noise on costs: what is drawn, its score, and how it perturbs.

`combdiff.Perturbed` takes any `Noise` and any `Perturbation`; "gaussian", "gumbel", "laplace", "logistic",
"sum-of-gamma", "additive" and "multiplicative" are short for the ones of this module.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor

T = TypeVar("T")
Samples = Float[Tensor, "..."]  # of a shape that the caller gives
Costs = Float[Tensor, "b n"]
Perturbed = Float[Tensor, "m b n"]
Name = Literal["gaussian", "gumbel", "laplace", "logistic", "sum-of-gamma"]


class Noise(ABC):
    """A distribution of density ∝ exp(−ν(z)) and mean zero, of independent entries.

    Laws, each a test: E[Z] = 0; E[∇ν(Z)] = 0; E[f(Z) ∇ν(Z)] = E[f'(Z)] (the score is that of the samples).

    Attributes:
        symmetric: whether Z and −Z have one distribution, as antithetic pairs need.
    """

    symmetric: ClassVar[bool] = False

    @abstractmethod
    def sample(self, shape: tuple[int, ...], like: Tensor, generator: Generator | None = None) -> Samples:
        """Draw Z of a shape, with the dtype and device of `like`, from the generator or torch's global one."""

    @abstractmethod
    def score(self, z: Samples) -> Samples:
        """∇ν(z), entry by entry."""

    def energy(self, z: Samples) -> Samples:
        """ν(z) but for a constant, entry by entry; `Perturbed.draw` needs it to weigh samples.

        Raises:
            ValueError: for noise that does not know it.
        """
        raise ValueError(f"samples of {self!r} cannot be weighed: define its method energy, whose derivative is score")

    def quantile(self, u: Samples) -> Samples:
        """The z with P(Z ≤ z) = u, entry by entry; points of a Sobol sequence become samples by it.

        Raises:
            ValueError: for noise that does not know it.
        """
        raise ValueError(f"{self!r} cannot be drawn by a Sobol sequence: define its method quantile, or leave it out")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _empty(shape: tuple[int, ...], like: Tensor, generator: Generator | None) -> Tensor:
    """Room for samples where the generator can draw them."""
    return torch.empty(shape, dtype=like.dtype, device=(generator or like).device)


class Gaussian(Noise):
    """Standard normal: ν(z) = z²/2.

    >>> _ = torch.manual_seed(0)
    >>> z = Gaussian().sample((100_000,), like=torch.zeros(()))
    >>> bool(z.mean().abs() < 0.02), bool(torch.equal(Gaussian().score(z), z))
    (True, True)
    """

    symmetric = True

    def sample(self, shape: tuple[int, ...], like: Tensor, generator: Generator | None = None) -> Samples:
        """Draw Z of a shape."""
        return _empty(shape, like, generator).normal_(generator=generator).to(like.device)

    def score(self, z: Samples) -> Samples:
        """∇ν(z) = z."""
        return z

    def energy(self, z: Samples) -> Samples:
        """z²/2."""
        return z.square() / 2.0

    def quantile(self, u: Samples) -> Samples:
        """Φ⁻¹(u)."""
        return torch.special.ndtri(u)


class Gumbel(Noise):
    """Minus a Gumbel variable, centred: ν(z) = exp(z − γ) − z, with Euler's constant γ.

    Costs take the minus: over one-hot vectors y the mean of y(c + σZ) is then softmax(−c/σ) exactly.

    >>> _ = torch.manual_seed(0)
    >>> z = Gumbel().sample((100_000, 2), like=torch.zeros(()))
    >>> share = ((torch.tensor([1.0, 2.0]) + z).argmin(-1) == 0).double().mean()
    >>> bool((share - torch.softmax(torch.tensor([-1.0, -2.0]), 0)[0]).abs() < 0.01)
    True
    """

    def sample(self, shape: tuple[int, ...], like: Tensor, generator: Generator | None = None) -> Samples:
        """Draw Z of a shape: the logarithm of an exponential variable, and γ."""
        z = _empty(shape, like, generator).exponential_(generator=generator)
        return z.clamp_(min=torch.finfo(z.dtype).tiny).log_().add_(np.euler_gamma).to(like.device)

    def score(self, z: Samples) -> Samples:
        """∇ν(z) = exp(z − γ) − 1."""
        return torch.exp(z - np.euler_gamma) - 1.0

    def energy(self, z: Samples) -> Samples:
        """exp(z − γ) − z."""
        return torch.exp(z - np.euler_gamma) - z

    def quantile(self, u: Samples) -> Samples:
        """log(−log(1 − u)) + γ."""
        return torch.log(-torch.log1p(-u)) + np.euler_gamma


class Laplace(Noise):
    """Of density exp(−|z|)/2 and variance 2: ν(z) = |z|, whose score is bounded.

    >>> Laplace().score(torch.tensor([-3.0, 0.5]))
    tensor([-1.,  1.])
    """

    symmetric = True

    def sample(self, shape: tuple[int, ...], like: Tensor, generator: Generator | None = None) -> Samples:
        """Draw Z of a shape: the difference of two exponential variables."""
        one, other = (_empty(shape, like, generator).exponential_(generator=generator) for _ in range(2))
        return one.sub_(other).to(like.device)

    def score(self, z: Samples) -> Samples:
        """∇ν(z) = sign(z)."""
        return torch.sign(z)

    def energy(self, z: Samples) -> Samples:
        """|z|."""
        return z.abs()

    def quantile(self, u: Samples) -> Samples:
        """log(2u) up to ½, −log(2(1 − u)) above."""
        side = u - 0.5
        return -torch.sign(side) * torch.log1p(-2.0 * side.abs())


class Logistic(Noise):
    """Standard logistic, of variance π²/3: ν(z) = z + 2 log(1 + exp(−z)). The difference of two Gumbel variables.

    Over two one-hot vectors, with the noise on one cost alone, the mean of y(c + σZ) is sigmoid((c₁ − c₀)/σ).

    >>> Logistic().score(torch.tensor([0.0, 100.0]))
    tensor([0., 1.])
    """

    symmetric = True

    def sample(self, shape: tuple[int, ...], like: Tensor, generator: Generator | None = None) -> Samples:
        """Draw Z of a shape: the logarithm of the ratio of two exponential variables."""
        one, other = (
            _empty(shape, like, generator).exponential_(generator=generator).clamp_(min=torch.finfo(like.dtype).tiny)
            for _ in range(2)
        )
        return one.log_().sub_(other.log_()).to(like.device)

    def score(self, z: Samples) -> Samples:
        """∇ν(z) = tanh(z/2)."""
        return torch.tanh(z / 2.0)

    def energy(self, z: Samples) -> Samples:
        """z + 2 log(1 + exp(−z))."""
        return z + 2.0 * torch.nn.functional.softplus(-z)

    def quantile(self, u: Samples) -> Samples:
        """log(u / (1 − u))."""
        return torch.logit(u)


class SumOfGamma(Noise):
    """Minus a Sum-of-Gamma variable, centred: −(1/k) Σᵢ₌₁ˢ Gᵢ + Hₛ/k, with Gᵢ of shape 1/k and scale k/i.

    The sum of k of them is minus a (centred) Gumbel variable for s → ∞: a solution with k ones gets Gumbel noise on
    its cost, which makes perturb-and-MAP of k-subsets nearer to the exponential family than Gumbel noise on every
    entry. Costs take the minus, as of `Gumbel`. Its variance is (1/k) Σ 1/i², so it stays below π²/(6k).

    Its density has no closed form, and so it has no score: for `ImplicitMLE` and Fenchel–Young losses, not for the
    layer's own gradient of `Perturbed`.

    Args:
        k: the number of ones in a solution.
        terms: s.

    Raises:
        ValueError: for k or s below 1.

    Source: Niepert, Minervini & Franceschi (2021), "Implicit MLE", theorem 1.

    >>> _ = torch.manual_seed(0)
    >>> z = SumOfGamma(k=3).sample((100_000,), like=torch.zeros(()))
    >>> bool(z.mean().abs() < 0.01), bool((z.var() - sum(1 / i**2 for i in range(1, 11)) / 3).abs() < 0.02)
    (True, True)
    """

    def __init__(self, k: int = 5, terms: int = 10) -> None:
        self.k, self.terms = whole("k", k), whole("terms", terms)

    def sample(self, shape: tuple[int, ...], like: Tensor, generator: Generator | None = None) -> Samples:
        """Draw Z of a shape."""
        alpha = _empty(shape, like, generator).fill_(1.0 / self.k)
        total = torch.full_like(alpha, sum(1.0 / i for i in range(1, self.terms + 1)) / self.k)
        for i in range(1, self.terms + 1):
            total.sub_(torch._standard_gamma(alpha, generator=generator), alpha=1.0 / i)
        return total.to(like.device)

    def score(self, z: Samples) -> Samples:
        """Refuse: there is none in closed form.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            "the density of Sum-of-Gamma noise has no closed form, so that it has no score: use noise='gumbel', or "
            "ImplicitMLE or a Fenchel–Young loss, which need none"
        )

    def __repr__(self) -> str:
        return f"SumOfGamma(k={self.k}, terms={self.terms})"


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


NOISES: dict[str, type[Noise]] = {
    "gaussian": Gaussian,
    "gumbel": Gumbel,
    "laplace": Laplace,
    "logistic": Logistic,
    "sum-of-gamma": SumOfGamma,
}
PERTURBATIONS: dict[str, type[Perturbation]] = {"additive": Additive, "multiplicative": Multiplicative}


def whole(name: str, value: int) -> int:
    """A number that counts something.

    Raises:
        ValueError: for anything but a whole number, at least 1.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name}={value!r} must be a whole number, at least 1")
    return int(value)


def named(name: str, value: str | T, kind: type[T], known: dict[str, type[T]]) -> T:
    """An object of a kind: `value` itself, or what its short name stands for.

    Raises:
        ValueError: for an unknown short name.
        TypeError: for anything else.
    """
    if isinstance(value, kind):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{name}={value!r} is a {type(value).__name__}, but must be a {kind.__name__} or its name")
    if value not in known:
        raise ValueError(
            f"{name}={value!r} is none of {', '.join(map(repr, known))} (or give a combdiff.noise.{kind.__name__})"
        )
    return known[value]()

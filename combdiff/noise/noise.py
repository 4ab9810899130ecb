"""The contract of noise: what is drawn, and its score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Float
from torch import Generator, Tensor

Samples = Float[Tensor, "..."]  # of a shape that the caller gives


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

"""Stochastic versions of the soft operators: Gumbel noise on the values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from combdiff.noise import Gumbel


def gumbel_perturbed(
    values: Float[Tensor, "*dims"], samples: int = 1, scale: float = 1.0, generator: torch.Generator | None = None
) -> Float[Tensor, samples * dims]:
    """`samples` copies of the values, each with its own Gumbel noise of the given scale added.

    The hard descending order of one copy is a draw from the Plackett–Luce distribution with log-scores values/scale;
    its largest entry is a draw from softmax(values/scale).

    Args:
        values: log-scores, any shape and float dtype.
        samples: number of copies, at least 1.
        scale: of the noise; positive.
        generator: source of the noise; torch's own where None.

    Raises:
        ValueError: for samples or a scale out of range.

    >>> gumbel_perturbed(torch.zeros(3), samples=2).shape
    torch.Size([2, 3])
    """
    if samples < 1:
        raise ValueError(f"samples={samples} must be at least 1")
    if not scale > 0:
        raise ValueError(f"scale={scale} must be positive")
    wide = values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
    gumbel = np.euler_gamma - Gumbel().sample((samples, *values.shape), wide, generator)
    return (wide + scale * gumbel).to(values.dtype)


def stochastic(
    operator: Callable[..., Any],
    values: Float[Tensor, "*dims"],
    *args: Any,
    samples: int = 1,
    scale: float = 1.0,
    generator: torch.Generator | None = None,
    **kwargs: Any,
) -> Any:
    """A soft operator under Gumbel noise: `operator` of `gumbel_perturbed(values, ...)`.

    With `soft_permutation` this is stochastic NeuralSort (Grover et al. 2019) or Gumbel–Sinkhorn (Mena et al. 2018).
    The mean over samples is smooth even where the operator is flat; the gradient is reparameterised.

    Args:
        operator: any function of this package.
        values: its first argument. Its other arguments follow; a `dim` must count from the end, a mask needs no change.
        samples, scale, generator: as in `gumbel_perturbed`.

    Returns:
        What the operator returns, with a first dimension of `samples`.

    Raises:
        ValueError: for a `dim` that counts from the front, or None.

    >>> from combdiff.soft import soft_rank
    >>> _ = torch.manual_seed(0)
    >>> ranks = stochastic(soft_rank, torch.tensor([0.0, 5.0]), samples=100, scale=0.1)
    >>> ranks.mean(0)
    tensor([1., 2.])
    """
    if kwargs.get("dim", -1) is None:
        raise ValueError("dim=None would mix the samples: pass values.flatten() instead")
    if kwargs.get("dim", -1) >= 0:
        raise ValueError(
            f"dim={kwargs['dim']}: samples come first, so count from the end: dim={kwargs['dim'] - values.ndim}"
        )
    return operator(gumbel_perturbed(values, samples, scale, generator), *args, **kwargs)

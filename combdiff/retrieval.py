"""How good scored lists of documents are: NDCG, average precision and reciprocal rank, list by list.

Large scores are on top. Lists of different lengths are padded, and a mask says what counts. A list without a relevant
document has no such measure: it is NaN, and left out by `nanmean` (scikit-learn has 0 for it, LightGBM 1). All are
computed in float64, and have no gradient.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float64, Int64, Real
from torch import Tensor

from combdiff.soft.arguments import check_alike

Lists = Real[Tensor, "*batch n"]
Mask = Bool[Tensor, "*batch n"] | None
PerList = Float64[Tensor, "*batch"]


def ndcg(
    scores: Lists,
    relevance: Lists,
    k: int | None = None,
    mask: Mask = None,
    gain: Literal["exponential", "linear"] = "exponential",
) -> PerList:
    """Normalised discounted cumulative gain of the first k documents, in [0, 1].

    With gains g = 2^relevance − 1 ("linear": the relevance itself), DCG@k = Σ_{i ≤ k} g_i / log₂(1 + i) over the
    documents in descending order of scores, divided by that of the best order. Tied documents share the mean of their
    discounts: the expectation over their orders.

    Args:
        scores: (*batch, n), finite where they count.
        relevance: (*batch, n), at least 0.
        k: None for the whole list.
        mask: (*batch, n), True where a document exists.
        gain: "exponential" or "linear".

    Returns:
        (*batch), NaN for lists without a relevant document.

    Raises:
        ValueError: for different shapes, k < 1, an unknown gain, scores that are not finite, or a relevance that is
            negative or not finite.

    Sources: Järvelin & Kekäläinen (2002), "Cumulated gain-based evaluation of IR techniques"; Burges et al. (2005) for
    the exponential gain; McSherry & Najork (2008), "Computing information retrieval performance measures efficiently in
    the presence of tied scores".

    >>> relevance = torch.tensor([[3.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    >>> ndcg(torch.tensor([[0.9, 0.8, 0.1], [0.3, 0.2, 0.1]]), relevance, k=2)
    tensor([0.9173,    nan], dtype=torch.float64)
    """
    if gain not in ("exponential", "linear"):
        raise ValueError(f"gain={gain!r} must be 'exponential' or 'linear'")
    if k is not None and k < 1:
        raise ValueError(f"k={k} must be at least 1, or None for the whole list")
    keys, relevance = _checked(scores, relevance, mask)
    gains = torch.exp2(relevance) - 1 if gain == "exponential" else relevance
    place = torch.arange(1, 1 + keys.shape[-1], device=keys.device).double()
    discount = torch.where(place <= (k or len(place)), 1 / torch.log2(1 + place), 0.0)
    until = torch.cat([discount.new_zeros(1), discount.cumsum(0)])
    before, last = _places(keys, keys)
    found = (gains * (until[last] - until[before]) / (last - before)).sum(-1)
    ideal = (gains.sort(-1, descending=True).values * discount).sum(-1)
    return found / ideal


def average_precision(scores: Lists, relevance: Lists, mask: Mask = None) -> PerList:
    """The mean over the relevant documents (relevance > 0) of the precision at the place of each; MAP is its mean.

    Tied documents all have the last of their places.

    Args:
        scores, relevance, mask: as for `ndcg`, with its errors and NaN.

    Source: Manning, Raghavan & Schütze (2008), "Introduction to information retrieval", section 8.4.

    >>> average_precision(torch.tensor([0.9, 0.8, 0.1]), torch.tensor([1, 0, 2]))
    tensor(0.8333, dtype=torch.float64)
    """
    keys, relevance = _checked(scores, relevance, mask)
    relevant = relevance > 0
    among = _places(keys.masked_fill(~relevant, torch.inf), keys)[1]
    precision = among.double() / _places(keys, keys)[1]
    return torch.where(relevant, precision, 0.0).sum(-1) / relevant.sum(-1)


def reciprocal_rank(scores: Lists, relevance: Lists, mask: Mask = None) -> PerList:
    """One over the place of the first relevant document (relevance > 0); MRR is its mean.

    Tied documents all have the last of their places.

    Args:
        scores, relevance, mask: as for `ndcg`, with its errors and NaN.

    Source: Voorhees (1999), "The TREC-8 question answering track report".

    >>> reciprocal_rank(torch.tensor([0.9, 0.8, 0.1]), torch.tensor([0, 0, 1]))
    tensor(0.3333, dtype=torch.float64)
    """
    keys, relevance = _checked(scores, relevance, mask)
    relevant = relevance > 0
    best = torch.where(relevant, 1 / _places(keys, keys)[1].double(), 0.0).amax(-1)
    return torch.where(relevant.any(-1), best, torch.nan)


def _checked(scores: Tensor, relevance: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """What sorts documents in ascending order, infinite in padding, and their relevance, 0 there."""
    check_alike(scores=scores, relevance=relevance)
    check_alike(scores=scores, mask=scores if mask is None else mask)
    counted = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    keys = torch.where(counted, -scores.detach().double(), torch.inf)
    relevance = torch.where(counted, relevance.detach().double(), 0.0)
    if not bool(keys[counted].isfinite().all()):
        raise ValueError("scores must be finite where the mask is true")
    if not bool((relevance >= 0).all() & relevance.isfinite().all()):
        raise ValueError("relevance must be finite and at least 0 where the mask is true")
    return keys, relevance


def _places(among: Tensor, keys: Tensor) -> tuple[Int64[Tensor, "*batch n"], Int64[Tensor, "*batch n"]]:
    """How many are before each key, and how many are before it or tied with it."""
    ordered, keys = among.sort(-1).values, keys.contiguous()
    return torch.searchsorted(ordered, keys), torch.searchsorted(ordered, keys, right=True)

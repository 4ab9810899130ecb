"""Infinite values and NaN, for the methods that have no kernel of their own: what is finite is computed without them.

−inf and +inf are hard: they take the first and the last positions, equal ones share theirs, and none has a gradient.
A row with a NaN is NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from combdiff.soft.arguments import Mask, Matrices, Values
from combdiff.soft.transforms import concrete


class Ends(NamedTuple):
    """The entries of each row that count and are not finite."""

    first: Bool[Tensor, "rows n"]  # −inf, or +inf where the largest comes first
    last: Bool[Tensor, "rows n"]
    middle: Int[Tensor, "rows 1"]  # number of finite entries that count
    has_nan: Bool[Tensor, "rows 1"]  # a NaN counts

    @property
    def before(self) -> Int[Tensor, "rows 1"]:
        """How many positions the first ones take."""
        return self.first.sum(-1, keepdim=True)

    @property
    def after(self) -> Int[Tensor, "rows 1"]:
        """How many positions the last ones take."""
        return self.last.sum(-1, keepdim=True)

    def place_ranks(self, ranks: Values) -> Values:
        """The ranks of all, given those of the finite entries among themselves, and 0 elsewhere."""
        behind = self.before + self.middle
        ranks = torch.where(ranks > 0, ranks + self.before, ranks)
        ranks = torch.where(self.first, 0.5 * (self.before + 1), ranks)
        ranks = torch.where(self.last, behind + 0.5 * (self.after + 1), ranks)
        return torch.where(self.has_nan, torch.nan, ranks)

    def place_values(self, ordered: Values, descending: bool) -> Values:
        """The sorted values of all, given those of the finite entries in the first positions."""
        place = torch.arange(ordered.shape[-1], device=ordered.device)
        return self.fill_values(ordered.gather(-1, (place - self.before).clamp(min=0)), descending)

    def fill_values(self, ordered: Values, descending: bool) -> Values:
        """As `place_values`, where the finite entries are in their positions already."""
        place = torch.arange(ordered.shape[-1], device=ordered.device)
        behind = self.before + self.middle
        end = -torch.inf if descending else torch.inf
        ordered = torch.where(place < self.before, -end, ordered)
        ordered = torch.where(place >= behind, torch.where(place < behind + self.after, end, 0.0), ordered)
        return torch.where(self.has_nan, torch.nan, ordered)

    def place_matrix(self, matrix: Matrices) -> Matrices:
        """The permutation matrix of all, given that of the finite entries in the first rows."""
        place = torch.arange(matrix.shape[-1], device=matrix.device)
        behind = self.before + self.middle
        rows = (place - self.before).clamp(min=0)[..., None].expand_as(matrix)
        front, back = place < self.before, (place >= behind) & (place < behind + self.after)
        middle = (place >= self.before) & (place < behind)
        whole = torch.where(middle[..., None], matrix.gather(-2, rows), 0.0)
        for at, entries, count in ((front, self.first, self.before), (back, self.last, self.after)):
            share = (1.0 / count.clamp(min=1).to(matrix.dtype))[..., None]
            whole = torch.where(at[..., :, None] & entries[..., None, :], share, whole)
        return torch.where(self.has_nan[..., None], torch.nan, whole)

    def place_shares(self, shares: Values, k: int | Tensor) -> Values:
        """The shares of a place among the first k of all, given those of the finite entries (see `left`)."""
        before, after = self.before.clamp(min=1).to(shares.dtype), self.after.clamp(min=1).to(shares.dtype)
        shares = torch.where(self.first, (k / before).clamp(max=1.0), shares)
        shares = torch.where(self.last, ((k - self.before - self.middle) / after).clamp(0.0, 1.0), shares)
        return torch.where(self.has_nan, torch.nan, shares)

    def left(self, k: int | Tensor) -> Tensor:
        """The places among the first k that the first ones leave."""
        return (k - self.before).clamp(min=0)


def without_ends(x: Values, mask: Mask, descending: bool) -> tuple[Values, Mask, Ends | None]:
    """The values with 0 for what does not count or is not finite, a mask of the others, and what was taken out.

    Where all values can be seen to be finite and to count, they come back as they are.
    """
    finite = x.isfinite()
    if concrete(x) and bool(finite.all()):
        return (x if mask is None else torch.where(mask, x, 0.0)), mask, None
    counts = torch.ones_like(finite) if mask is None else mask
    inside = counts & finite
    low, high = counts & (x == -torch.inf), counts & (x == torch.inf)
    first, last = (high, low) if descending else (low, high)
    has_nan = (counts & x.isnan()).any(-1, keepdim=True)
    return torch.where(inside, x, 0.0), inside, Ends(first, last, inside.sum(-1, keepdim=True), has_nan)

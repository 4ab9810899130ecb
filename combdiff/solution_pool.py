"""A pool of feasible solutions, each of which is known to belong to an instance."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from combdiff import _bridge
from combdiff.oracle import Costs, OnFailure, Oracle
from combdiff_solvers.instances import instance_key
from combdiff_solvers.pools.cached import GOLDEN as GOLDEN
from combdiff_solvers.pools.cached import SolutionPool as OneSet
from combdiff_solvers.protocol import Instances, Sets, Solver, as_instances


@dataclass
class Candidates:
    """The solutions that the pool has for the rows of a batch.

    Attributes:
        y: (k, n), where all rows have one feasible set; else (b, k, n).
        own: h(y) of each, to be minimised, (k) or (b, k); None where the model has no h.
        counted: (b, k), False where a row has fewer than k solutions; None where each has k.
    """

    y: Float[Tensor, "*own k n"]
    own: Float[Tensor, "*own k"] | None = None
    counted: Bool[Tensor, "b k"] | None = None

    def values(self, costs: Costs) -> Float[Tensor, "b k"]:
        """⟨c, y⟩ + h(y) of each; inf where there is none."""
        found = costs @ self.y.T if self.y.ndim == 2 else torch.einsum("bn,bkn->bk", costs, self.y)
        if self.own is not None:
            found = found + self.own
        return found if self.counted is None else found.masked_fill(~self.counted, torch.inf)

    def take(self, index: Tensor) -> Costs:
        """One solution of each row, by its number, (b)."""
        return self.y[index] if self.y.ndim == 2 else self.y[torch.arange(len(index), device=index.device), index]

    def take_own(self, index: Tensor) -> Tensor:
        """The h of each, (b)."""
        assert self.own is not None
        own = self.own.expand(len(index), -1) if self.own.ndim == 1 else self.own
        return own.gather(1, index.unsqueeze(1)).squeeze(1)

    @cached_property
    def counts(self) -> Tensor | int:
        """How many solutions each row has, (b, 1) or one number."""
        return self.y.shape[-2] if self.counted is None else self.counted.sum(1, keepdim=True).clamp(min=1)

    @cached_property
    def mean(self) -> Float[Tensor, "*own n"]:
        """The mean solution, (n) or (b, n)."""
        return self.y.sum(-2) / self.counts

    @cached_property
    def mean_own(self) -> Tensor | float:
        """The mean h."""
        return 0.0 if self.own is None else (self.own / self.counts).sum(-1)


class SolutionPool:
    """Different feasible solutions, at most `size` for each instance: what contrastive losses choose from.

    A solution belongs to the instance it was added with, and is offered to rows of that instance alone: a path of
    another start is no path here. Without instances all rows share one feasible set, and one pool. Losses that
    are given the same pool share it, and its solver.

    Args:
        solver: what the solutions are of; or a layer, whose oracle is shared.
        size: how many to keep for each instance; the latest.
        on_failure: "raise" or "mask", for the losses that use the pool.

    Raises:
        TypeError, ValueError: as `Oracle`, and for a size below 1.

    Source: Mulamba et al. (2021), "Contrastive losses and solution caching for predict-and-optimize", section 4.

    >>> from combdiff.solvers import TopK
    >>> pool = SolutionPool(TopK(3))
    >>> y = pool.solve(torch.tensor([[3.0, 1.0, 2.0], [5.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    >>> len(pool), pool.solutions()
    (2, tensor([[1., 0., 0.],
            [0., 0., 1.]], dtype=torch.float64))
    """

    def __init__(self, solver: Solver | nn.Module, size: int = 1000, on_failure: OnFailure = "raise") -> None:
        if size < 1:
            raise ValueError(f"size={size} must be at least 1")
        self.oracle, self.size = Oracle.of(solver, on_failure), size
        self._sets: dict[Hashable, tuple[OneSet, Any]] = {}
        self._made: dict[Any, Candidates] = {}

    def __len__(self) -> int:
        return sum(len(one.y) for one, _ in self._sets.values())

    def add(self, y: Float[Tensor, "*dims"], instances: Instances | None = None) -> None:
        """Keep solutions that are not there yet.

        Args:
            y: (*batch, *solver.shape), feasible for the instance of their row (which is not checked); rows that hold
                a NaN, which have no solution, are left out.
            instances: the feasible set of each row, as the losses will be given them.

        Raises:
            TypeError: for a y that is no tensor of floats.
            ValueError: for another shape, or another number of instances than rows.
        """
        if not isinstance(y, Tensor) or not y.is_floating_point():
            raise TypeError(f"y is a {type(y).__name__}, but a pool takes a torch.Tensor of floats")
        shape = self.oracle.solver.shape
        if y.ndim < len(shape) or tuple(y.shape[y.ndim - len(shape) :]) != shape:
            raise ValueError(f"y has shape {tuple(y.shape)}, but needs (*batch, {', '.join(map(str, shape))})")
        rows = _bridge.to_rows(y.reshape(-1, prod(shape)))
        sets = as_instances(instances, len(rows))
        shared = instance_key(None)
        for number, row in enumerate(rows):
            if (row == row).all():
                instance = None if sets is None else sets[number]
                key = shared if sets is None else instance_key(instance)
                if key not in self._sets:
                    self._sets[key] = OneSet(self.size), instance
                self._sets[key][0].add(row.copy(), 0.0)
        self._made.clear()

    def solve(self, theta: Float[Tensor, "*dims"], instances: Instances | None = None) -> Float[Tensor, "*dims"]:
        """Add the best solutions for some θ, such as the true costs, and return them; NaN in a row without one.

        Raises:
            TypeError, ValueError, SolverError: as a layer's forward.
        """
        costs, sets = self.oracle.costs(theta).detach(), as_instances(instances)
        answer = self.oracle.solve(costs, sets)
        self.oracle.record(answer.report, theta)
        y = answer.y
        if answer.report.failed is not None:
            y = y.masked_fill(answer.report.failed.to(y.device).unsqueeze(-1), torch.nan)
        y = y.reshape(theta.shape)
        self.add(y, sets)
        return y.to(theta.dtype)

    def solutions(self, instance: Any = None) -> Float[Tensor, k * shape]:
        """What is held for an instance (for all rows, if None), the oldest first, in float64; none where none is."""
        shape = self.oracle.solver.shape
        like = torch.empty(0, dtype=torch.float64)
        held = self._sets.get(instance_key(instance))
        if held is None:
            return torch.empty(0, *shape, dtype=torch.float64)
        y = held[0].y
        return _bridge.to_tensor(y, like, (len(y), *shape))

    def candidates(self, like: Costs, instances: Sets, needed: Tensor | None = None) -> Candidates:
        """What the pool has for each row, in the dtype and on the device of the rows `like`.

        Args:
            needed: (b), False for rows that may have none.

        Raises:
            ValueError: for a row for which the pool holds nothing.
        """
        if instances is None:
            return self._held(instance_key(None), like, 0)
        keys = [instance_key(instances[row]) for row in range(len(like))]
        skip = None if needed is None else (~needed).tolist()
        held = [
            None if skip is not None and skip[row] and key not in self._sets else self._held(key, like, row)
            for row, key in enumerate(keys)
        ]
        most = max((len(one.y) for one in held if one is not None), default=1)
        y = like.new_zeros(len(like), most, like.shape[-1])
        counted = torch.zeros(len(like), most, dtype=torch.bool, device=like.device)
        own = None if all(one is None or one.own is None for one in held) else like.new_zeros(len(like), most)
        for row, one in enumerate(held):
            if one is None:
                counted[row, 0] = True  # a zero, so that nothing is infinite in a row that counts nothing
            else:
                y[row, : len(one.y)], counted[row, : len(one.y)] = one.y, True
                if own is not None and one.own is not None:
                    own[row, : len(one.y)] = one.own
        return Candidates(y, own, counted)

    def _held(self, key: Hashable, like: Tensor, row: int) -> Candidates:
        made = self._made.get((key, like.dtype, like.device))
        if made is None:
            if key not in self._sets:
                known = (
                    "no solution at all" if not self._sets else f"solutions of {len(self._sets)} other instances only"
                )
                raise ValueError(
                    f"the pool has no feasible solution for row {row}: it holds {known}. Fill it first, with the "
                    "same instances: pool.solve(c_true, instances) or pool.add(y, instances)"
                )
            one, instance = self._sets[key]
            y = _bridge.to_tensor(one.y, like, one.y.shape)
            own = self.oracle.own_term(y, None if instance is None else [instance] * len(y))
            made = self._made[key, like.dtype, like.device] = Candidates(y, own)
        return made

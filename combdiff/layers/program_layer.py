"""The base of layers over programs whose constraints are inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from combdiff import _bridge
from combdiff.needs import Needs
from combdiff.oracle import Answer, Costs, OnFailure, Oracle, Report, Stats
from combdiff_solvers.protocol import Solver


class ProgramLayer(nn.Module):
    """A solver whose instances are mappings of "A" and "b" (and "lower", "upper"), as a layer of these tensors.

    Args:
        solver: with an attribute `bounds`, the box of its variables (`combdiff.solvers.MixedIntegerPrograms`).
        on_failure: "raise" or "mask": rows without a solution are NaN in y and have no gradient.

    Attributes:
        oracle: the `Oracle`; `stats` counts its solves.
        last: a `Report` on the rows of the last call.

    Raises:
        TypeError: for anything but a solver with bounds.
    """

    needs = Needs(no_potential="its gradient is that of its constraints")
    degree = 0
    AXES: ClassVar = {"A": ("m", "n"), "b": ("m",), "lower": ("n",), "upper": ("n",)}

    def __init__(self, solver: Solver, on_failure: OnFailure) -> None:
        super().__init__()
        self.oracle = Oracle(solver, on_failure)
        bounds: Any = getattr(solver, "bounds", None)
        if bounds is None:
            raise TypeError(f"a {type(solver).__name__} has no bounds: use combdiff.solvers.MixedIntegerPrograms")
        self.lower, self.upper = (torch.as_tensor(end, dtype=torch.float64) for end in bounds)

    @property
    def solver(self) -> Solver:
        return self.oracle.solver

    @property
    def stats(self) -> Stats:
        return self.oracle.stats

    @property
    def last(self) -> Report | None:
        return self.oracle.last

    def solve(self, costs: Costs, theta: Float[Tensor, "*dims"], given: Mapping[str, Tensor]) -> tuple[Answer, Tensor]:
        """The answers, and costs and what was given side by side in float64, (b, p), differentiable.

        Raises:
            TypeError, ValueError: for another kind or shape, or what is not finite.
        """
        rows = {name: self._rows(name, part, theta) for name, part in given.items()}
        if rows["A"].shape[1:] != (rows["b"].shape[1], theta.shape[-1]) or not rows["b"].shape[1]:
            raise ValueError(
                f"A has shape {tuple(given['A'].shape)} and b {tuple(given['b'].shape)}, but must have "
                f"(..., m, {theta.shape[-1]}) and (..., m), m ≥ 1"
            )
        # in float64 whatever θ is, or continuous solutions would miss their constraints
        answer = self.oracle.solve(
            costs.detach().double(), {name: part.detach().double() for name, part in rows.items()}
        )
        parts = [part.flatten(1).to(costs.device, torch.float64) for part in (costs, *rows.values())]
        return answer, torch.cat(parts, 1)

    def finish(
        self, y: Float[Tensor, "b n"], failed: Bool[Tensor, " b"] | None, theta: Float[Tensor, "*dims"]
    ) -> Float[Tensor, "*dims"]:
        """y in the shape and dtype of θ, NaN in rows that failed."""
        if failed is not None and bool(failed.any()):
            y = y.masked_fill(failed.to(y.device).unsqueeze(-1), torch.nan)
        return y.reshape(theta.shape).to(theta.dtype)

    def _rows(self, name: str, part: Tensor, theta: Tensor) -> Tensor:
        """One for each row, be it given so or once for all."""
        axes, batch = self.AXES[name], theta.shape[:-1]
        if not isinstance(part, Tensor) or not part.is_floating_point():
            raise TypeError(f"{name} must be a tensor of floats, as theta is")
        bad = (
            _bridge.not_finite(part) if name in ("A", "b") else _bridge.not_finite(part.nan_to_num(torch.nan, 0.0, 0.0))
        )
        if bad is not None:
            raise ValueError(f"{name}{bad.nonzero()[0].tolist()} is not finite: leave such a constraint out")
        shared = part.ndim == len(axes)
        if not shared and (part.ndim != len(axes) + len(batch) or part.shape[: len(batch)] != batch):
            shape = ", ".join(axes)
            raise ValueError(
                f"{name} has shape {tuple(part.shape)}, but theta {tuple(theta.shape)} needs (*batch, {shape}), or "
                f"({shape}) for all rows"
            )
        own = part.shape[-len(axes) :]
        return (part.expand(*batch, *own) if shared else part).reshape(batch.numel(), *own)

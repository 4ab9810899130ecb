"""The constraints that bind at a solution."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Bound = float | Float[Tensor, " n"] | None
SLACK = 1e-6  # by so much, relative to the size of its terms, a binding constraint may be missed


def binding_normals(
    y: Float[Tensor, "*batch n"],
    *,
    A_ub: Float[Tensor, "rows n"] | None = None,
    b_ub: Float[Tensor, " rows"] | None = None,
    A_eq: Float[Tensor, "equations n"] | None = None,
    lower: float | Float[Tensor, " n"] | None = 0.0,
    upper: float | Float[Tensor, " n"] | None = None,
) -> Float[Tensor, "*batch m n"]:
    """The outward normals of the constraints A_ub y ≤ b_ub, A_eq y = b_eq, lower ≤ y ≤ upper that bind at each y.

    Their cone is the normal cone of this polyhedron at y: y minimises ⟨c, ·⟩ over it if and only if −c is in the cone.
    Of a relaxation of an integer program it is a part of the cone of the program itself.

    Args:
        y: (*batch, n), solutions, which must be feasible.
        A_ub, b_ub: inequalities, shared by all rows.
        A_eq: equations, which bind everywhere: each gives two normals, ±a.
        lower, upper: bounds of the variables; None for none. A bound that the others imply may be left out.

    Returns:
        (*batch, m, n), as many rows as any y needs; the others are zero.

    Raises:
        ValueError: for a y that violates an inequality or a bound.

    Source: Tang & Khalil (2024), "CaVE: a cone-aligned approach for fast predict-then-optimize with binary linear
    programs", section 3.

    >>> binding_normals(torch.tensor([1.0, 0.0]), A_ub=torch.tensor([[1.0, 1.0]]), b_ub=torch.tensor([1.0]))
    tensor([[ 1.,  1.],
            [-0., -1.]])
    """
    n = y.shape[-1]
    flat = y.reshape(-1, n)
    rows, _, binds = inequalities(flat, A_ub, b_ub, lower, upper)
    most = int(binds.sum(1).max()) if len(flat) and binds.shape[1] else 0
    order = (~binds).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]
    found = rows[order] * binds.gather(1, order).unsqueeze(-1)
    if A_eq is not None:
        both = torch.cat([A_eq, -A_eq]).to(y).expand(len(flat), -1, -1)
        found = torch.cat([both, found], 1)
    return found.reshape(*y.shape[:-1], *found.shape[1:])


class Inequalities(NamedTuple):
    """⟨a, y⟩ ≤ b, rows of A_ub and bounds alike: what is left of each at each y, and whether it binds."""

    normals: Float[Tensor, "m n"]
    slack: Float[Tensor, "b m"]
    binds: Bool[Tensor, "b m"]


def inequalities(
    flat: Float[Tensor, "b n"],
    A_ub: Float[Tensor, "rows n"] | None,
    b_ub: Float[Tensor, " rows"] | None,
    lower: Bound,
    upper: Bound,
) -> Inequalities:
    """The constraints of `binding_normals` but for equations; infinite bounds are none.

    Raises:
        ValueError: for a y that violates one.
    """
    eye = torch.eye(flat.shape[1], dtype=flat.dtype, device=flat.device)
    normals, slacks, sizes = [], [], []
    if A_ub is not None:
        if b_ub is None:
            raise ValueError("A_ub without b_ub: give the right-hand sides")
        normals.append(A_ub.to(flat))
        slacks.append(b_ub.to(flat) - flat @ A_ub.to(flat).T)
        sizes.append(flat.abs() @ A_ub.to(flat).abs().T + b_ub.to(flat).abs())
    for bound, sign in ((lower, -1.0), (upper, 1.0)):
        if bound is not None:
            normals.append(sign * eye)
            slacks.append(sign * (torch.as_tensor(bound).to(flat) - flat))
            sizes.append(flat.abs() + torch.as_tensor(bound).to(flat).abs())
    if not normals:
        slack, rows = flat.new_zeros(len(flat), 0), flat.new_zeros(0, flat.shape[1])
        size = slack
    else:
        rows, slack, size = torch.cat(normals), torch.cat(slacks, 1), torch.cat(sizes, 1)
    broken = slack < -SLACK * (1.0 + size)
    if broken.any():
        row, constraint = broken.nonzero()[0].tolist()
        raise ValueError(
            f"y of row {row} violates constraint {constraint} (A_ub, then lower, then upper) by "
            f"{-slack[row, constraint].item():.3g}: it is infeasible"
        )
    binds = (slack <= SLACK * (1.0 + size)) & slack.isfinite()  # an infinite bound is none
    return Inequalities(rows, slack, binds)

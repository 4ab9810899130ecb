"""The constraints of a solver's linear model."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from combdiff_solvers.protocol import Solver


def constraints_of(solver: Solver) -> dict[str, Tensor]:
    """The rows and bounds of a `MixedInteger`, or a linear model made by `wrap`, for `binding_normals` and `by_pivots`.

    They are of the LP relaxation where variables are integer, in float64.

    Returns:
        A_ub, b_ub (where the model has inequalities), A_eq (where it has equations), lower and upper.

    Raises:
        TypeError: for a solver without a linear model.
        ValueError: where θ does not price every variable (what is left of a vertex need be none), or the model is not
            linear.

    >>> from combdiff.solvers import MixedInteger
    >>> constraints_of(MixedInteger([[3, 4]], 6, bounds=(0, 1)))["A_ub"]
    tensor([[3., 4.]], dtype=torch.float64)
    """
    found = getattr(solver, "linear_model", None)
    if found is None:
        raise TypeError(f"a {type(solver).__name__} has no linear model: give its constraints as tensors")
    model, priced = found
    if model.rest is not None or len(priced) != len(model.c):
        why = "is not linear" if model.rest is not None else f"has variables that theta does not price ({len(model.c)})"
        raise ValueError(f"the model {why}: give the constraints of the priced variables as tensors")
    A, equal = model.A.toarray()[:, priced], model.row_lower == model.row_upper
    sides = [(A, model.row_upper), (-A, -model.row_lower)]
    above = [(rows[held], side[held]) for rows, side in sides for held in [~equal & np.isfinite(side)]]
    parts = {
        "A_ub": np.concatenate([rows for rows, _ in above]),
        "b_ub": np.concatenate([side for _, side in above]),
        "A_eq": A[equal],
    }
    ends = {"lower": model.lower[priced], "upper": model.upper[priced]}
    return {name: torch.as_tensor(part) for name, part in {**parts, **ends}.items() if len(part)}

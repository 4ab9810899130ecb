"""Which back end solves a problem, and problems as CP-SAT models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

from combdiff_solvers.limits import LimitOptions, Limits
from combdiff_solvers.protocol import Sense, Solver


def check_backend(backend: str, choices: Any, limits: LimitOptions, unlimited: tuple[str, ...]) -> None:
    """Check what a user chose.

    Args:
        backend: the choice.
        choices: the `Literal` of what there is.
        limits: what else the user gave.
        unlimited: the back ends that look at no clock and know no gap.

    Raises:
        ValueError: for an unknown back end, limits that make no sense, or any for one that cannot obey them.
    """
    if backend not in get_args(choices):
        raise ValueError(f"backend={backend!r} is none of {', '.join(map(repr, get_args(choices)))}")
    Limits(**limits)
    if limits and backend in unlimited:
        raise ValueError(f"backend={backend!r} cannot obey {', '.join(limits)}: leave that out, or use another backend")


def solver_on_cp_sat(build: Callable[[Any], tuple[Any, list[Any]]], sense: Sense, limits: LimitOptions) -> Solver:
    """A `CpSatModel`; `build` is given OR-Tools' module `cp_model`, and returns a model and what θ prices in it.

    Raises:
        ImportError: without OR-Tools; the error names the extra.
    """
    try:
        from ortools.sat.python import cp_model

        from combdiff_solvers.models.cp_sat import wrap_cp_sat
    except ImportError as missing:
        raise ImportError(f"backend='cp_sat' needs OR-Tools: pip install 'combdiff[ortools]' ({missing})") from missing
    model, priced = build(cp_model)
    return wrap_cp_sat(model, priced, sense=sense, **limits)

"""The back ends of OR-Tools MathOpt, what each of them takes, and how it is set up."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from ortools.math_opt import parameters_pb2 as pb

from combdiff_solvers.limits import Limits
from combdiff_solvers.models.linear_model import Terms


class Backend(NamedTuple):
    """A MathOpt solver and what it is good for."""

    kind: int
    solves: str
    takes: Terms
    settings: Mapping[str, Any]
    exact: bool = True


_SERIAL = {"string_options": {"parallel": "off"}}
BACKENDS = {
    "glop": Backend(pb.SOLVER_TYPE_GLOP, "LPs", Terms.NONE, {"random_seed": 1}),
    "pdlp": Backend(
        pb.SOLVER_TYPE_PDLP, "LPs and separable convex QPs", Terms.CONVEX_SQUARES, {"threads": 1}, exact=False
    ),
    "scip": Backend(pb.SOLVER_TYPE_GSCIP, "MIPs with quadratic terms", ~Terms.CONES, {"random_seed": 1, "threads": 1}),
    "highs": Backend(pb.SOLVER_TYPE_HIGHS, "LPs and linear MIPs", Terms.INTEGERS, {"random_seed": 1, "highs": _SERIAL}),
}


def choose_backend(terms: Terms, backend: str | None) -> str:
    """The back end, or the one for all that a model holds: GLOP for an LP, else SCIP.

    Raises:
        ValueError: for an unknown back end, or one that cannot take the model, with those that can; and for HiGHS where
            it would crash.
    """
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f"backend={backend!r} is none of {', '.join(map(repr, [*BACKENDS, 'cp_sat']))}")
    chosen = backend or ("scip" if terms else "glop")
    missing = terms & ~BACKENDS[chosen].takes
    if Terms.CONES in missing:
        raise ValueError(
            "the model has second-order cone constraints, which no back end takes: state |x| <= t as the quadratic "
            "constraint x * x <= t * t with t >= 0, for 'scip'"
        )
    if missing:
        able = " or ".join(repr(name) for name, other in BACKENDS.items() if terms in other.takes)
        raise ValueError(
            f"backend={backend!r} solves {BACKENDS[chosen].solves}, but the model has {missing.in_words}: use {able}"
        )
    if chosen == "highs" and shadowed_highs():
        raise ValueError(
            "backend='highs' would crash here: PuLP loaded highspy's HiGHS for the whole process before OR-Tools was "
            "loaded. Import ortools.math_opt.python.mathopt before pulp, or leave backend out"
        )
    return chosen


def shadowed_highs() -> bool:
    """Whether the HiGHS inside OR-Tools would call functions of another version.

    PuLP 3.3 opens highspy's extension with RTLD_GLOBAL, whose functions then stand in for those of every HiGHS that is
    loaded later. Seen with OR-Tools 9.15 and highspy 1.16: a segmentation fault in HighsLp::clear.
    """
    if sys.platform != "linux" or "pulp" not in sys.modules:
        return False
    order = list(sys.modules)
    loaded = next((place for place, name in enumerate(order) if name.startswith("ortools.")), len(order))
    return order.index("pulp") < loaded and hasattr(ctypes.CDLL(None), "_ZN7HighsLp5clearEv")


def settings_of(backend: str, limits: Limits, parameters: bytes | None = None) -> pb.SolveParametersProto:
    """A back end's settings; `parameters` is a serialized `SolveParametersProto` that rules over the defaults."""
    settings = pb.SolveParametersProto(**BACKENDS[backend].settings)
    if Terms.INTEGERS in BACKENDS[backend].takes:
        settings.relative_gap_tolerance = limits.relative_gap  # HiGHS would stop at 1e-4
        settings.absolute_gap_tolerance = limits.absolute_gap
    if parameters is not None:
        settings.MergeFrom(pb.SolveParametersProto.FromString(parameters))
    return settings

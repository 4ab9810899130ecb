"""The back ends of OR-Tools MathOpt, what each of them takes, and how it is set up."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ortools.math_opt import model_pb2, parameters_pb2

from combdiff_solvers.limits import Limits
from combdiff_solvers.models.model_proto import Terms, terms_of


class Backend(NamedTuple):
    """A MathOpt solver and what it is good for."""

    kind: int
    solves: str
    takes: Terms
    set_up: Callable[[parameters_pb2.SolveParametersProto, Limits], None]
    exact: bool = True


def _set_gaps(parameters: parameters_pb2.SolveParametersProto, limits: Limits) -> None:
    parameters.random_seed = 1
    parameters.relative_gap_tolerance = limits.relative_gap  # HiGHS would stop at 1e-4
    parameters.absolute_gap_tolerance = limits.absolute_gap


def _set_up_scip(parameters: parameters_pb2.SolveParametersProto, limits: Limits) -> None:
    _set_gaps(parameters, limits)
    parameters.threads = 1


def _set_up_highs(parameters: parameters_pb2.SolveParametersProto, limits: Limits) -> None:
    _set_gaps(parameters, limits)
    parameters.highs.string_options["parallel"] = "off"


def _set_up_glop(parameters: parameters_pb2.SolveParametersProto, limits: Limits) -> None:
    parameters.random_seed = 1


def _set_up_pdlp(parameters: parameters_pb2.SolveParametersProto, limits: Limits) -> None:
    parameters.threads = 1


BACKENDS = {
    "glop": Backend(parameters_pb2.SOLVER_TYPE_GLOP, "LPs", Terms.NONE, _set_up_glop),
    "pdlp": Backend(
        parameters_pb2.SOLVER_TYPE_PDLP, "LPs and separable convex QPs", Terms.CONVEX_SQUARES, _set_up_pdlp, exact=False
    ),
    "scip": Backend(parameters_pb2.SOLVER_TYPE_GSCIP, "MIPs with quadratic terms", ~Terms.CONES, _set_up_scip),
    "highs": Backend(parameters_pb2.SOLVER_TYPE_HIGHS, "LPs and linear MIPs", Terms.INTEGERS, _set_up_highs),
}


def choose_backend(proto: model_pb2.ModelProto, backend: str | None) -> str:
    """The back end, or the one for all that the model holds: GLOP for an LP, else SCIP.

    Raises:
        ValueError: for an unknown back end, or one that cannot take the model, with those that can.
    """
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f"backend={backend!r} is none of {', '.join(map(repr, BACKENDS))}")
    terms = terms_of(proto)
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
    return chosen


def settings_of(backend: str, limits: Limits, parameters: bytes | None = None) -> parameters_pb2.SolveParametersProto:
    """A back end's settings; `parameters` is a serialized `SolveParametersProto` that rules over the defaults."""
    settings = parameters_pb2.SolveParametersProto()
    BACKENDS[backend].set_up(settings, limits)
    if parameters is not None:
        settings.MergeFrom(parameters_pb2.SolveParametersProto.FromString(parameters))
    return settings

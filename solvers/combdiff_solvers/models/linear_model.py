"""Linear and mixed-integer models as arrays: what every reader and front end makes, and every engine takes."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from enum import Flag, auto
from functools import cached_property

import numpy as np
import scipy.sparse
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

TermRows = Float64[ndarray, "b t"]  # one entry for each term of an objective


class Terms(Flag):
    """What a model may hold beside linear terms in continuous variables; `in_words` names it.

    >>> (Terms.INTEGERS | Terms.SOS).in_words
    'integer variables and SOS constraints'
    """

    NONE = 0
    INTEGERS = auto()
    CONVEX_SQUARES = auto()
    QUADRATIC_OBJECTIVE = auto()
    QUADRATIC_CONSTRAINTS = auto()
    CONES = auto()
    SOS = auto()
    INDICATORS = auto()
    QUADRATIC = CONVEX_SQUARES | QUADRATIC_OBJECTIVE | QUADRATIC_CONSTRAINTS

    @property
    def in_words(self) -> str:
        """The names, one after the other."""
        return " and ".join(_WORDS[term] for term in self)


_WORDS = {
    Terms.INTEGERS: "integer variables",
    Terms.CONVEX_SQUARES: "a quadratic objective (a sum of convex squares)",
    Terms.QUADRATIC_OBJECTIVE: "a quadratic objective (no sum of convex squares)",
    Terms.QUADRATIC_CONSTRAINTS: "quadratic constraints",
    Terms.CONES: "second-order cone constraints",
    Terms.SOS: "SOS constraints",
    Terms.INDICATORS: "indicator constraints",
}


@dataclass(frozen=True, eq=False)
class Rest:
    """What a model holds that is not linear, and MathOpt alone takes.

    Args:
        proto: the whole model, as a serialized `math_opt.ModelProto`.
        terms: what it holds, but for integers.
        rows, columns, squares: of the objective's quadratic terms, Σ squares · x[rows] · x[columns].
        crossed: the quadratic constraint with bounds that no number is between.
    """

    proto: bytes
    terms: Terms
    rows: Int64[ndarray, " q"]
    columns: Int64[ndarray, " q"]
    squares: Float64[ndarray, " q"]
    crossed: str | None


@dataclass(frozen=True, eq=False)
class LinearModel:
    """min or max ⟨c, x⟩ + offset over row_lower ≤ A x ≤ row_upper, lower ≤ x ≤ upper, some x integer.

    `rest` holds what is not linear. Variables go by their places.

    Raises:
        ValueError: without variables, for a bound that is NaN, or an entry of A or c that is not finite.

    >>> A, boolean = scipy.sparse.csr_matrix([[3.0, 4.0]]), np.ones(2, dtype=bool)
    >>> model = LinearModel(np.ones(2), A, boolean, np.zeros(1), np.full(1, 6.0), np.zeros(2), np.ones(2), offset=2.0)
    >>> model.terms.in_words, model.h(np.array([[1.0, 0.0]]))
    ('integer variables', array([3.]))
    """

    c: Float64[ndarray, " v"]
    A: scipy.sparse.csr_matrix
    integer: Bool[ndarray, " v"]
    row_lower: Float64[ndarray, " r"]
    row_upper: Float64[ndarray, " r"]
    lower: Float64[ndarray, " v"]
    upper: Float64[ndarray, " v"]
    _: KW_ONLY
    maximize: bool = False
    offset: float = 0.0
    names: tuple[str, ...] = ()
    rest: Rest | None = None

    def __post_init__(self) -> None:
        if not len(self.c):
            raise ValueError("the model is empty: it has no variables")
        if any(np.isnan(bounds).any() for bounds in (self.lower, self.upper, self.row_lower, self.row_upper)):
            raise ValueError("a bound is NaN: use -inf or inf where there is none")
        A = scipy.sparse.csr_matrix(self.A, dtype=np.float64, copy=True)
        A.sum_duplicates()
        A.eliminate_zeros()
        if not (np.isfinite(A.data).all() and np.isfinite(self.c).all()):
            raise ValueError("the coefficients of rows and objective (A and h) must be finite everywhere")
        object.__setattr__(self, "A", A)

    @cached_property
    def terms(self) -> Terms:
        """All that the model holds beside linear terms in continuous variables."""
        held = self.rest.terms if self.rest else Terms.NONE
        return held | Terms.INTEGERS if self.integer.any() else held

    @cached_property
    def coefficients(self) -> Float64[ndarray, " t"]:
        """Of the objective's terms: the variables, then the products of two that it holds."""
        return np.append(self.c, self.rest.squares) if self.rest else self.c

    def terms_at(self, x: Float64[ndarray, "b v"]) -> TermRows:
        """The values of the objective's terms."""
        return np.hstack([x, x[:, self.rest.rows] * x[:, self.rest.columns]]) if self.rest else x

    def open_coefficients(self, fixed: Int64[ndarray, " n"]) -> Float64[ndarray, " t"]:
        """The coefficients with 0 for every term that the variables at these places determine."""
        own = np.isin(np.arange(len(self.c)), fixed)
        if self.rest:
            own = np.append(own, own[self.rest.rows] & own[self.rest.columns])
        return np.where(own, 0.0, self.coefficients)

    def h(self, x: Float64[ndarray, "b v"]) -> Float64[ndarray, " b"]:
        """The objective of each row of x."""
        return np.einsum("bt,t->b", self.terms_at(x), self.coefficients) + self.offset

    @cached_property
    def crossed(self) -> str | None:
        """What has bounds that no number is between, so that nothing can be feasible; None for nothing."""
        return (
            crossed_bounds("variable", self.lower, self.upper)
            or crossed_bounds("constraint", self.row_lower, self.row_upper)
            or (self.rest.crossed if self.rest else None)
        )


def crossed_bounds(kind: str, lower: Float64[ndarray, " k"], upper: Float64[ndarray, " k"]) -> str | None:
    """The first pair that no number is between, in words."""
    crossed = np.flatnonzero((lower > upper) | (lower == np.inf) | (upper == -np.inf))
    if not len(crossed):
        return None
    at = int(crossed[0])
    if lower[at] == upper[at]:
        return f"{kind} {at} must be {lower[at]:g}, which no number is"
    return f"{kind} {at} has lower bound {lower[at]:.6g} above its upper bound {upper[at]:.6g}"

"""What `wrap` takes, for type checkers and editors; never imported while a program runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, SupportsIndex, TypeAlias, TypeVar, Unpack, overload

from numpy import ndarray
from ortools.linear_solver import pywraplp
from ortools.linear_solver.python import model_builder
from ortools.math_opt.python import mathopt
from ortools.sat.python import cp_model
from pysat.formula import CNF, WCNF
from pyscipopt import Model as ScipModel

from combdiff_solvers.formulas.formula import Formula
from combdiff_solvers.limits import LimitOptions
from combdiff_solvers.protocol import Sense, Solver

if TYPE_CHECKING:  # a checker may be without them; an editor then completes for the others
    from cpmpy import Model as CpmpyModel
    from cvxpy import Problem
    from gurobipy import Model as GurobiModel
    from highspy import Highs
    from linopy import Model as LinopyModel
    from pulp import LpProblem
    from pyomo.environ import ConcreteModel

FilePath = str | os.PathLike[str]
OrToolsModel: TypeAlias = mathopt.Model | pywraplp.Solver | model_builder.Model
F = TypeVar("F", bound=Callable[..., Any])


class CommonOptions(LimitOptions, total=False):
    """Options of every model."""

    sense: Sense | str | None


class ModelOptions(CommonOptions, total=False):
    """Options of linear models; see `MathOptModel`."""

    backend: str | None
    warm_start: ndarray | None
    parameters: mathopt.SolveParameters | Mapping[str, Any] | None


class ScipOptions(CommonOptions, total=False):
    """Options of SCIP models; see `ScipModel`, and for a `backend` of linear ones `MathOptModel`."""

    backend: str | None


class CpSatOptions(CommonOptions, total=False):
    """Options of CP-SAT models; see `CpSatModel`."""

    warm_start: ndarray | None
    parameters: Mapping[str, Any] | None


class GurobiOptions(CommonOptions, total=False):
    """Options of Gurobi models; see `GurobiModel`, and for a `backend` of linear ones `MathOptModel`."""

    backend: str | None


class CpmpyOptions(ModelOptions, total=False):
    """Options of CPMpy models; see `wrap_cpmpy`."""

    explain: bool


class FormulaOptions(CommonOptions, total=False):
    """Options of formulas; see `SatModel`."""

    backend: str
    price: Literal["variables", "clauses"]


class FileOptions(ModelOptions, total=False):
    """Options of model and formula files."""

    price: Literal["variables", "clauses"]
    max_bytes: int
    max_tokens: int


class Wrap(Protocol):
    """`functools.singledispatch`, with the signature for each kind of model."""

    registry: Mapping[Any, Callable[..., Solver]]

    @overload
    def __call__(self, model: OrToolsModel, /, variables: Any, **options: Unpack[ModelOptions]) -> Solver: ...

    @overload
    def __call__(self, model: cp_model.CpModel, /, variables: Any, **options: Unpack[CpSatOptions]) -> Solver: ...

    @overload
    def __call__(self, model: ScipModel, /, variables: Any, **options: Unpack[ScipOptions]) -> Solver: ...

    @overload
    def __call__(
        self,
        model: ConcreteModel | LpProblem | Problem | LinopyModel | Highs,
        /,
        variables: Any,
        **options: Unpack[ModelOptions],
    ) -> Solver: ...

    @overload
    def __call__(self, model: GurobiModel, /, variables: Any, **options: Unpack[GurobiOptions]) -> Solver: ...

    @overload
    def __call__(self, model: CpmpyModel, /, variables: Any, **options: Unpack[CpmpyOptions]) -> Solver: ...

    @overload
    def __call__(
        self, model: Formula | CNF | WCNF, /, variables: Any = None, **options: Unpack[FormulaOptions]
    ) -> Solver: ...

    @overload
    def __call__(
        self, model: FilePath, /, variables: Sequence[Any] | ndarray | None = None, **options: Unpack[FileOptions]
    ) -> Solver: ...

    @overload
    def __call__(
        self,
        model: Callable[..., Any],
        /,
        shape: SupportsIndex | Iterable[SupportsIndex],
        sense: Sense | str = ...,
        batched: bool = ...,
        h: Callable[..., float] | None = ...,
    ) -> Solver: ...  # a FunctionSolver; with another type than the rest, functions of arrays would give Any

    @overload
    def __call__(self, model: Any, /, *args: Any, **options: Any) -> Solver: ...

    @overload
    def register(self, cls: type[Any]) -> Callable[[F], F]: ...

    @overload
    def register(self, cls: type[Any], func: F) -> F: ...

    def dispatch(self, cls: type[Any]) -> Callable[..., Solver]:
        """What wraps objects of a type."""
        ...

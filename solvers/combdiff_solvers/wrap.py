"""Turn what a user has into a Solver: one dispatch, open to registration."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import singledispatch, wraps
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
from numpy import ndarray

from combdiff_solvers.adapters import KNOWN_MODELS, load_adapter
from combdiff_solvers.compute.sums import row_products
from combdiff_solvers.limits import Limits
from combdiff_solvers.protocol import BatchSolver, PerRow, Row, Rows, Sense, Sets, Solutions, Solver, Status, as_shape
from combdiff_solvers.rows import Answer, failure, solve_rows

OWN = "combdiff_solvers."


if TYPE_CHECKING:
    from combdiff_solvers.wrap_overloads import Wrap


def _by_type(function: Callable[..., Solver]) -> Wrap:
    dispatching: Any = singledispatch(function)
    return dispatching


@_by_type
def wrap(model: Any, /, *args: Any, **options: Any) -> Solver:
    """Make a `Solver` of a native model or of a Python function.

    What follows the model depends on its kind; for a function see `FunctionSolver`. A third party adds a kind
    of its own with `wrap.register(ModelType)`, as with `functools.singledispatch`.

    Raises:
        TypeError: for a model of a kind that nobody registered, a function without its `shape`, or an option that a
            model of this kind does not have (with the nearest that it has).

    >>> cheapest = wrap(lambda theta: (theta == theta.min()).astype(float), shape=(3,))
    >>> cheapest.solve(np.array([[2.0, 1.0, 3.0]])).y
    array([[0., 1., 0.]])
    """
    if load_adapter(model) and wrap.dispatch(type(model)) is not wrap.dispatch(object):
        return wrap(model, *args, **options)
    if callable(model):
        if not args and "shape" not in options:
            raise TypeError(
                "wrap(function) needs the shape of one θ and one y: wrap(function, shape=(n,)), and sense=, batched= "
                "or h= where they are wanted"
            )
        _check_names(options, inspect.signature(FunctionSolver).parameters)
        return FunctionSolver(model, *args, **options)
    if isinstance(model, Solver):
        raise TypeError(f"a {type(model).__name__} is a Solver already: use it as it is")
    registered = [f"a {kind.__name__}" for kind, made in wrap.registry.items() if not made.__module__.startswith(OWN)]
    known = ", ".join([*KNOWN_MODELS, *registered])
    raise TypeError(
        f"cannot wrap a {type(model).__name__}: give a function θ ↦ y of NumPy arrays and its shape=, the path of a "
        f"model file, or one of {known}; other types are taken after combdiff.wrap.register(type, function)"
    )


def options_of(*makers: Callable[..., Any]) -> Callable[[Callable[..., Solver]], Callable[..., Solver]]:
    """For a function that `wrap` calls: it takes the keywords of these makers of Solvers beside its own.

    In the place of `limits` it takes the fields of `Limits`. Its signature shows them all, and any other name is
    refused with the nearest ones.

    >>> cheapest = options_of(FunctionSolver)(lambda shape, **options: FunctionSolver(np.sign, shape, **options))
    >>> cheapest(3, sence="max")
    Traceback (most recent call last):
    TypeError: 'sence' is no option here: did you mean 'sense'? The options are sense, batched, h
    """

    def decorate(function: Callable[..., Solver]) -> Callable[..., Solver]:
        own = [it for it in inspect.signature(function).parameters.values() if it.kind is not it.VAR_KEYWORD]
        shown = {it.name: it for it in own}
        for maker in makers:
            for name, it in inspect.signature(maker).parameters.items():
                if it.default is not it.empty:
                    shown.setdefault(name, it.replace(kind=it.KEYWORD_ONLY))
        limited = shown.pop("limits", None) is not None
        if limited:
            shown |= {name: it.replace(kind=it.KEYWORD_ONLY) for name, it in LIMITS.items()}

        @wraps(function)
        def wrapper(*args: Any, **options: Any) -> Solver:
            _check_names(options, shown)
            if limited:
                options["limits"] = Limits(**{name: options.pop(name) for name in LIMITS if name in options})
            return function(*args, **options)

        wrapper.__signature__ = inspect.Signature(list(shown.values()))  # type: ignore[attr-defined]
        return wrapper

    return decorate


LIMITS = inspect.signature(Limits).parameters


def _check_names(options: Iterable[str], parameters: Mapping[str, inspect.Parameter]) -> None:
    """Raise for an option that is no parameter."""
    known = [name for name, it in parameters.items() if it.default is not it.empty]
    for name in options:
        if name not in parameters:
            near = " or ".join(map(repr, get_close_matches(name, known, cutoff=0.5)))
            meant = f": did you mean {near}?" if near else "."
            raise TypeError(f"{name!r} is no option here{meant} The options are {', '.join(known)}")


class FunctionSolver(BatchSolver):
    """Any Python function θ ↦ y as a Solver.

    The function gets one row of θ as a float64 array of `shape` (and, if it takes a second argument, the row's
    instance) and returns y in the same shape, or None where no solution exists (INFEASIBLE). With
    `batched=True` it gets all rows at once, (b, *shape), and the sequence of instances, and returns (b, *shape).
    Instances are refused where the function takes no second argument.

    An exception becomes the status ERROR of its row, with the original message kept in `Solutions.messages`;
    a batched function that raises is called again row by row, so that only the bad rows are lost.
    The function is trusted to be optimal, deterministic and without side effects.

    A function that minimises ⟨θ, y⟩ + h(y) gives its `h`, too: `objective` and `value` then hold it.

    Args:
        function: the solver. A function defined at the top of a module can be pickled, a lambda cannot.
        shape: of one θ and one y; a number is the shape of a vector.
        sense: what the function seeks: "min" or "max" of ⟨θ, y⟩ + h(y).
        batched: whether it takes the whole batch.
        h: y ↦ float, the rest of the objective for one y of `shape` (and the row's instance, if `h` takes a second
            argument and instances are given); None for 0. A row for which it raises, or is not finite, is an ERROR.

    Raises:
        ValueError: for an empty or non-positive shape.
        TypeError: for a function or h that cannot be called.

    >>> def one_hot_argmax(theta):
    ...     return np.eye(len(theta))[theta.argmax()]
    >>> solver = FunctionSolver(one_hot_argmax, shape=(3,), sense="max")
    >>> solver.solve(np.array([[2.0, 1.0, 3.0], [5.0, 1.0, 3.0]])).y
    array([[0., 0., 1.],
           [1., 0., 0.]])
    >>> fixed_fee = FunctionSolver(one_hot_argmax, shape=(3,), sense="max", h=lambda y: -y[2])
    >>> fixed_fee.solve(np.array([[2.0, 1.0, 9.0]])).objective
    array([8.])
    """

    without_instances = "leave them out, or give the function a second argument, the instance of its row"

    def __init__(
        self,
        function: Callable[..., Any],
        shape: SupportsIndex | Iterable[SupportsIndex],
        sense: Sense | str = Sense.MIN,
        batched: bool = False,
        h: Callable[..., float] | None = None,
    ) -> None:
        for name, given in (("function", function), ("h", h)):
            if not (callable(given) or (name == "h" and given is None)):
                raise TypeError(f"{name}={given!r} must be a function")
        self.function, self.batched, self.h = function, batched, h
        self.shape, self.sense = as_shape(shape), Sense(sense)
        self.takes_instances = _takes_two(function)
        self._h_takes_instances = h is not None and _takes_two(h)

    def solve_checked(self, theta: Rows, instances: Sets) -> Solutions:
        y = self._solve_together(theta, instances)
        if y is not None and self.h is None:
            nothing = np.full(len(theta), -self.sense.sign * np.inf)  # the function may be wrong
            status = np.zeros(len(theta), dtype=np.uint8)
            return Solutions(y, row_products(theta, y), bound=nothing, status=status)

        def solve_row(row: int, seconds: float | None) -> Answer:
            found = self._solve_row(row, theta, instances) if y is None else Answer(Status.OPTIMAL, y[row])
            if found.y is None:
                return found
            try:
                own = self._own(found.y, instances, row)
            except Exception as error:
                return failure(f"h: {failure(error).message}")
            if not np.isfinite(own):
                return failure(f"h returned {own}, but must return a finite number")
            return found._replace(objective=own)

        found = solve_rows(theta, Limits().start(), solve_row, self.sense)
        return replace(found, objective=found.objective + row_products(theta, found.y))

    def value_checked(self, y: Rows, theta: Rows, instances: Sets) -> PerRow:
        """⟨θ, y⟩ + h(y) of each row; NaN where y holds NaN. An exception of h is raised."""
        found = row_products(theta, y)
        for row in np.flatnonzero(~np.isnan(y).any(axis=1)).tolist() if self.h else ():
            found[row] += self._own(y[row], instances, row)
        return found

    def _own(self, y: Row, instances: Sets, row: int) -> float:
        """h of one point."""
        if self.h is None:
            return 0.0
        point = y.reshape(self.shape).copy()
        given = (instances[row],) if instances is not None and self._h_takes_instances else ()
        return float(self.h(point, *given))

    def _solve_together(self, theta: Rows, instances: Sets) -> Rows | None:
        """y of all rows by one call of the function; None where any row has to be looked at alone."""
        if not (self.batched and len(theta)):
            return None
        try:
            answer = self._call(theta.reshape(-1, *self.shape), () if instances is None else (instances,))
            y = np.array(answer, dtype=np.float64)
        except Exception:
            return None
        return y.reshape(theta.shape) if y.shape == (len(theta), *self.shape) and np.isfinite(y).all() else None

    def _solve_row(self, row: int, theta: Rows, instances: Sets) -> Answer:
        problem = theta[row].reshape((1, *self.shape) if self.batched else self.shape)
        instance = () if instances is None else ([instances[row]] if self.batched else instances[row],)
        answer = self._call(problem, instance)
        if answer is None:
            return Answer(Status.INFEASIBLE)
        found = np.array(answer, dtype=np.float64)  # the function may return the same array again
        if found.shape != problem.shape:
            return failure(f"the function returned shape {found.shape}, but shape {problem.shape} was expected")
        if not np.isfinite(found).all():
            return failure("the function returned NaN or inf; return None where no solution exists")
        return Answer(Status.OPTIMAL, found.reshape(-1))

    def _call(self, problem: ndarray, instance: tuple[Any, ...]) -> Any:
        return self.function(problem.copy(), *instance)  # the function may write into its argument


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether a function can be called with two arguments; true where nobody can tell."""
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        pass
    return True

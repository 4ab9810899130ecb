"""Random mixed-integer models written in seven libraries: their own optimum against `combdiff.wrap`, and its price.

    python -m experiments.benchmarks.front_ends [--models 200] [--libraries pulp pyomo ...]

- Each library writes the same random models, solves them for a random θ by a solver of its own, to a gap of 0, and
  `wrap` solves the model that it is given. The two agree where both optima differ by less than 1e-6 of them, or neither
  finds a point.
- A warm re-solve through a front end against one of the same model given as arrays to `MixedInteger` (SCIP; CP-SAT for
  CPMpy), least of interleaved rounds. Bar: 1.2 ×. Gurobi's engine is raced against a loop of setAttr and optimize, too.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy import ndarray

from combdiff.solvers import MixedInteger, wrap
from experiments.benchmarks.timing import race

PRICED = 4  # the first variables of each model


@dataclass(frozen=True)
class Program:
    """max or min ⟨c, x⟩ + offset over least ≤ A x ≤ most, lower ≤ x ≤ upper, some x integer."""

    c: ndarray
    A: ndarray
    least: ndarray
    most: ndarray
    lower: ndarray
    upper: ndarray
    integer: ndarray
    maximize: bool
    offset: float

    @classmethod
    def random(cls, rng: np.random.Generator, whole: bool = False, size: int = 7, rows: int = 4) -> Program:
        """One that most often is feasible; `whole` has integers only."""
        integer = np.ones(size, dtype=bool) if whole else rng.random(size) < 0.6
        lower = rng.integers(-2, 1, size).astype(float)
        upper = lower + rng.integers(1, 5, size)
        A = rng.integers(-4, 6, (rows, size)) * (rng.random((rows, size)) < 0.7).astype(float)
        A[:, 0] += A[:, 1:].any(axis=1) == 0  # no row is empty
        middle = A @ np.floor(rng.uniform(lower, upper + 1)) + rng.choice([0, 0, 0, 0, 40], rows)
        least = np.where(rng.random(rows) < 0.4, middle - rng.integers(0, 3, rows), -np.inf)
        equal = rng.random(rows) < 0.15
        least, most = np.where(equal, middle, least), np.where(equal, middle, middle + rng.integers(0, 6, rows))
        c = rng.integers(-4, 5, size) * (1.0 if whole else 0.25)
        return cls(c, A, least, most, lower, upper, integer, bool(rng.random() < 0.5), float(rng.integers(-3, 4)))

    def priced(self, theta: ndarray) -> Program:
        """θ added to the costs of the first variables."""
        return replace(self, c=self.c + np.pad(theta, (0, len(self.c) - len(theta))))

    def rows(self, x: Any, add: Callable[[Any], Any]) -> None:
        """Add the rows, as comparisons of sums of a library's variables."""
        for a, least, most in zip(self.A.tolist(), self.least.tolist(), self.most.tolist(), strict=True):
            total = sum(w * one for w, one in zip(a, x, strict=True) if w)
            if least == most:
                add(total == most)
                continue
            add(total <= most)
            if np.isfinite(least):
                add(total >= least)

    def cost(self, x: Any) -> Any:
        """The objective as an expression of a library's variables."""
        total = sum(w * one for w, one in zip(self.c.tolist(), x, strict=True))
        return total + self.offset if self.offset else total


def pulp(program: Program) -> tuple[Any, Any]:
    """The model in PuLP, and its variables."""
    import pulp as library

    model = library.LpProblem("model", library.LpMaximize if program.maximize else library.LpMinimize)
    kinds = np.where(program.integer, "Integer", "Continuous").tolist()
    sides = zip(program.lower.tolist(), program.upper.tolist(), kinds, strict=True)
    x = [model.add_variable(f"x{k}", *side) for k, side in enumerate(sides)]
    model += program.cost(x)
    program.rows(x, lambda row: model.__iadd__(row))
    return model, x


def solve_pulp(model: Any, x: Any) -> float | None:
    """The optimum by HiGHS, as PuLP calls it; None where there is no point."""
    import pulp as library

    ended = model.solve(library.HiGHS(msg=False, gapRel=0.0))
    return float(library.value(model.objective)) if ended == library.LpStatusOptimal else None


def pyomo(program: Program) -> tuple[Any, Any]:
    """The model in Pyomo, and its variables."""
    import pyomo.environ as library

    model = library.ConcreteModel()
    domains = [library.Integers if whole else library.Reals for whole in program.integer]
    sides = list(zip(program.lower.tolist(), program.upper.tolist(), strict=True))
    model.x = library.Var(range(len(sides)), domain=lambda m, k: domains[k], bounds=lambda m, k: sides[k])
    x = [model.x[k] for k in range(len(sides))]
    model.cost = library.Objective(
        expr=program.cost(x), sense=library.maximize if program.maximize else library.minimize
    )
    model.rows = library.ConstraintList()
    program.rows(x, model.rows.add)
    return model, x


def solve_pyomo(model: Any, x: Any) -> float | None:
    """The optimum by HiGHS, as Pyomo calls it."""
    import pyomo.environ as library

    solver = library.SolverFactory("appsi_highs")
    solver.config.load_solution = False
    solver.config.mip_gap = 0.0
    found = solver.solve(model, load_solutions=False)
    if found.solver.termination_condition != "optimal":
        return None
    return float(found.problem.upper_bound if model.cost.sense == library.minimize else found.problem.lower_bound)


def cvxpy(program: Program) -> tuple[Any, Any]:
    """The model in CVXPY, and its variables."""
    import cvxpy as library

    n, whole = len(program.c), program.integer
    x = library.Variable(n, integer=(np.flatnonzero(whole),) if whole.any() else False)
    rows: list[Any] = [x >= program.lower, x <= program.upper]
    program.rows(x, rows.append)
    sense = library.Maximize if program.maximize else library.Minimize
    return library.Problem(sense(program.c @ x + program.offset), rows), x


def solve_cvxpy(model: Any, x: Any) -> float | None:
    """The optimum by HiGHS, as CVXPY calls it."""
    found = float(model.solve(solver="HIGHS", mip_rel_gap=0.0))
    return found if np.isfinite(found) else None


def linopy(program: Program) -> tuple[Any, Any]:
    """The model in linopy, and its variables."""
    import linopy as library

    model = library.Model()
    kinds = zip(program.lower.tolist(), program.upper.tolist(), program.integer.tolist(), strict=True)
    x = [model.add_variables(lower=a, upper=b, integer=whole) for a, b, whole in kinds]
    program.rows(x, lambda row: model.add_constraints(row))
    model.add_objective(program.cost(x), sense="max" if program.maximize else "min")
    return model, x


def solve_linopy(model: Any, x: Any) -> float | None:
    """The optimum by HiGHS, as linopy calls it."""
    status, _ = model.solve(solver_name="highs", output_flag=False, mip_rel_gap=0.0, io_api="direct", progress=False)
    return float(model.objective.value) if status == "ok" else None


def gurobi(program: Program) -> tuple[Any, Any]:
    """The model in gurobipy, and its variables."""
    import gurobipy as library

    model = library.Model(env=library.Env(params={"OutputFlag": 0, "Threads": 1}))
    kinds = zip(program.lower.tolist(), program.upper.tolist(), np.where(program.integer, "I", "C"), strict=True)
    x = [model.addVar(lb=a, ub=b, vtype=str(kind)) for a, b, kind in kinds]
    program.rows(x, model.addConstr)
    model.setObjective(program.cost(x), library.GRB.MAXIMIZE if program.maximize else library.GRB.MINIMIZE)
    return model, x


def solve_gurobi(model: Any, x: Any) -> float | None:
    """The optimum by Gurobi."""
    model.setParam("MIPGap", 0.0)
    model.optimize()
    return float(model.ObjVal) if model.SolCount else None


def highs(program: Program) -> tuple[Any, Any]:
    """The model in highspy, and its variables."""
    import highspy as library

    model = library.Highs()
    model.setOptionValue("output_flag", False)
    model.setOptionValue("mip_rel_gap", 0.0)
    x = []
    for a, b, whole in zip(program.lower.tolist(), program.upper.tolist(), program.integer.tolist(), strict=True):
        kind = library.HighsVarType.kInteger if whole else library.HighsVarType.kContinuous
        x.append(model.addVariable(lb=a, ub=b, type=kind))
    program.rows(x, model.addConstr)
    for one, cost in zip(x, program.c.tolist(), strict=True):
        model.changeColCost(one.index, cost)
    model.changeObjectiveOffset(program.offset)
    model.changeObjectiveSense(library.ObjSense.kMaximize if program.maximize else library.ObjSense.kMinimize)
    return model, x


def solve_highs(model: Any, x: Any) -> float | None:
    """The optimum by HiGHS."""
    import highspy as library

    model.run()
    ended = model.getModelStatus() == library.HighsModelStatus.kOptimal
    return float(model.getInfo().objective_function_value) if ended else None


def cpmpy(program: Program) -> tuple[Any, Any]:
    """The model in CPMpy, which has integers only, and its variables."""
    import cpmpy as library

    whole = replace(program, c=program.c.astype(int), A=program.A.astype(int), offset=int(program.offset))
    sides = zip(program.lower.astype(int).tolist(), program.upper.astype(int).tolist(), strict=True)
    x = [library.intvar(a, b) for a, b in sides]
    model = library.Model()
    for a, least, most in zip(whole.A.tolist(), whole.least.tolist(), whole.most.tolist(), strict=True):
        total = sum(w * one for w, one in zip(a, x, strict=True))
        model += total <= int(most)
        if np.isfinite(least):
            model += total >= int(least)
    (model.maximize if program.maximize else model.minimize)(whole.cost(x))
    return model, x


def solve_cpmpy(model: Any, x: Any) -> float | None:
    """The optimum by CP-SAT, as CPMpy calls it."""
    return float(model.objective_value()) if model.solve(solver="ortools") else None


LIBRARIES: dict[str, tuple[Callable[[Program], tuple[Any, Any]], Callable[[Any, Any], float | None]]] = {
    "pulp": (pulp, solve_pulp),
    "pyomo": (pyomo, solve_pyomo),
    "cvxpy": (cvxpy, solve_cvxpy),
    "linopy": (linopy, solve_linopy),
    "gurobipy": (gurobi, solve_gurobi),
    "highspy": (highs, solve_highs),
    "cpmpy": (cpmpy, solve_cpmpy),
}
"""from the package to what writes a model in it, and what solves that"""


def optima(name: str, seed: int) -> tuple[float | None, float | None]:
    """The optimum of one random model by its library, and by `wrap`; None where there is no point."""
    write, solve = LIBRARIES[name]
    rng = np.random.default_rng(seed)
    program = Program.random(rng, whole=name == "cpmpy")
    if name == "linopy":
        program = replace(program, offset=0.0)  # its objectives have no constant
    theta = rng.integers(-6, 7, PRICED).astype(float) if name == "cpmpy" else rng.normal(size=PRICED)
    own = solve(*write(program.priced(theta)))
    model, x = write(program)
    found = wrap(model, x[:PRICED]).solve(theta[None])
    return own, float(found.objective[0]) if found.solved[0] else None


def agree(one: float | None, two: float | None) -> bool:
    """Whether two optima are the same."""
    return one is two or (one is not None and two is not None and abs(one - two) <= 1e-6 * max(1.0, abs(one)))


def re_solve_program(name: str) -> Program:
    """One of 20 variables and 8 rows that the re-solves are raced on, and that has points."""
    for seed in range(100):
        program = Program.random(np.random.default_rng(seed), whole=name == "cpmpy", size=20, rows=8)
        sides: dict[str, Any] = {"b": program.most, "lower": program.least, "bounds": (program.lower, program.upper)}
        if MixedInteger(program.A, **sides, integrality=program.integer.astype(int)).solve(np.zeros((1, 20))).solved[0]:
            return replace(program, offset=0.0)
    raise RuntimeError("no random model has a point")


def compare_re_solves(name: str) -> None:
    """Print what a warm re-solve costs beside that of the same model as arrays."""
    program = re_solve_program(name)
    theta = np.random.default_rng(1).normal(size=(20, PRICED))
    bounds, sense = (program.lower, program.upper), "max" if program.maximize else "min"
    rows: dict[str, Any] = {
        "b": program.most,
        "lower": program.least,
        "integrality": program.integer.astype(int),
        "bounds": bounds,
    }
    choice: dict[str, Any] = {"backend": "cp_sat"} if name == "cpmpy" else {}
    arrays = MixedInteger(program.A, **rows, h=program.c, priced=np.arange(PRICED), sense=sense, **choice)
    model, x = LIBRARIES[name][0](program)
    solver = wrap(model, x[:PRICED])
    steps: dict[str, Callable[[], object]] = {"arrays": lambda: arrays.solve(theta), name: lambda: solver.solve(theta)}
    if name == "gurobipy":
        model.update()
        prices, costs = model.getVars()[:PRICED], program.c[:PRICED]

        def loop() -> None:
            for row in theta:
                model.reset(1)
                model.setAttr("Obj", prices, (costs + row).tolist())
                model.optimize()
                model.getAttr("X", prices)

        model.setParam("MIPGap", 0.0)
        steps["a loop of setAttr and optimize"] = loop
    seconds = race(steps, rounds=15, by=min)
    for step, taken in seconds.items():
        print(f"  {step}: {taken / len(theta) * 1e3:.2f} ms a row, {taken / seconds['arrays']:.2f} × arrays")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--libraries", nargs="+", choices=[*LIBRARIES], default=[*LIBRARIES])
    given = parser.parse_args()
    for name in given.libraries:
        start = time.process_time()
        pairs = [optima(name, seed) for seed in range(given.models)]
        same, none = sum(agree(*pair) for pair in pairs), sum(own is None for own, _ in pairs)
        taken = time.process_time() - start
        print(f"{name}: {same} of {given.models} optima agree ({none} infeasible), {taken:.0f} CPU s", flush=True)
        compare_re_solves(name)


if __name__ == "__main__":
    main()

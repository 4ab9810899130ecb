"""Does the interval of `regret_interval` hold the true regret, where solves were cut short by random limits?

    python -m experiments.benchmarks.certified               # 50 problems for each back end and kind of limit
    python -m experiments.benchmarks.certified --problems 500

Integer programs and formulas of 10 variables, all of whose points are enumerated; the true regret of a random decision
is computed in exact arithmetic. Back ends without a limit of nodes have gaps in their place. For each: rows whose
decision is feasible, those that were cut short, those without a finite high end, and those whose interval holds the
true regret; median width of the interval over the true range of the objective, of rows that were cut short.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy import ndarray

import combdiff
from combdiff.metrics import regret_interval
from combdiff.solvers import MixedInteger, SatInstances, Solver, Status
from combdiff_solvers.formulas.formula import AtMost, Formula, Soft, holds

N, ROWS = 12, 4
POINTS = np.array(list(product([0.0, 1.0], repeat=N)))


class Problem(NamedTuple):
    """A solver with its limits, and what enumeration needs: points (k, N) and h, exact, of each row."""

    solver: Solver
    points: list[ndarray]
    h: list[list[Fraction]]
    instances: Any


def program(rng: np.random.Generator, backend: str, sense: str, limits: dict[str, Any]) -> Problem:
    """Three two-sided rows, which hold at one random point at least, and prices h of all variables and an offset."""
    A = rng.integers(10, 60, size=(3, N)).astype(float)
    middle = A @ POINTS[rng.integers(len(POINTS))]
    h, width = A.sum(axis=0) / 30.0 + 0.1 * rng.normal(size=N), rng.integers(5, 40, size=3)
    points = POINTS[(np.abs(POINTS @ A.T - middle) <= width).all(axis=1)]
    offset = 0.0
    if backend == "pyscipopt":
        import pyscipopt

        model, offset = pyscipopt.Model(), float(rng.normal())
        model.setParams(limits.pop("parameters", {}))
        x = [model.addVar(vtype="B") for _ in range(N)]
        for row, at, slack in zip(A.tolist(), middle.tolist(), width.tolist(), strict=True):
            total = pyscipopt.quicksum(a * v for a, v in zip(row, x, strict=True))
            model.addCons(total <= at + slack)
            model.addCons(total >= at - slack)
        objective = pyscipopt.quicksum(c * v for c, v in zip(h.tolist(), x, strict=True))
        model.setObjective(objective + offset, "minimize" if sense == "min" else "maximize")
        solver: Solver = combdiff.wrap(model, x, **limits)
    else:
        given: dict[str, Any] = {"lower": middle - width, "integrality": 1, "bounds": (0, 1), "h": h, "sense": sense}
        solver = MixedInteger(A, middle + width, backend=backend, **given, **limits)
    own = [
        sum((Fraction(c) for c, bit in zip(h.tolist(), point, strict=True) if bit), Fraction(offset))
        for point in points
    ]
    return Problem(solver, [points] * ROWS, [own] * ROWS, None)


def formula(rng: np.random.Generator, backend: str, sense: str, limits: dict[str, Any]) -> Problem:
    """Random clauses with soft ones beside, and in each row a literal that has to hold."""

    def clause(most: int) -> tuple[int, ...]:
        picked = rng.choice(N, int(rng.integers(min(2, most), most + 1)), replace=False) + 1
        return tuple((picked * rng.choice([-1, 1], len(picked))).tolist())

    weights = [Fraction(int(w), 7) for w in rng.integers(1, 10, size=8)]
    wide = tuple((np.arange(1, N + 1) * rng.choice([-1, 1], N)).tolist())
    made = Formula(
        N,
        tuple(clause(3) for _ in range(int(rng.integers(5, 25)))),
        (AtMost(wide, 6, (1,) * N),),
        tuple(Soft(clause(3), weight) for weight in weights),
    )
    literals = rng.integers(1, N + 1, (ROWS, 1)) * rng.choice([-1, 1], (ROWS, 1))
    points, h = [], []
    for literal in literals[:, 0].tolist():
        own = POINTS[made.satisfied(POINTS) & holds((literal,), POINTS > 0.5)]
        paid = [(soft.weight, holds(soft.clause, own > 0.5) == (sense == "max")) for soft in made.soft]
        points.append(own)
        h.append([sum((w for w, pays in paid if pays[k]), Fraction(0)) for k in range(len(own))])
    solver = combdiff.wrap(made, list(range(1, N + 1)), sense=sense, backend=backend, **limits)
    return Problem(solver, points, h, SatInstances(literals=literals))


def nodes(rng: np.random.Generator, backend: str) -> dict[str, Any]:
    """A random limit of the search that no clock is asked for."""
    count = int(rng.integers(1, 8))
    if backend == "cp_sat":
        plain = {"cp_model_presolve": False, "linearization_level": 0}
        return {"parameters": {"max_number_of_conflicts": count, **plain}}
    if backend == "pyscipopt":
        return {"parameters": {"limits/nodes": count, "presolving/maxrounds": 0, "separating/maxroundsroot": 0}}
    if backend in ("scip", "highs"):
        from ortools.math_opt.python import mathopt

        off = mathopt.Emphasis.OFF
        cuts = off if backend == "scip" else None  # HiGHS has no such setting
        return {"parameters": mathopt.SolveParameters(node_limit=count, presolve=off, cuts=cuts)}
    return {"relative_gap": float(rng.uniform(0.2, 3.0))}


def seconds(rng: np.random.Generator, backend: str) -> dict[str, Any]:
    """A random limit of time."""
    return {"time_limit": float(10.0 ** rng.uniform(-5.0 if MAKERS[backend] is formula else -4.5, -2.0))}


@dataclass
class Count:
    """Of rows that have a feasible decision."""

    rows: int = 0
    cut: int = 0  # FEASIBLE, or LIMIT
    incumbents: int = 0  # of those, the ones with an incumbent
    unbounded: int = 0  # whose high end is infinite
    inside: int = 0  # whose interval holds the true regret
    widths: list[float] = field(default_factory=list)  # of the finite intervals of rows that were cut short


def run(backend: str, kind: str, problems: int, seed: int = 0) -> Count:
    """Random problems, half of them of each sense, under random limits of a kind."""
    rng, count, make = np.random.default_rng(seed), Count(), MAKERS[backend]
    for number in range(problems):
        sign, sense = (1, "min") if number % 2 else (-1, "max")
        problem = make(rng, backend, sense, LIMITS[kind](rng, backend))
        theta = rng.normal(size=(ROWS, N)) * (0.1 if make is program else 1.0)
        found = problem.solver.solve(theta, problem.instances)
        choice = [int(rng.integers(len(points))) if len(points) else -1 for points in problem.points]
        y = np.array(
            [points[at] if at >= 0 else np.full(N, np.nan) for points, at in zip(problem.points, choice, strict=True)]
        )
        batch = (2, ROWS // 2)
        ends = regret_interval(
            torch.from_numpy(y).reshape(*batch, N),
            torch.from_numpy(found.y).reshape(*batch, N),
            torch.from_numpy(found.bound).reshape(batch),
            torch.from_numpy(theta).reshape(*batch, N),
            problem.solver,
            problem.instances,
        )
        low, high = (end.flatten().tolist() for end in ends)
        for row in range(ROWS):
            if choice[row] < 0:
                continue
            prices = [Fraction(price) for price in theta[row].tolist()]
            values = [
                sign * (sum((price for price, bit in zip(prices, point, strict=True) if bit), Fraction(0)) + own)
                for point, own in zip(problem.points[row], problem.h[row], strict=True)
            ]
            true, status = values[choice[row]] - min(values), found.status[row]
            count.rows += 1
            count.inside += low[row] <= true <= high[row]
            count.unbounded += high[row] == np.inf
            count.incumbents += status == Status.FEASIBLE
            if status != Status.OPTIMAL:
                count.cut += 1
                if high[row] < np.inf:
                    count.widths.append(float((high[row] - low[row]) / (max(values) - min(values) or 1)))
    return count


def main() -> None:
    """Print a row for each back end and kind of limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=50, help="of four rows, for each line")
    problems = parser.parse_args().problems
    print("| | limit | rows | cut short | with an incumbent | no high end | hold the regret | median width |")
    print("|---|---|---|---|---|---|---|---|")
    for backend in MAKERS:
        for kind in LIMITS:
            one = run(backend, kind, problems)
            name = "gaps" if kind == "nodes" and MAKERS[backend] is formula else kind
            width = f"{median(one.widths):.2f}" if one.widths else "–"
            print(
                f"| {backend} | {name} | {one.rows} | {one.cut / one.rows:.0%} | {one.incumbents / one.rows:.0%} | "
                f"{one.unbounded / one.rows:.0%} | {one.inside} ({one.inside / one.rows:.1%}) | {width} |",
                flush=True,
            )


MAKERS = dict.fromkeys(("scip", "highs", "pyscipopt", "cp_sat"), program) | {"rc2": formula, "auto": formula}
LIMITS = {"nodes": nodes, "seconds": seconds}


if __name__ == "__main__":
    main()

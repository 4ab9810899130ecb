"""All formulas of satlib decided, their models checked, and the back ends compared.

    pip install -e '.[benchmarks]'
    COMBDIFF_DATA=... python -m experiments.benchmarks.satlib

θ is random normal, so each satisfiable formula is a weighted MaxSAT problem. The peers are CP-SAT on the same formula
and PySAT's own stratified RC2 with its default options, cut after two seconds, both on the first 10 formulas of each
folder; the ratio is of their medians of the total time, in turns.
"""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
from numpy import ndarray
from pysat.examples.rc2 import RC2Stratified
from pysat.formula import WCNF

import combdiff
from combdiff.solvers import Status
from combdiff_solvers.formulas.formula import Formula
from combdiff_solvers.formulas.formula_files import read_formula
from experiments.benchmarks.data import data_folder
from experiments.benchmarks.timing import race

SOME = 10
CUT = 2.0


def by_pysat(formula: Formula, theta: ndarray) -> list[int] | None:
    """What a user would write: weights rounded to six digits; its model, None where it was cut short."""
    wcnf = WCNF()
    wcnf.extend([list(clause) for clause in formula.hard])
    for variable, price in enumerate(theta[0].tolist(), start=1):
        wcnf.append([-variable if price > 0 else variable], weight=max(1, round(abs(price) * 1e6)))
    with RC2Stratified(wcnf) as rc2:
        timer = threading.Timer(CUT, rc2.interrupt)
        timer.start()
        model: list[int] | None = rc2.compute(expect_interrupt=True)
        timer.cancel()
    return model


def main() -> None:
    """Decide, check and print."""
    root = data_folder("satlib")
    rng = np.random.default_rng(0)
    for folder, satisfiable in (("uf20-91", True), ("uf50-218", True), ("uuf50-218", False)):
        formulas = [read_formula(path)[0] for path in sorted((root / folder).glob("*.cnf"))]
        theta = rng.normal(size=(len(formulas), 1, formulas[0].variables))
        ours, right = [combdiff.wrap(formula, backend="rc2") for formula in formulas], 0
        for formula, solver, row in zip(formulas, ours, theta, strict=True):
            found = solver.solve(row)
            wanted = Status.OPTIMAL if satisfiable else Status.INFEASIBLE
            right += found.status[0] == wanted and (not satisfiable or bool(formula.satisfied(found.y)[0]))
        first = list(zip(formulas, ours, theta, strict=True))[:SOME]
        solves = {
            "rc2": [partial(solver.solve, row) for _, solver, row in first],
            "cp_sat": [partial(combdiff.wrap(formula, backend="cp_sat").solve, row) for formula, _, row in first],
            "pysat": [partial(by_pysat, formula, row) for formula, _, row in first],
        }
        runs = {name: lambda each=each: [solve() for solve in each] for name, each in solves.items()}
        seconds = race(runs, rounds=3, warm_up=1)
        print(
            f"{folder}: {right} of {len(formulas)} right, {seconds['rc2'] / SOME * 1e3:.2f} ms each; "
            f"CP-SAT takes {seconds['cp_sat'] / seconds['rc2']:.1f} times as long, "
            f"RC2Stratified with its defaults at least {seconds['pysat'] / seconds['rc2']:.1f} times"
        )


if __name__ == "__main__":
    main()

"""Mutants of the front ends and engines of models."""

from tests.mutants.mutant import of

FRONT, FRONT_TESTS = "solvers/combdiff_solvers/models/front_ends/", "tests/solvers/models/test_front_ends.py"
RANDOM = f"{FRONT_TESTS}::test_random_models_have_the_librarys_own_optimum"

MUTANTS = [
    *of(
        FRONT + "cvxpy.py",
        f"{RANDOM}[cvxpy] tests/solvers/models/test_front_end_models.py",
        ("prices = sign * ", "prices = "),
        ("cost = sign * ", "cost = "),
        ("ends = -t[:extra]", "ends = t[:extra]"),
    ),
    *of(
        FRONT + "pyomo.py",
        f"{RANDOM}[pyomo] {FRONT_TESTS}::TestPyomo::test_best_of_the_feasible_set",
        ("value(side) - constant", "value(side)"),
        ("offset=costs[2]", "offset=0.0"),
    ),
    *of(
        FRONT + "gurobi_engine.py",
        f"{FRONT_TESTS}::TestGurobi::test_best_of_the_feasible_set tests/solvers/models/test_gurobi.py",
        ("model.reset(1)", "pass"),
        ("np.ldexp(told - self._model.ObjCon, -exponent)", "np.ldexp(told - self._model.ObjCon, exponent)"),
        ("any(self._gaps) and gain", "gain < 0 and gain"),
    ),
    *of(
        "solvers/combdiff_solvers/models/warm_model.py",
        "tests/solvers/models/test_bounds.py",
        ("sign * (1e-9 * size", "-sign * (1e-9 * size"),
    ),
    *of(
        "solvers/combdiff_solvers/formulas/cpmpy_formula.py",
        "tests/solvers/formulas/test_cpmpy.py::test_every_back_end_has_the_optimum_of_enumeration",
        ("owed = -constant - sum(weights)", "owed = -constant"),
        ("[*signed, (slack, condition)], most + slack", "[*signed, (slack, condition)], most"),
        ("sign * int(bound)", "int(bound)"),
    ),
    *of(
        "solvers/combdiff_solvers/models/mip_backends.py",
        f"{FRONT_TESTS}::test_where_pulp_came_first_the_highs_of_or_tools_is_refused",
        ('order.index("pulp") < loaded', 'order.index("pulp") > loaded'),
    ),
]  # fmt: skip

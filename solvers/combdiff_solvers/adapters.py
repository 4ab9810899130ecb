"""Which adapter knows the models of which library; it is imported when such a model is first wrapped.

So `import combdiff` stays quick, and works without the libraries. The object itself proves that its library is there.
"""

from __future__ import annotations

import importlib
from typing import Any

ADAPTERS = {
    "ortools.math_opt": "combdiff_solvers.models.math_opt",
    "ortools.linear_solver": "combdiff_solvers.models.pywraplp",
    "ortools.sat": "combdiff_solvers.models.cp_sat",
    "pyscipopt": "combdiff_solvers.models.scip",
    "cpmpy": "combdiff_solvers.formulas.cpmpy",
    "cvxpy": "combdiff_solvers.models.front_ends.cvxpy",
    "gurobipy": "combdiff_solvers.models.front_ends.gurobi",
    "highspy": "combdiff_solvers.models.front_ends.highs",
    "linopy": "combdiff_solvers.models.front_ends.linopy",
    "pulp": "combdiff_solvers.models.front_ends.pulp",
    "pyomo": "combdiff_solvers.models.front_ends.pyomo",
    "pysat.formula": "combdiff_solvers.formulas.pysat_formula",
    "combdiff_solvers.formulas.formula": "combdiff_solvers.formulas.formula_model",
}
"""from the prefix of the module where a model's type is defined to the module that registers it with `wrap`"""

KNOWN_MODELS = (
    "OR-Tools' MathOpt, ModelBuilder, pywraplp and CP-SAT models",
    "pyscipopt's Model",
    "gurobipy's Model",
    "highspy's Highs",
    "Pyomo's ConcreteModel",
    "PuLP's LpProblem",
    "CVXPY's Problem",
    "linopy's Model",
    "CPMpy's Model",
    "PySAT's formulas",
    "combdiff_solvers.formulas.formula.Formula",
)
"""the same for a user to read"""

CLASH = (
    "OR-Tools cannot be loaded beside the highspy of this process, if that is 1.15: both bring a library of the name "
    "libhighs.so.1. Install highspy 1.16 or newer; or write the model to an .mps file (highspy's writeModel), and "
    "wrap that file in a process without highspy"
)


def load_adapter(model: Any) -> bool:
    """Import the adapter for a model's type or one of its bases; False where the table has none."""
    modules = [f"{base.__module__}." for base in type(model).__mro__]
    found = [adapter for prefix, adapter in ADAPTERS.items() if any(one.startswith(f"{prefix}.") for one in modules)]
    for adapter in found:
        try:
            importlib.import_module(adapter)
        except ImportError as error:
            if "libortools" not in str(error):
                raise
            raise ImportError(CLASH) from error
    return bool(found)

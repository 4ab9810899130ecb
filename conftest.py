"""Shapes in the annotations are checked while the tests run (jaxtyping with beartype)."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import jaxtyping
import pytest

ROOT = Path(__file__).parent
FRONT_ENDS = ("cvxpy", "gurobi", "highs", "linopy", "pulp", "pyomo")
PACKAGES = {"gurobi": "gurobipy", "highs": "highspy"}
missing = [  # their doctests, where the library is not installed
    f"solvers/combdiff_solvers/{folder}/{name}*.py"
    for folder, name in [("formulas", "cpmpy"), *(("models/front_ends", name) for name in FRONT_ENDS)]
    if find_spec(PACKAGES.get(name, name)) is None
]
collect_ignore_glob = [*missing, "experiments/benchmarks/*"]  # they need the peers that they race against


def modules(folder: Path, package: str) -> list[str]:
    """The modules of a package but for compiled kernels, which a run-time checker cannot enter."""
    names = (path.relative_to(folder).with_suffix("").parts for path in (folder / package).rglob("*.py"))
    return [".".join(name) for name in names if not name[-1].endswith("_kernels") and name[-1] != "__init__"]


jaxtyping.install_import_hook(
    [*modules(ROOT, "combdiff"), *modules(ROOT / "solvers", "combdiff_solvers")], "beartype.beartype"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests go first: begun last, one of them would run on while other processes have no test left."""
    items.sort(key=lambda item: item.path.name != "test_compile.py")


@pytest.fixture(autouse=True)
def own_errors_for_bad_input(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test with `bad` or `refused` in its name meets the library's own errors, not the shape checker's."""
    jaxtyping.config.update("jaxtyping_disable", any(word in request.node.name for word in ("bad", "refused")))
    yield
    jaxtyping.config.update("jaxtyping_disable", False)

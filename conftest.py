"""Shapes in the annotations are checked while the tests run (jaxtyping with beartype)."""

from collections.abc import Iterator
from pathlib import Path

import jaxtyping
import pytest

ROOT = Path(__file__).parent
collect_ignore_glob = ["experiments/benchmarks/*"]  # they need the peers that they race against


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

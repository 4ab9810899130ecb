"""The house keeps its order: import arrows, public names, README snippets."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import combdiff

ROOT = Path(__file__).parents[1]
ARROWS = {  # who may import whom
    "combdiff_solvers": {"combdiff_solvers"},
    "combdiff": {"combdiff", "combdiff_solvers"},
    "experiments": {"experiments", "combdiff", "combdiff_solvers"},
}
OURS = {*ARROWS, "tests"}


def imported(text: str, path: Path | None = None) -> set[str]:
    """The full names that a text imports anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            found.add(node.module or "")
    return found


def imports(path: Path) -> set[str]:
    """The full names that a module imports anywhere in it."""
    return imported(path.read_text(), path)


def modules(package: str) -> list[Path]:
    folder = ROOT / "solvers" if package == "combdiff_solvers" else ROOT
    found = sorted((folder / package).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("package", ARROWS)
def test_import_arrows_run_one_way(package: str) -> None:
    for path in modules(package):
        used = {name.split(".")[0] for name in imports(path)} & OURS
        assert used <= ARROWS[package], f"{path.relative_to(ROOT)} imports {used - ARROWS[package]}"


def test_no_solver_imports_torch() -> None:
    for path in modules("combdiff_solvers"):
        assert not {name for name in imports(path) if name.split(".")[0] == "torch"}, path
    check = "import combdiff_solvers, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT / "solvers", check=False).returncode == 0


def rooms() -> dict[str, set[str]]:
    """Which folders and modules at the top of the solver package each of them imports when it runs."""
    found: dict[str, set[str]] = {}
    for path in modules("combdiff_solvers"):
        name = path.relative_to(ROOT / "solvers" / "combdiff_solvers").parts[0].removesuffix(".py")
        text = re.sub(r"^if TYPE_CHECKING:\n(?:(?:    .*)?\n)+", "", path.read_text(), flags=re.MULTILINE)
        used = {part[1] for part in (one.split(".") for one in imported(text)) if part[0] == "combdiff_solvers"}
        found.setdefault(name, set()).update(used - {name})
    del found["__init__"]
    return found


def test_the_solver_package_has_few_rooms_and_no_circle() -> None:
    found = rooms()
    assert len(found) <= 14, sorted(found)
    TopologicalSorter(found).prepare()  # raises a CycleError that names the circle
    folders = ("compute", "models", "formulas", "problems", "pools")
    above = {"compute": folders, "models": folders[2:], "formulas": folders[3:], "problems": ("pools",)}
    for low, high in above.items():
        assert not found[low] & set(high), (low, found[low])
    assert found["pools"].isdisjoint({"models", "formulas", "problems"})


def test_layers_and_losses_know_solvers_by_their_protocol_only() -> None:
    allowed = {"combdiff_solvers.protocol"}
    for path in [
        *(ROOT / "combdiff" / f"{name}.py" for name in ("layer", "oracle")),
        *modules("combdiff/layers"),
        *modules("combdiff/losses"),
    ]:
        used = {name for name in imports(path) if name.startswith(("combdiff_solvers", "combdiff.solvers"))}
        assert used <= allowed, f"{path.relative_to(ROOT)} imports {used - allowed}"


def test_tensors_become_arrays_in_the_bridge_only() -> None:
    for path in modules("combdiff"):
        if path.name == "_bridge.py" or path.parent.name == "testing":
            continue
        assert not re.search(r"\.numpy\(|from_numpy", path.read_text()), path.relative_to(ROOT)


def test_private_modules_of_the_solvers_stay_theirs() -> None:
    for path in [*modules("combdiff"), *modules("experiments")]:
        used = {name for name in imports(path) if re.search(r"combdiff_solvers\.(.*\.)?_", name)}
        assert not used, f"{path.relative_to(ROOT)} imports {used}"


def test_the_version_is_that_of_pyproject() -> None:
    assert combdiff.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_public_names() -> None:
    assert sorted(combdiff.__all__) == combdiff.__all__
    assert combdiff.__all__ == [
        "AdaptiveImplicitMLE",
        "AdjacentVerticesLoss",
        "ConeAlignedLoss",
        "ContrastiveMAPLoss",
        "FenchelYoungLoss",
        "FixAndDifferentiate",
        "FrankWolfe",
        "GumbelTopK",
        "Identity",
        "ImplicitMLE",
        "Interpolation",
        "LagrangianProximal",
        "LearningToRankLoss",
        "LinearConstraints",
        "NoiseContrastiveLoss",
        "PairwiseLoss",
        "PerturbationGradientLoss",
        "Perturbed",
        "PushforwardLoss",
        "RegretLoss",
        "SPOPlusLoss",
        "ScoreFunction",
        "Sense",
        "SmoothedLayer",
        "SoftMAPLoss",
        "SoftNDCGLoss",
        "SoftRankFenchelYoungLoss",
        "SoftRecallLoss",
        "SoftTopKLoss",
        "SolutionPool",
        "Solutions",
        "Solver",
        "SolverLayer",
        "SpearmanLoss",
        "Status",
        "StraightThrough",
        "StructuredHingeLoss",
        "TrimmedLoss",
        "collate",
        "compute",
        "errors",
        "metrics",
        "noise",
        "soft",
        "soft_argmax",
        "soft_argquantile",
        "soft_argsort",
        "soft_median",
        "soft_permutation",
        "soft_quantile",
        "soft_rank",
        "soft_sort",
        "soft_topk",
        "soft_topk_log_mask",
        "soft_topk_mask",
        "solvers",
        "temperature",
        "wrap",
    ]
    assert combdiff.solvers.__all__ == [
        "Assignment",
        "AssignmentInstances",
        "Cached",
        "ExactCover",
        "Factory",
        "FunctionSolver",
        "GraphInstances",
        "GridInstances",
        "KSubset",
        "KSubsetInstances",
        "Knapsack",
        "KnapsackInstances",
        "Limits",
        "Matching",
        "MaxCut",
        "MixedInteger",
        "MixedIntegerPrograms",
        "OnRay",
        "Parallel",
        "Qubo",
        "Ranking",
        "RankingInstances",
        "SatInstances",
        "Sense",
        "ShortestPath",
        "Solutions",
        "Solver",
        "SpanningTree",
        "SpanningTreeInstances",
        "Status",
        "Sudoku",
        "SudokuInstances",
        "TopK",
        "TravelingSalesman",
        "wrap",
        "wrap_file",
    ]
    for module in (combdiff, combdiff.solvers):
        for name in module.__all__:
            assert getattr(module, name).__doc__, f"{name} has no docstring"


def test_kernels_are_compiled_in_one_way() -> None:
    """numba's own cache misses changes in what is inlined from other files."""
    paths = [path for folder in ("combdiff", "solvers") for path in (ROOT / folder).rglob("*.py")]
    assert [path.name for path in paths if "import njit" in path.read_text()] == ["kernels.py"]


def test_no_batch_goes_through_blas() -> None:
    """Threads of BLAS spin between its calls, take the cores of ours, and hang a process that forks."""
    paths = [path for folder in ("combdiff", "solvers") for path in (ROOT / folder).rglob("*.py")]
    assert not [path.name for path in paths if re.search(r"np\.(dot|vdot|matmul|inner)\(", path.read_text())]


def test_extras_promise_no_package_that_a_wheel_lacks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    in_wheel = {Path(path).name for path in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
    for extra in project["project"]["optional-dependencies"]:
        assert extra in in_wheel or not (ROOT / extra).is_dir(), extra


PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "solvers/README.md", *ROOT.glob("docs/**/*.md"))
]
SNIPPETS = [
    *(
        text
        for page in PAGES
        for text in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    ),
    *(path.read_text() for path in sorted(ROOT.glob("docs/gallery/*.py"))),
]


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text[:60])
def test_snippets_of_the_pages_run(snippet: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = "cpmpy|cvxpy|gurobipy|highspy|linopy|ortools|pulp|pyomo|pyscipopt|pysat"
    for library in re.findall(rf"^(?:from|import) ({libraries})\b", snippet, flags=re.MULTILINE):
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    exec(compile(snippet, "page", "exec"), {"__name__": "page"})


@pytest.mark.parametrize(
    "page", [*PAGES, "CONTRIBUTING.md", "experiments/README.md", "experiments/benchmarks/README.md"]
)
def test_links_between_files_lead_somewhere(page: str) -> None:
    text = re.sub(r"```.*?```", "", (ROOT / page).read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    assert not [link for link in links if not ((ROOT / page).parent / link).exists()]

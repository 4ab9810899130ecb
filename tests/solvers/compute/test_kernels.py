"""Compiled kernels: what is kept on disk is fresh."""

import copy
import importlib
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from combdiff_solvers.compute.kernels import Kernel, KernelFiles, fingerprint, kernel

ROOT = Path(__file__).parents[3]
INNER = """
from combdiff_solvers.compute.kernels import kernel
STEP = {step}
@kernel(inline="always")
def inner(x):
    return x + STEP
"""
OUTER = """
from combdiff_solvers.compute.kernels import kernel
from inner_kernels import inner
@kernel()
def outer(x):
    return middle(x) * 2
@kernel()
def middle(x):
    return inner(x)
print(outer(1), sum(outer.dispatcher.stats.cache_hits.values()))
"""


def test_a_change_in_what_is_inlined_is_seen(tmp_path: Path) -> None:
    def run(step: int) -> str:
        (tmp_path / "inner_kernels.py").write_text(INNER.format(step=step))
        os.utime(tmp_path / "inner_kernels.py", (1e9, 1e9))  # as a wheel does: one date for all versions
        return run_kernels(tmp_path).stdout

    (tmp_path / "outer_kernels.py").write_text(OUTER)
    assert run(1) == "4 0\n"
    assert run(1) == "4 1\n"
    assert run(5) == "12 0\n"


def run_kernels(folder: Path, program: str = "import outer_kernels") -> subprocess.CompletedProcess[str]:
    """Call `outer` in a new process; it prints the result and how many compiled functions came from the disk."""
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT / 'solvers'}"}
    environment.pop("NUMBA_CACHE_DIR", None)
    command = [sys.executable, "-B", "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder where the kernels were compiled, and what the process that did it said."""
    folder = tmp_path_factory.mktemp("compiled")
    (folder / "inner_kernels.py").write_text(INNER.format(step=1))
    (folder / "outer_kernels.py").write_text(OUTER)
    return folder, run_kernels(folder)


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def empty(content: bytes) -> bytes:
    return b""


def one_bit_flipped(content: bytes) -> bytes:
    place = len(content) - 100
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("damage", [truncated, empty, one_bit_flipped])
def test_a_damaged_file_is_compiled_again_and_replaced(
    compiled: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    shutil.copytree(compiled[0], tmp_path, dirs_exist_ok=True)
    files = sorted((tmp_path / "__pycache__").glob("*.nb*"))
    assert files
    sound = {path: path.read_bytes() for path in files}
    for path, content in sound.items():
        path.write_bytes(damage(content))
    again = run_kernels(tmp_path)
    assert again.stdout == "4 0\n", again.stderr
    if damage is one_bit_flipped:
        assert "outer" in again.stderr
        assert "is damaged" in again.stderr
    assert run_kernels(tmp_path).stdout == "4 1\n"
    assert sorted((tmp_path / "__pycache__").glob("*.nb*")) == files


def test_the_first_compilation_says_so_in_one_line_and_the_next_process_is_silent(
    compiled: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, first = compiled
    assert first.stdout == "4 0\n"
    assert len(first.stderr.splitlines()) == 1
    assert "compiling outer" in first.stderr
    assert "warm_up" in first.stderr
    again = run_kernels(folder)
    assert (again.stdout, again.stderr) == ("4 1\n", "")


def test_numba_is_imported_by_the_first_call_only(tmp_path: Path) -> None:
    check = "import sys, combdiff_solvers as c; assert 'numba' not in sys.modules; c.SpanningTree([(0, 1)])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "solvers")}
    done = subprocess.run(
        [sys.executable, "-c", check + "; assert 'numba' in sys.modules"], env=environment, check=False
    )
    assert done.returncode == 0


def test_many_threads_may_make_the_first_call(tmp_path: Path) -> None:
    (tmp_path / "inner_kernels.py").write_text(INNER.format(step=1))
    (tmp_path / "outer_kernels.py").write_text(OUTER.replace("print(", "# print("))
    program = (
        "from concurrent.futures import ThreadPoolExecutor; from outer_kernels import outer\n"
        "with ThreadPoolExecutor(8) as pool: print(set(pool.map(outer, [1] * 64)))"
    )
    assert run_kernels(tmp_path, program).stdout == "{4}\n"


def test_a_kernel_can_be_pickled_and_copied() -> None:
    from combdiff_solvers.problems.tree_kernels import trees

    assert pickle.loads(pickle.dumps(trees)) is trees
    assert copy.deepcopy(trees) is trees


def test_a_change_of_options_is_seen() -> None:
    def half(x: float) -> float:
        return x / 2

    prints = {fingerprint(kernel(**options)(half)) for options in ({}, {"error_model": "numpy"}, {"counted": False})}
    assert len(prints) == 3
    assert fingerprint(kernel()(half)) in prints
    first, second = {0, 8}, {8, 0}
    assert repr(first) != repr(second)
    assert fingerprint(kernel(fastmath=first)(half)) == fingerprint(kernel(fastmath=second)(half))


def kernel_modules() -> list[ModuleType]:
    places = [(ROOT / "solvers", "combdiff_solvers"), (ROOT, "combdiff/soft")]
    paths = [(root, path) for root, folder in places for path in sorted((root / folder).rglob("*_kernels.py"))]
    return [importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts)) for root, path in paths]


@pytest.mark.parametrize("module", kernel_modules(), ids=lambda module: module.__name__)
def test_every_kernel_is_stamped(module: ModuleType) -> None:
    own: list[Any] = [it for it in vars(module).values() if isinstance(it, Kernel) and it.__module__ == module.__name__]
    assert own
    assert all(isinstance(it.dispatcher._cache._cache_file, KernelFiles) for it in own)

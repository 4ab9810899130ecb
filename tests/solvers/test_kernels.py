"""Compiled kernels: what is kept on disk is fresh."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from numba.core.dispatcher import Dispatcher

from combdiff_solvers.kernels import StampedFile, fingerprint, kernel

ROOT = Path(__file__).parents[2]
INNER = """
from combdiff_solvers.kernels import kernel
STEP = {step}
@kernel(inline="always")
def inner(x):
    return x + STEP
"""
OUTER = """
from combdiff_solvers.kernels import kernel
from inner_kernels import inner
@kernel()
def outer(x):
    return middle(x) * 2
@kernel()
def middle(x):
    return inner(x)
print(outer(1), sum(outer.stats.cache_hits.values()))
"""


def test_a_change_in_what_is_inlined_is_seen(tmp_path: Path) -> None:
    def run(step: int) -> str:
        (tmp_path / "inner_kernels.py").write_text(INNER.format(step=step))
        os.utime(tmp_path / "inner_kernels.py", (1e9, 1e9))  # as a wheel does: one date for all versions
        environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'solvers'}"}
        command = [sys.executable, "-B", "-c", "import outer_kernels"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    (tmp_path / "outer_kernels.py").write_text(OUTER)
    assert run(1) == "4 0\n"
    assert run(1) == "4 1\n"
    assert run(5) == "12 0\n"


def test_a_change_of_options_is_seen() -> None:
    def half(x: float) -> float:
        return x / 2

    prints = {fingerprint(kernel(**options)(half)) for options in ({}, {"error_model": "numpy"}, {"counted": False})}
    assert len(prints) == 3
    assert fingerprint(kernel()(half)) in prints


def kernel_modules() -> list[ModuleType]:
    places = [(ROOT / "solvers", "combdiff_solvers"), (ROOT, "combdiff/soft")]
    paths = [(root, path) for root, folder in places for path in sorted((root / folder).glob("*_kernels.py"))]
    return [importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts)) for root, path in paths]


@pytest.mark.parametrize("module", kernel_modules(), ids=lambda module: module.__name__)
def test_every_kernel_is_stamped(module: ModuleType) -> None:
    own: list[Any] = [
        it for it in vars(module).values() if isinstance(it, Dispatcher) and it.__module__ == module.__name__
    ]
    assert own
    assert all(isinstance(it._cache._cache_file, StampedFile) for it in own)

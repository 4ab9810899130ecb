"""Parallel with solvers that have to travel to another process."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float64
from numpy import ndarray

from combdiff_solvers import FunctionSolver, Parallel
from tests.solvers.probes import DiesWhenLoaded, Probe

ROOT = Path(__file__).parents[3]


@pytest.fixture
def theta() -> Float64[ndarray, "b n"]:
    return np.random.default_rng(0).normal(size=(60, 4))


def test_a_function_of_the_main_module(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import numpy as np\n"
        "from combdiff_solvers import Parallel, wrap\n"
        "def least(theta):\n"
        "    return np.eye(len(theta))[theta.argmin()]\n"
        "if __name__ == '__main__':\n"
        "    with Parallel(wrap(least, shape=(3,)), 2, 'processes', adaptive=False) as pool:\n"
        "        print(pool.solve(np.array([[3.0, 1, 2], [0, 1, 2]])).y.tolist())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "solvers")}
    said = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert said.stdout == "[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]\n", said.stderr


def test_what_cannot_be_pickled(theta: ndarray) -> None:
    solver = FunctionSolver(lambda row: np.eye(4)[row.argmin()], shape=(4,))
    with pytest.raises(TypeError, match="top of a module"):
        Parallel(solver, 2, "processes")
    with Parallel(solver, 2, adaptive=False) as pool:
        np.testing.assert_array_equal(pool.solve(theta).y, Probe().solve(theta).y)


def test_a_solver_that_cannot_be_loaded_is_one_clear_error(theta: ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Parallel(Probe(), 2, "processes", adaptive=False)
    pool._sent = pickle.dumps(Probe()).replace(b"probes", b"nowher")
    with pytest.raises(RuntimeError, match="No module named"):
        pool.solve(theta)


def test_a_process_that_dies_at_its_start_is_one_clear_error(theta: ndarray) -> None:
    with Parallel(DiesWhenLoaded(), 2, "processes", adaptive=False) as pool:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="a worker could not start: the process ended with exit code 7"):
                pool.solve(theta)


def test_the_main_module_is_not_imported_by_workers(tmp_path: Path) -> None:
    (tmp_path / "heavy.py").touch()
    script = tmp_path / "train.py"
    script.write_text(
        "import sys\n"
        "import numpy as np\n"
        "import heavy\n"
        "from combdiff_solvers import Parallel, wrap\n"
        "def least(theta, instance):\n"
        "    return np.eye(len(theta))[(theta + instance.shift).argmin() if 'heavy' not in sys.modules else 1]\n"
        "class Shift:\n"
        "    def __init__(self, shift):\n"
        "        self.shift = shift\n"
        "shifts = [Shift(np.array([2.0, 0.0, 1.0])), Shift(np.array([0.0, 0.0, -1.0]))]\n"
        "with Parallel(wrap(least, shape=(3,)), 2, 'processes', adaptive=False) as pool:  # without a guard\n"
        "    print(pool.solve(np.array([[0.0, 1, 0], [0, 0, 0]]), shifts).y.tolist())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "solvers")}
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=60, check=False
    )
    assert ended.stdout == "[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]\n", ended.stderr

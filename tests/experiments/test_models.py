"""Native models of shortest paths agree with the kernel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from combdiff.solvers import Status
from experiments.__main__ import main
from experiments.shortest_path.maps import grid_solver
from experiments.shortest_path.models import LEAST, MODELS, model_solver

LIBRARIES = {"rc2": "pysat"}


@pytest.mark.parametrize("shape", [(2, 2), (4, 5)])
@pytest.mark.parametrize("backend", MODELS)
def test_paths_of_the_kernel(backend: str, shape: tuple[int, int]) -> None:
    pytest.importorskip(LIBRARIES.get(backend, "ortools"))
    rng = np.random.default_rng(0)
    theta = np.concatenate([rng.uniform(0.5, 9, (6, np.prod(shape))), rng.normal(1, 1, (6, np.prod(shape)))])
    clamped = np.maximum(theta, LEAST * np.abs(theta).max(1, keepdims=True))
    kernel, model = grid_solver(shape).solve(clamped), model_solver(backend, shape)
    assert model.shape == shape
    found = model.solve(theta)
    np.testing.assert_allclose(found.y, np.round(found.y), atol=1e-7)
    np.testing.assert_allclose((found.y * clamped).sum(1), kernel.objective, rtol=1e-6)
    assert found.status[:6].tolist() == [Status.OPTIMAL] * 6
    np.testing.assert_array_equal(found.status == Status.FEASIBLE, (theta != clamped).any(1))


def test_solvers_are_an_axis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ortools")
    sizes = ["--size", "4", "--maps", "16", "--validation-maps", "6", "--test-maps", "6", "--epochs", "1"]
    arguments = [*sizes, "--solver", "kernel", "glop", "--method", "interpolation", "two-stage"]
    assert main(["shortest-path", *arguments, "--workers", "1", "--out", str(tmp_path / "run")]) == 0
    rows = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert [(row["method"], row["solver"]) for row in rows[:3]] == [
        ("interpolation", "kernel"),
        ("interpolation", "glop"),
        ("two-stage", None),  # it solves nothing in training
    ]
    scores = [[row["optimal"], row["ratio"]] for row in rows[:2]]
    assert scores[0] == pytest.approx(scores[1], rel=1e-3)  # the same network and data
    assert rows[1]["solve_ms"] > 0
    assert "ms a solve" in capsys.readouterr().out


def test_other_ends_are_refused(planning: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", f"planning:{planning}", "--maps", "4", "--workers", "1", "--out", str(tmp_path / "run")]
    assert main(["shortest-path", *data, "--solver", "glop", "--method", "perturbed"]) == 2
    assert "'glop' takes maps from corner to corner only: use kernel" in capsys.readouterr().err

"""Obstacle maps: small generated ones, and the real ones where they are."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from combdiff.metrics import optimal_rate
from combdiff.solvers import Ranking
from experiments.harness.errors import InputError
from experiments.harness.task import DataSet
from experiments.methods.interpolation import Interpolation
from experiments.ranking.task import Rankings
from experiments.shortest_path import planning as source
from experiments.shortest_path.evaluate import score, straight_line
from experiments.shortest_path.maps import Maps
from experiments.shortest_path.task import ShortestPaths

COUNTS = (24, 9, 9)
ENVIRONMENTS = ("alternating_gaps", "bugtrap_forest", "forest", "gaps_and_forest", "mazes")


def check_laws(data: DataSet[Maps]) -> None:
    for maps in (data.train, data.validation, data.test):
        assert maps.blocked is not None
        assert maps.start is not None
        assert maps.goal is not None
        assert not bool((maps.paths * maps.blocked).any())
        # the labels are as short as the paths of a solver that knows the obstacles
        walled = maps.costs + 1e6 * maps.blocked
        assert optimal_rate(maps.paths, ShortestPaths().solve(walled, maps), walled, maps.shape) == 1.0
        rows = torch.arange(len(maps))
        assert bool((maps.paths[rows, *maps.start.T] == 1).all())
        assert bool((maps.paths[rows, *maps.goal.T] == 1).all())
        assert bool((maps.images[rows, 1, *maps.start.T] == 255).all())
        assert bool((maps.images[rows, 2, *maps.goal.T] == 255).all())
        assert torch.equal(maps.images[:, 0] == 0, maps.blocked)
        for baseline in ShortestPaths().baselines(maps).values():
            found = score(baseline, maps)
            assert found["optimal"] <= found["free"]
            if found["free"]:
                assert found["ratio"] >= 1.0


def test_laws(planning: Path) -> None:
    check_laws(source.load(planning, None, 0, COUNTS))


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_laws_on_real_maps(environment: str) -> None:
    folder = os.environ.get("COMBDIFF_DATA")
    if folder is None:
        pytest.skip("COMBDIFF_DATA is not set: it names the folder of the real data sets")
    data = source.load(Path(folder) / "planning", environment, 0, (50, 100, 100))
    assert data.test.shape == (32, 32)
    check_laws(data)
    assert score(straight_line(data.test), data.test)["optimal"] < 0.8


def test_starts_follow_the_split(planning: Path) -> None:
    first, again, other = (source.load(planning, None, split, COUNTS).train.start for split in (0, 0, 1))
    assert first is not None
    assert again is not None
    assert other is not None
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_path_through_a_wall_is_not_optimal(planning: Path) -> None:
    maps = source.load(planning, None, 0, COUNTS).test
    assert maps.blocked is not None
    through = ShortestPaths().baselines(maps)["constant costs"]
    crosses = (through * maps.blocked).sum((1, 2)) > 0
    assert bool(crosses.any())
    assert score(through, maps)["free"] == 1 - float(crosses.double().mean())


def test_environment_of_a_folder(planning: Path) -> None:
    assert len(source.load(planning.parent, "walls", 0, COUNTS).train) == 24
    with pytest.raises(InputError, match="say by --environment which of walls"):
        source.load(planning.parent, None, 0, COUNTS)
    with pytest.raises(InputError, match=r"unknown environment 'mazes'.*choose from walls"):
        source.load(planning.parent, "mazes", 0, COUNTS)


def _drop(arrays: dict[str, np.ndarray]) -> None:
    del arrays["arr_11"]


def _wide(arrays: dict[str, np.ndarray]) -> None:
    arrays["arr_2"] = arrays["arr_2"][:, :4]


def _no_goal(arrays: dict[str, np.ndarray]) -> None:
    arrays["arr_5"] = 0 * arrays["arr_5"]


def _wrong_policy(arrays: dict[str, np.ndarray]) -> None:
    arrays["arr_2"] = np.roll(arrays["arr_2"], 3, axis=1)


def _unreachable(arrays: dict[str, np.ndarray]) -> None:
    arrays["arr_3"][2] = source.UNREACHABLE


BAD: dict[str, tuple[Callable[[dict[str, np.ndarray]], None], str]] = {
    "an array is missing": (_drop, "has no array 'arr_11'"),
    "four directions": (_wide, r"arr_2 of .* has shape \(6, 4, 1, 6, 6\), but \(6, 8, 1, 6, 6\) is expected"),
    "no goal": (_no_goal, "arr_5 of .*: each map needs exactly one goal"),
    "the policy contradicts the distance": (_wrong_policy, "arr_2 of .* does not reach the goal in"),
    "nothing reaches the goal": (_unreachable, "arr_3 of .*: no cell of map 2 is on a way to its goal"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_refused(planning_arrays: dict[str, np.ndarray], tmp_path: Path, case: str) -> None:
    spoil, message = BAD[case]
    spoil(planning_arrays)
    np.savez(tmp_path / "bad.npz", **planning_arrays)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        source.load(tmp_path / "bad.npz", None, 0, COUNTS)


def test_a_damaged_file(planning: Path) -> None:
    content = bytearray(planning.read_bytes())
    for size in (10, 1000, len(content) - 30):
        planning.write_bytes(content[:size])
        with pytest.raises(InputError, match="cannot be read as a NumPy file"):
            source.load(planning, None, 0, COUNTS)
    content[200] ^= 0xFF
    planning.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a NumPy file"):
        source.load(planning, None, 0, COUNTS)


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        source.load(tmp_path / "nowhere", None, 0, COUNTS)


def test_the_rim_cannot_take_the_costs_of_all_other_cells() -> None:
    """Divided by their mean, all others are next to 0; by their geometric mean, they stay as they are."""
    scores = torch.zeros(1, 32, 32)
    scores[:, 0] = 1e4
    inner = {}
    for divisor in ("mean", "geometric"):
        method = Interpolation(divisor=divisor)
        method.task = ShortestPaths()
        inner[divisor] = float(method.costs(scores)[0, 1:].mean())
    assert inner["mean"] < 0.01
    assert inner["geometric"] == pytest.approx((math.log(2.0) / 1e4) ** (1 / 32), rel=0.01)  # 0.74
    method.task = Rankings()
    with pytest.raises(ValueError, match="needs a task whose costs are positive"):
        method.setup(Ranking(4), None)

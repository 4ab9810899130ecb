"""Obstacle maps with goals, and the optimal policies on them: the Neural A* data (Yonetani et al., 2021).

One environment is one npz file, for example `mazes_032_moore_c8.npz`, with four arrays for each of train, validation
and test: the map (n, 32, 32; 1 = free), the goal (n, 1, 32, 32; one-hot), the optimal policy
(n, 8, 1, 32, 32; one-hot over `MOVES`) and the optimal distance (n, 1, 32, 32; minus the number of moves to the
goal, diagonal ones count as 1 too; `UNREACHABLE` in obstacles and where no way leads to the goal).

The labels are paths that follow the policy from random starts. The solver knows nothing of obstacles: the
network has to learn that they cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from numpy import ndarray

from experiments.harness.arrays import Array, expect_shape, read_arrays
from experiments.harness.errors import InputError
from experiments.harness.task import DataSet
from experiments.shortest_path.maps import Maps

MOVES = np.array([(-1, 0), (0, 1), (0, -1), (1, 0), (-1, 1), (-1, -1), (1, 1), (1, -1)])
"""(row, column) of each direction of the policy: N, E, W, S, NE, NW, SE, SW."""
UNREACHABLE = -1024
FAR = 0.45
"""starts are drawn among this share of the free cells, those farthest from the goal"""
Cells = Int64[ndarray, "n 2"]


def load(path: Path, environment: str | None, split: int, counts: tuple[int, int, int]) -> DataSet[Maps]:
    """Read one environment and draw starts.

    Args:
        path: the npz file, or the folder with those of all environments.
        environment: which one, if path is a folder: "mazes", "forest", ...
        split: seed of the starts.
        counts: how many paths to draw for training, validation and test; the maps are used in turn.

    Raises:
        InputError: for a file that is missing, damaged, of other shapes, or contradicts itself.
    """
    file = _find(path, environment)
    arrays = read_arrays(file)
    names = [f"arr_{i}" for i in range(12)]
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InputError(f"{file} has no array {missing[0]!r}: {', '.join(names)} are expected")
    return DataSet(*(_draw(file, arrays, 4 * part, count, split) for part, count in enumerate(counts)))


def trace(policy: Int64[ndarray, "n rows cols"], start: Cells, goal: Cells) -> Float32[ndarray, "n rows cols"]:
    """Follow a policy, the number of a move in each cell, from every start until the goal or the rim.

    >>> policy = np.zeros((1, 2, 2), dtype=np.int64)  # north everywhere
    >>> trace(policy, np.array([[1, 1]]), np.array([[0, 1]]))
    array([[[0., 1.],
            [0., 1.]]], dtype=float32)
    """
    count, rows, cols = policy.shape
    path = np.zeros((count, rows, cols), dtype=np.float32)
    here, row = start.copy(), np.arange(count)
    for _ in range(rows * cols):
        path[row, *here.T] = 1.0
        there = here + MOVES[policy[row, *here.T]]
        going = (here != goal).any(1) & ((there >= 0) & (there < (rows, cols))).all(1)
        if not going.any():
            break
        here = np.where(going[:, None], there, here)
    return path


def _find(path: Path, environment: str | None) -> Path:
    if not path.is_dir():
        if not path.exists():
            raise InputError(f"{path} does not exist: give an npz file of the planning data, or their folder")
        return path
    files = {file.name.split("_032")[0].removesuffix(".npz"): file for file in sorted(path.glob("*.npz"))}
    known = ", ".join(files) or "no npz files"
    if environment is None:
        raise InputError(f"{path} is a folder: say by --environment which of {known}")
    if environment not in files:
        raise InputError(f"unknown environment {environment!r} in {path}: choose from {known}")
    return files[environment]


def _draw(file: Path, arrays: Mapping[str, Array], first: int, count: int, split: int) -> Maps:
    """Starts and labels on the maps of one part of the file, whose four arrays begin with the `first`."""
    four = [arrays[f"arr_{first + i}"] for i in range(4)]
    names = [f"arr_{first + i} of {file}" for i in range(4)]
    expect_shape(names[0], four[0], (None, None, None))
    number, rows, cols = four[0].shape
    for name, array, shape in zip(names[1:], four[1:], [(1,), (8, 1), (1,)], strict=True):
        expect_shape(name, array, (number, *shape, rows, cols))
    free, goals = four[0] == 1, four[1][:, 0] == 1
    policy, distance = four[2][:, :, 0].argmax(1), four[3][:, 0]
    if (goals.sum((1, 2)) != 1).any():
        raise InputError(f"{names[1]}: each map needs exactly one goal")
    row = np.arange(count)
    maps = row % number
    start = _far_starts(names[3], distance, maps, np.random.default_rng((split, first)))
    goal, blocked = np.argwhere(goals)[maps, 1:], ~free[maps]
    paths = trace(policy[maps], start, goal)
    moves = -distance[maps, *start.T]
    wrong = (paths.sum((1, 2)) - 1 != moves) | (paths * blocked).any((1, 2)) | (paths[row, *goal.T] == 0)
    if wrong.any():
        bad = int(wrong.argmax())
        raise InputError(
            f"{names[2]}: from {tuple(start[bad].tolist())} on map {maps[bad]} the policy does not reach the goal in "
            f"{moves[bad]:g} free moves, as {names[3]} says"
        )
    images = np.zeros((count, 3, rows, cols), dtype=np.uint8)  # what is free, the start, the goal
    images[:, 0] = 255 * ~blocked
    images[row, 1, *start.T] = images[row, 2, *goal.T] = 255
    costs = np.where(blocked, float(rows), 1.0)
    return Maps(*map(torch.from_numpy, (images, costs, paths, start, goal, blocked)))


def _far_starts(name: str, distance: Array, maps: Int64[ndarray, " n"], rng: np.random.Generator) -> Cells:
    """A random start for each of the chosen maps, reachable and far from the goal."""
    starts = np.empty((len(maps), 2), dtype=np.int64)
    for row, number in enumerate(maps):
        moves = -distance[number]
        reachable = np.argwhere((moves > 0) & (moves < -UNREACHABLE))
        if not len(reachable):
            raise InputError(f"{name}: no cell of map {number} is on a way to its goal")
        length = moves[tuple(reachable.T)]
        far = reachable[length >= np.quantile(length, 1 - FAR)]
        starts[row] = far[rng.integers(len(far))]
    return starts

"""Maps from a user's arrays, checked: images, paths or costs, and optionally starts, goals and obstacles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from combdiff.solvers import GridInstances
from experiments.harness.arrays import Array, expect_shape, read_arrays
from experiments.harness.errors import InputError
from experiments.harness.task import DataSet
from experiments.shortest_path.maps import Maps, grid_solver

PARTS = ("train", "val", "test")
TYPES = {"paths": np.float32, "costs": np.float64, "starts": np.int64, "goals": np.int64, "obstacles": np.bool_}
ARRAYS = ("images", *TYPES)
ROUNDING = 0.01
"""by how much a labelled path may cost more than the shortest one: published costs are rounded"""


def read_npz(path: Path, counts: tuple[int, int, int]) -> DataSet[Maps]:
    """Maps of one's own: an npz file with `train_images`, `train_paths`, ..., `val_images`, ..., `test_images`, ...

    Args:
        path: the file; the arrays of each part are those of `maps_from_arrays`.
        counts: how many maps to use, at most, for training, validation and test.

    Raises:
        InputError: for a file that is not there, or arrays that are missing, of other shapes, or contradict each other.
    """
    arrays = read_arrays(path)
    unknown = arrays.keys() - {f"{part}_{name}" for part in PARTS for name in ARRAYS}
    if unknown:
        raise InputError(
            f"{path} has an array {min(unknown)!r}: expected are {', '.join(f'train_{name}' for name in ARRAYS)}, and "
            "the same with val_ and test_"
        )
    return maps_of_parts(
        lambda part, name: arrays.get(f"{part}_{name}"), lambda part, name: f"{part}_{name} of {path}", counts
    )


def maps_of_parts(
    find: Callable[[str, str], Array | None],
    call: Callable[[str, str], str],
    counts: tuple[int, int, int],
    augment: Callable[[Tensor], Tensor] = lambda images: images,
) -> DataSet[Maps]:
    """Check the arrays of training, validation and test maps.

    Args:
        find: the array of a part and a name of `ARRAYS`, or None.
        call: how messages call it.
        counts: how many maps to use, at most, for training, validation and test.
        augment: a random change of training images.

    Raises:
        InputError: for arrays that are missing, of other shapes, or contradict each other.
    """
    parts = []
    for part, count in zip(PARTS, counts, strict=True):
        given = {name: array[:count] for name in ARRAYS if (array := find(part, name)) is not None}
        parts.append(maps_from_arrays(given, {name: call(part, name) for name in ARRAYS}))
        images = call(part, "images")
        if not len(parts[-1]):
            raise InputError(f"{images} holds no map")
        if (parts[-1].shape, parts[-1].images.shape[1:]) != (parts[0].shape, parts[0].images.shape[1:]):
            raise InputError(f"{images} has maps or images of another shape than {call('train', 'images')}")
    return DataSet(*parts, augment=augment)


def maps_from_arrays(given: Mapping[str, Array], named: Mapping[str, str]) -> Maps:
    """Check the arrays of one set of maps, and make `Maps` of them.

    Args:
        given: some of the following; (rows, cols) are the cells of a map, 8 neighbours each.
            `images`: (n, rows·k, cols·k, channels) or (n, rows·k, cols·k), k × k pixels for each cell: integers from 0
            to 255, or floats in [0, 1].
            `paths`: (n, rows, cols), 0/1, the labelled shortest paths; found from the costs if they are left out.
            `costs`: (n, rows, cols), positive. Without them there is no two-stage training, and no score that needs
            them.
            `starts`, `goals`: (n, 2), row and column of the ends; the first and the last cell if they are left out.
            `obstacles`: (n, rows, cols), true where no path goes.
        named: how messages call each of the six arrays.

    Raises:
        InputError: naming the array, what it has, and what is expected.
    """
    if "images" not in given or not given.keys() & {"paths", "costs"}:
        raise InputError(f"{named['images']}, and {named['paths']} or {named['costs']}, are needed: they do not exist")
    cells = next(key for key in ("costs", "paths") if key in given)
    expect_shape(named[cells], given[cells], (None, None, None))
    count, rows, cols = given[cells].shape
    for key in given.keys() & {"paths", "costs", "obstacles"}:
        expect_shape(named[key], given[key], (count, rows, cols))
    if "costs" in given and not (np.isfinite(given["costs"]).all() and (given["costs"] > 0).all()):
        raise InputError(f"{named['costs']} must be positive and finite")
    for key in given.keys() & {"paths", "obstacles"}:
        if not np.isin(given[key], (0, 1)).all():
            raise InputError(f"{named[key]} must be 0/1")
    if ("starts" in given) != ("goals" in given):
        raise InputError(f"{named['starts']} and {named['goals']} go together: one of them is missing")
    for key in given.keys() & {"starts", "goals"}:
        expect_shape(named[key], given[key], (count, 2))
        if given[key].dtype.kind not in "ui" or (given[key] < 0).any() or (given[key] >= (rows, cols)).any():
            raise InputError(f"{named[key]} must hold rows from 0 to {rows - 1}, columns from 0 to {cols - 1}")
    images = torch.from_numpy(_pixels(named["images"], given["images"], (count, rows, cols)))
    found = {key: torch.from_numpy(given[key].astype(kind)) for key, kind in TYPES.items() if key in given}
    paths = found.get("paths", torch.zeros(count, rows, cols))
    maps = Maps(images, found.get("costs"), paths, *(found.get(key) for key in ("starts", "goals", "obstacles")))
    instances = GridInstances(*maps.ends(), None if maps.blocked is None else maps.blocked.numpy())
    if "paths" in given:
        _check_paths(named, maps, instances)
        return maps
    answer = grid_solver((rows, cols)).solve(maps.costs.reshape(count, rows * cols).numpy(), instances)
    if not answer.solved.all():
        row = int(np.argmin(answer.solved))
        raise InputError(f"{named['costs']}[{row}] has no way around the obstacles from start to goal")
    return replace(maps, paths=torch.from_numpy(answer.y.reshape(count, rows, cols)).float())


def _pixels(name: str, images: Array, cells: tuple[int, int, int]) -> Array:
    """Images as bytes, channels first."""
    count, rows, cols = cells
    if images.ndim == 3:
        images = images[..., None]
    expect_shape(name, images, (count, None, None, None))
    _, height, width, channels = images.shape
    if not rows or not channels or height % rows or height // rows != width // cols or width % cols:
        raise InputError(
            f"{name} of {height}×{width} pixels and {channels} channels do not divide into {rows}×{cols} square tiles"
        )
    if images.dtype.kind == "f":
        if not (np.isfinite(images).all() and (images >= 0).all() and (images <= 1).all()):
            raise InputError(f"{name} holds floats outside [0, 1]: divide them by their range, or give bytes")
        images = np.round(255 * images.astype(np.float64))
    elif images.dtype.kind == "b":
        images = 255 * images.astype(np.uint8)
    elif images.dtype.kind not in "ui" or images.min(initial=0) < 0 or images.max(initial=0) > 255:
        raise InputError(f"{name} of type {images.dtype} must hold integers from 0 to 255, or floats in [0, 1]")
    elif images.size and images.max() <= 1:
        raise InputError(f"{name} of type {images.dtype} holds only 0 and 1, which is black: 255 is white")
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.uint8)


def _check_paths(named: Mapping[str, str], maps: Maps, instances: GridInstances) -> None:
    """Labels have to be paths between the ends, shortest ones by the costs, up to rounding."""
    solver, paths = grid_solver(maps.shape), maps.paths.double().flatten(1).numpy()
    if maps.true_costs is not None:
        costs = maps.true_costs.flatten(1).numpy()
        ratio = (costs * paths).sum(1) / solver.solve(costs, instances).objective
        if (ratio > 1 + ROUNDING).any():
            row = int(np.nanargmax(ratio))
            raise InputError(
                f"{named['paths']}[{row}] costs {ratio[row]:.3g} times as much as the shortest path by "
                f"{named['costs']}: do the files belong together?"
            )
    around = np.where(paths == 1, 1.0, 1.0 + paths.shape[1])  # leaving the label costs more than all of it
    wrong = solver.solve(around, instances).objective != paths.sum(1)
    if wrong.any():
        row = int(wrong.argmax())
        start, goal = (tuple(ends[row].tolist()) for ends in maps.ends())
        raise InputError(
            f"{named['paths']}[{row}] does not go from {start} to {goal} by free cells, 8 neighbours each, with none "
            f"to spare: give other ends by {named['starts']} and {named['goals']}"
        )

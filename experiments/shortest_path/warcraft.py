"""The Warcraft maps of Vlastelica et al. (2020), from the published files.

https://edmond.mpg.de/dataset.xhtml?persistentId=doi:10.17617/3.YJCQ5S (`warcraft_maps.tar.gz`): a folder for each
size, 12x12 to 30x30, with train, val and test files: `{split}_maps.npy` (images, n × 8k × 8k × 3 bytes),
`{split}_vertex_weights.npy` and `{split}_shortest_paths.npy` (n × k × k), possibly in numbered parts
(`train_maps_part0.npy`), or as npz: one file for each array, or `{split}.npz` with all three.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch

from experiments.arrays import Array, expect_shape, read_arrays
from experiments.errors import InputError
from experiments.shortest_path.augment import noise
from experiments.shortest_path.maps import DataSet, Maps, grid_solver

ROUNDING = 0.01
NAMES = ("maps", "vertex_weights", "shortest_paths")


def load(path: Path, size: int | None, counts: tuple[int, int, int]) -> DataSet:
    """Read the maps below a folder.

    Args:
        path: the folder with the files, or the one above it (then `size` says which: `12x12`).
        size: cells of a map, each way; None for what the files hold.
        counts: how many maps to use, at most, for training, validation and test.

    Raises:
        InputError: for a path that does not exist, or files that are missing, damaged or of other shapes.
    """
    if not path.is_dir():
        raise InputError(f"{path} does not exist, or is no folder: give the folder of the Warcraft files")
    folder = path / f"{size}x{size}" if size is not None and (path / f"{size}x{size}").is_dir() else path
    train, validation, test = (
        _read(folder, split, count) for split, count in zip(("train", "val", "test"), counts, strict=True)
    )
    shapes = {maps.shape for maps in (train, validation, test)}
    if len(shapes) > 1 or (size is not None and shapes != {(size, size)}):
        found = ", ".join(f"{rows}×{cols}" for rows, cols in shapes)
        raise InputError(
            f"the maps in {folder} have {found} cells" + (f", not {size}×{size}" if size else ": one size!")
        )
    tile = train.images.shape[-1] // train.shape[1]
    return DataSet(train, validation, test, tile, augment=partial(noise, scale=0.02))


def _read(folder: Path, split: str, count: int) -> Maps:
    images, costs, paths = (_array(folder, split, name)[:count] for name in NAMES)
    expect_shape(f"{split}_vertex_weights", costs, (None, None, None))
    number, rows, cols = costs.shape
    expect_shape(f"{split}_shortest_paths", paths, (number, rows, cols))
    expect_shape(f"{split}_maps", images, (number, None, None, 3))
    _, height, width, _ = images.shape
    if not rows or height % rows or height // rows != width // cols or width % cols:
        raise InputError(f"{split}_maps of {height}×{width} pixels do not divide into {rows}×{cols} square tiles")
    if not (np.isfinite(costs).all() and (costs > 0).all()):
        raise InputError(f"{split}_vertex_weights must be positive and finite")
    if not np.isin(paths, (0, 1)).all() or not (paths[:, 0, 0].all() and paths[:, -1, -1].all()):
        raise InputError(f"{split}_shortest_paths must be 0/1 and go from the first to the last cell")
    _refuse_detours(split, costs.astype(np.float64), paths)
    return Maps(
        torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.uint8)),
        torch.from_numpy(costs.astype(np.float64)),
        torch.from_numpy(paths.astype(np.float32)),
    )


def _refuse_detours(split: str, costs: Array, paths: Array) -> None:
    """Labels have to be shortest paths, up to the rounding of published weights."""
    best = grid_solver(costs.shape[1:]).solve(costs.reshape(len(costs), -1)).objective
    ratio = (costs * paths).sum((1, 2)) / best
    if (ratio > 1 + ROUNDING).any():
        row = int(ratio.argmax())
        raise InputError(
            f"{split}_shortest_paths[{row}] costs {ratio[row]:.3g} times as much as the shortest path by "
            f"{split}_vertex_weights: do the files belong together?"
        )


def _array(folder: Path, split: str, name: str) -> Array:
    """One array, from whichever of the published forms is there."""
    together = folder / f"{split}.npz"
    if together.exists():
        arrays = read_arrays(together)
        found = arrays.get(name, arrays.get(f"{split}_{name}"))
        if found is None:
            raise InputError(f"{together} has no array {name!r}, but {', '.join(arrays)}")
        return found
    files = [folder / f"{split}_{name}{end}" for end in (".npy", ".npz")]
    files = [file for file in files if file.exists()][:1]
    files = files or sorted(folder.glob(f"{split}_{name}_part*.np[yz]"), key=lambda file: (len(file.name), file.name))
    if not files:
        raise InputError(f"{folder / split}_{name}.npy does not exist (nor .npz, nor parts of it)")
    parts: list[Array] = []
    for file in files:
        arrays = read_arrays(file)
        if len(arrays) != 1:
            raise InputError(f"{file} holds {len(arrays)} arrays ({', '.join(arrays)}): one is expected")
        parts.extend(arrays.values())
    return np.concatenate(parts)

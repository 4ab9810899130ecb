"""The Warcraft maps of Vlastelica et al. (2020), from the published files.

https://edmond.mpg.de/dataset.xhtml?persistentId=doi:10.17617/3.YJCQ5S (`warcraft_maps.tar.gz`): a folder for each
size, 12x12 to 30x30, with train, val and test files: `{split}_maps.npy` (images, n × 8k × 8k × 3 bytes),
`{split}_vertex_weights.npy` and `{split}_shortest_paths.npy` (n × k × k), possibly in numbered parts
(`train_maps_part0.npy`), or as npz: one file for each array, or `{split}.npz` with all of them.

Maps of one's own may have any number of channels, float pixels in [0, 1], and no weights; `{split}_starts`,
`{split}_goals` and `{split}_obstacles` are read where they are (see `maps_from_arrays`).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from experiments.harness.arrays import Array, read_arrays
from experiments.harness.errors import InputError
from experiments.harness.task import DataSet
from experiments.shortest_path.augment import noise
from experiments.shortest_path.from_arrays import ARRAYS, maps_of_parts
from experiments.shortest_path.maps import Maps

NAMES = {name: name for name in ARRAYS} | {"images": "maps", "paths": "shortest_paths", "costs": "vertex_weights"}
"""how the files call the arrays of `maps_from_arrays`"""


def load(path: Path, size: int | None, counts: tuple[int, int, int]) -> DataSet[Maps]:
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

    def find(part: str, name: str) -> Array | None:
        found = _array(folder, part, NAMES[name])
        if found is None and name in ("images", "paths"):
            raise InputError(f"{folder / part}_{NAMES[name]}.npy does not exist (nor .npz, nor parts of it)")
        return found

    data = maps_of_parts(find, lambda part, name: f"{folder / part}_{NAMES[name]}", counts, partial(noise, scale=0.02))
    rows, cols = data.train.shape
    if size is not None and (rows, cols) != (size, size):
        raise InputError(f"the maps in {folder} have {rows}×{cols} cells, not {size}×{size}")
    return data


def _array(folder: Path, split: str, name: str) -> Array | None:
    """One array, from whichever of the published forms is there; None where there is none."""
    together = folder / f"{split}.npz"
    if together.exists():
        arrays = read_arrays(together)
        return arrays.get(name, arrays.get(f"{split}_{name}"))
    files = [folder / f"{split}_{name}{end}" for end in (".npy", ".npz")]
    files = [file for file in files if file.exists()][:1]
    files = files or sorted(folder.glob(f"{split}_{name}_part*.np[yz]"), key=lambda file: (len(file.name), file.name))
    if not files:
        return None
    parts: list[Array] = []
    for file in files:
        arrays = read_arrays(file)
        if len(arrays) != 1:
            raise InputError(f"{file} holds {len(arrays)} arrays ({', '.join(arrays)}): one is expected")
        parts.extend(arrays.values())
    return np.concatenate(parts)

"""The published Warcraft files, by small ones of the same form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.harness.errors import InputError
from experiments.shortest_path import warcraft as source
from experiments.shortest_path.evaluate import score
from experiments.shortest_path.task import ShortestPaths

COUNTS = (100, 100, 100)


def test_reads_what_is_there(warcraft: Path) -> None:
    data = source.load(warcraft, None, COUNTS)
    assert [len(maps) for maps in (data.train, data.validation, data.test)] == [12, 6, 6]
    assert data.train.shape == (4, 4)
    assert data.train.images.shape == (12, 3, 32, 32)
    assert data.train.tile == 8
    assert score(ShortestPaths().solve(data.test.costs, data.test), data.test)["optimal"] == 1.0


def test_the_folder_above_needs_a_size(warcraft: Path) -> None:
    assert source.load(warcraft.parent, 4, COUNTS).train.shape == (4, 4)


def test_no_more_maps_than_asked(warcraft: Path) -> None:
    assert len(source.load(warcraft, None, (5, 1, 1)).train) == 5


def test_float_pixels_are_not_black(warcraft: Path) -> None:
    bytes_ = source.load(warcraft, None, COUNTS)
    for split in ("train", "val", "test"):
        _rewrite(warcraft, f"{split}_maps", lambda a: (a / 255).astype(np.float32))
    assert torch.equal(source.load(warcraft, None, COUNTS).train.images, bytes_.train.images)


def test_maps_without_costs_of_one_channel_between_other_ends(warcraft: Path) -> None:
    bytes_ = source.load(warcraft, None, COUNTS)
    for split in ("train", "val", "test"):
        (warcraft / f"{split}_vertex_weights.npy").unlink()
        _rewrite(warcraft, f"{split}_maps", lambda a: a[..., :1])
        count = len(np.load(warcraft / f"{split}_maps.npy"))
        np.save(warcraft / f"{split}_starts.npy", np.full((count, 2), 3))
        np.save(warcraft / f"{split}_goals.npy", np.zeros((count, 2), dtype=np.int64))
    train = source.load(warcraft, None, COUNTS).train
    assert train.true_costs is None
    assert train.start is not None
    assert train.start[0].tolist() == [3, 3]
    assert torch.equal(train.images, bytes_.train.images[:, :1])
    assert torch.equal(train.paths, bytes_.train.paths)
    scores = score(train.paths.double(), train)
    assert np.isnan([scores[name] for name in ("optimal", "ratio", "spearman")]).all()
    assert scores["match"] == scores["right"] == 1.0


def test_every_published_form_gives_the_same(warcraft: Path, tmp_path: Path) -> None:
    once = source.load(warcraft, None, COUNTS)
    arrays = {file.stem: np.load(file, allow_pickle=False) for file in warcraft.glob("*.npy")}
    single, together, parts = (tmp_path / name for name in ("single", "together", "parts"))
    for folder in (single, together, parts):
        folder.mkdir()
    for split in ("train", "val", "test"):
        names = {name: arrays[f"{split}_{name}"] for name in ("maps", "vertex_weights", "shortest_paths")}
        np.savez(together / f"{split}.npz", **names)
        for name, array in names.items():
            np.savez(single / f"{split}_{name}.npz", array)
            np.save(parts / f"{split}_{name}_part0.npy", array[:2])
            np.save(parts / f"{split}_{name}_part1.npy", array[2:])
    for folder in (single, together, parts):
        again = source.load(folder, None, COUNTS)
        assert torch.equal(once.train.images, again.train.images)
        assert torch.equal(once.test.costs, again.test.costs)
        assert torch.equal(once.validation.paths, again.validation.paths)


def _rewrite(folder: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    file = folder / f"{name}.npy"
    np.save(file, change(np.load(file, allow_pickle=False)))


def _truncate(folder: Path) -> None:
    file = folder / "train_maps.npy"
    file.write_bytes(file.read_bytes()[:500])


def _pickled(folder: Path) -> None:
    np.save(folder / "val_maps.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def _ends(folder: Path, last: int) -> None:
    np.save(folder / "val_starts.npy", np.zeros((6, 2), dtype=np.int64))
    np.save(folder / "val_goals.npy", np.full((6, 2), last))


def _other_ends(folder: Path) -> None:
    _ends(folder, 2)
    (folder / "val_vertex_weights.npy").unlink()


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing file": (lambda f: (f / "test_shortest_paths.npy").unlink(), "test_shortest_paths.npy does not exist"),
    "truncated": (_truncate, "train_maps.npy cannot be read"),
    "pickled": (_pickled, "val_maps.npy cannot be read .*allow_pickle"),
    "channels": (
        lambda f: _rewrite(f, "train_maps", lambda a: a[..., :0]),
        "train_maps of 32×32 pixels and 0 channels",
    ),
    "floats above 1": (lambda f: _rewrite(f, "val_maps", lambda a: a / 100), r"val_maps holds floats outside \[0, 1\]"),
    "NaN pixels": (lambda f: _rewrite(f, "val_maps", lambda a: a * np.nan), r"val_maps holds floats outside \[0, 1\]"),
    "integers": (
        lambda f: _rewrite(f, "val_maps", lambda a: a + np.int64(300)),
        "val_maps .* must hold integers from 0 to 255",
    ),
    "0/1 bytes": (
        lambda f: _rewrite(f, "train_maps", lambda a: a // 200),
        "train_maps .* only 0 and 1, which is black",
    ),
    "one end": (lambda f: np.save(f / "val_starts.npy", np.zeros((6, 2), int)), "one of them is missing"),
    "ends": (lambda f: _ends(f, 4), r"val_goals must hold rows from 0 to 3"),
    "other ends": (
        _other_ends,
        r"val_shortest_paths\[0\] does not go from \(0, 0\) to \(2, 2\) by free cells, .* none to spare",
    ),
    "walls": (
        lambda f: np.save(f / "test_obstacles.npy", np.ones((6, 4, 4))),
        r"test_shortest_paths\[0\] does not go from \(0, 0\) to \(3, 3\) by free cells",
    ),
    "count": (
        lambda f: _rewrite(f, "val_shortest_paths", lambda a: a[:5]),
        r"val_shortest_paths has shape \(5, 4, 4\)",
    ),
    "tiles": (lambda f: _rewrite(f, "test_maps", lambda a: a[:, :30]), "do not divide into 4×4 square tiles"),
    "negative": (lambda f: _rewrite(f, "test_vertex_weights", lambda a: -a), "positive and finite"),
    "NaN": (lambda f: _rewrite(f, "test_vertex_weights", lambda a: a * np.nan), "positive and finite"),
    "not 0/1": (lambda f: _rewrite(f, "train_shortest_paths", lambda a: 2 * a), "must be 0/1"),
    "detours": (lambda f: _rewrite(f, "val_shortest_paths", np.ones_like), r"val_shortest_paths\[\d\] costs .* times"),
    "no path": (
        lambda f: _rewrite(f, "train_shortest_paths", lambda a: 0 * a),
        r"does not go from \(0, 0\) to \(3, 3\)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused(warcraft: Path, case: str) -> None:
    spoil, message = BAD[case]
    spoil(warcraft)
    with pytest.raises(InputError, match=message):
        source.load(warcraft, None, COUNTS)


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        source.load(tmp_path / "nowhere", None, COUNTS)


def test_another_size_than_asked(warcraft: Path) -> None:
    with pytest.raises(InputError, match="4×4 cells, not 12×12"):
        source.load(warcraft, 12, COUNTS)

"""Maps of a user's own, from an npz file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.__main__ import main
from experiments.harness.errors import InputError
from experiments.shortest_path.from_arrays import read_npz
from experiments.shortest_path.task import ShortestPaths

COUNTS = (100, 100, 100)
Arrays = dict[str, np.ndarray]


@pytest.fixture
def arrays() -> Arrays:
    """4×5 maps with costs, ends and one obstacle each; tiles of 2×2 pixels, as bright as they cost."""
    rng, found = np.random.default_rng(0), {}
    for part, count in (("train", 12), ("val", 6), ("test", 6)):
        costs = rng.uniform(1, 9, (count, 4, 5))
        found[f"{part}_costs"] = costs
        found[f"{part}_images"] = np.kron(costs / 10, np.ones((1, 2, 2)))[..., None].astype(np.float32)
        found[f"{part}_starts"] = np.stack([np.full(count, 3), rng.integers(0, 2, count)], axis=1)
        found[f"{part}_goals"] = np.stack([np.zeros(count, dtype=np.int64), rng.integers(3, 5, count)], axis=1)
        found[f"{part}_obstacles"] = np.zeros((count, 4, 5), dtype=bool)
        found[f"{part}_obstacles"][:, 1, 2] = True
    return found


def save(arrays: Arrays, folder: Path) -> Path:
    np.savez(folder / "own.npz", **arrays)  # type: ignore[arg-type]
    return folder / "own.npz"


def test_labels_are_found_from_costs(arrays: Arrays, tmp_path: Path) -> None:
    data = read_npz(save(arrays, tmp_path), (10, 100, 100))
    assert [len(maps) for maps in (data.train, data.validation, data.test)] == [10, 6, 6]
    train = data.train
    assert train.blocked is not None
    assert not bool((train.paths * train.blocked).any())
    walled = train.costs + 1e6 * train.blocked
    assert torch.equal(train.paths.double(), ShortestPaths().solve(walled, train))
    assert torch.equal(train.images[0, 0, ::2, ::2], (255 * train.costs[0].float() / 10).round().to(torch.uint8))


def test_paths_alone_will_do(arrays: Arrays, tmp_path: Path) -> None:
    first = read_npz(save(arrays, tmp_path), COUNTS)
    for part, maps in (("train", first.train), ("val", first.validation), ("test", first.test)):
        arrays[f"{part}_paths"] = maps.paths.numpy().astype(bool)
        del arrays[f"{part}_costs"]
    data = read_npz(save(arrays, tmp_path), COUNTS)
    assert data.train.lacks(["solutions", "true_costs"]) == ["true_costs"]
    assert torch.equal(data.train.paths, first.train.paths)
    sizes = ["--epochs", "1", "--batch", "4", "--workers", "1"]
    folder = tmp_path / "run"
    assert main(["shortest-path", "--data", f"npz:{tmp_path / 'own.npz'}", *sizes, "--out", str(folder)]) == 0
    rows = json.loads((folder / "summary.json").read_text())
    assert all(row["optimal"] is None and 0 <= row["match"] <= row["free"] <= 1 for row in rows)


def put(name: str, value: object) -> Callable[[Arrays], object]:
    return lambda arrays: arrays.update({name: np.asarray(value)})


def _narrow(arrays: Arrays) -> None:
    for name, cut in (("costs", 4), ("images", 8), ("obstacles", 4)):
        arrays[f"test_{name}"] = arrays[f"test_{name}"][:, :, :cut]
    arrays["test_goals"] = arrays["test_goals"] % 4


BAD: dict[str, tuple[Callable[[Arrays], object], str]] = {
    "unknown": (put("train_labels", 1), "has an array 'train_labels': expected are train_images, train_paths"),
    "no images": (lambda a: a.pop("val_images"), "val_images of .*own.npz, and val_paths of .* are needed"),
    "neither paths nor costs": (lambda a: a.pop("test_costs"), "test_paths of .* or test_costs of .* are needed"),
    "no maps": (lambda a: a.update({k: v[:0] for k, v in a.items() if "val" in k}), "val_images of .* holds no map"),
    "another size": (_narrow, "test_images of .* has maps or images of another shape than train_images"),
    "walled in": (
        put("train_obstacles", np.ones((12, 4, 5))),
        r"train_costs of .*\[0\] has no way around the obstacles",
    ),
    "not 0/1": (put("train_obstacles", np.full((12, 4, 5), 3)), "train_obstacles of .* must be 0/1"),
    "half a cell": (put("train_starts", np.full((12, 2), 0.5)), "train_starts of .* must hold rows from 0 to 3"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_refused(arrays: Arrays, tmp_path: Path, case: str) -> None:
    spoil, message = BAD[case]
    spoil(arrays)
    with pytest.raises(InputError, match=message):
        read_npz(save(arrays, tmp_path), COUNTS)

"""Small data in the formats of the published files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from combdiff.solvers import ShortestPath
from experiments.shortest_path.task import ShortestPaths

COMPASS = {
    "N": (-1, 0),
    "E": (0, 1),
    "W": (0, -1),
    "S": (1, 0),
    "NE": (-1, 1),
    "NW": (-1, -1),
    "SE": (1, 1),
    "SW": (1, -1),
}
"""the directions of the published policies, in their order"""
UNREACHABLE = -1024


@pytest.fixture(autouse=True)
def apart() -> Iterator[None]:
    """Training seeds torch's global generator: other tests do not see that. One thread is best for tiny tensors."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of shortest paths without their pictures, which take longer than a small training."""
    monkeypatch.setattr(ShortestPaths, "pictures", lambda *_: [])


@pytest.fixture
def warcraft(tmp_path: Path) -> Path:
    """A folder of 4×4 maps, whose tiles are as bright as they cost."""
    folder, rng = tmp_path / "warcraft" / "4x4", np.random.default_rng(0)
    folder.mkdir(parents=True)
    for split, count in (("train", 12), ("val", 6), ("test", 6)):
        weights = rng.uniform(0.8, 9.2, (count, 4, 4)).astype(np.float16)
        maps = np.repeat(np.repeat(25 * weights, 8, axis=1), 8, axis=2).astype(np.uint8)
        paths = ShortestPath.grid(4).solve(weights.astype(float).reshape(count, 16)).y.reshape(count, 4, 4)
        np.save(folder / f"{split}_maps.npy", np.repeat(maps[..., None], 3, axis=-1))
        np.save(folder / f"{split}_vertex_weights.npy", weights)
        np.save(folder / f"{split}_shortest_paths.npy", paths.astype(np.uint8))
    return folder


@pytest.fixture
def planning_arrays() -> dict[str, np.ndarray]:
    """6×6 maps with a wall and a gap, their goals, optimal policies and distances."""
    rng, arrays, size = np.random.default_rng(0), {}, 6
    for part, count in enumerate((6, 3, 3)):
        free = np.ones((count, size, size))
        goal, distance = np.zeros((count, 1, size, size)), np.full((count, 1, size, size), float(UNREACHABLE))
        policy = np.zeros((count, 8, 1, size, size))
        for number in range(count):
            free[number, size // 2] = 0
            free[number, size // 2, rng.integers(size)] = 1
            end = (0, int(rng.integers(size)))
            goal[number, 0][end] = 1
            _fill(free[number], end, policy[number, :, 0], distance[number, 0])
        for offset, array in enumerate((free, goal, policy, distance)):
            arrays[f"arr_{4 * part + offset}"] = array
    return arrays


def _fill(free: np.ndarray, end: tuple[int, int], policy: np.ndarray, distance: np.ndarray) -> None:
    """Breadth-first search from the goal."""
    policy[0] = 1.0
    distance[end] = 0.0
    front = [end]
    while front:
        here = front.pop(0)
        for number, move in enumerate(COMPASS.values()):
            cell = (here[0] - move[0], here[1] - move[1])
            inside = 0 <= cell[0] < len(free) and 0 <= cell[1] < len(free)
            if inside and free[cell] and distance[cell] == UNREACHABLE:
                distance[cell] = distance[here] - 1
                policy[:, *cell] = np.eye(8)[number]
                front.append(cell)


@pytest.fixture
def planning(planning_arrays: dict[str, np.ndarray], tmp_path: Path) -> Path:
    """An npz file of 6×6 obstacle maps."""
    file = tmp_path / "walls_032_moore_c8.npz"
    np.savez(file, **planning_arrays)  # type: ignore[arg-type]
    return file

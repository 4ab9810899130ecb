"""What the digit terrain promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from combdiff.metrics import cost_ratio, optimal_rate
from experiments.digits import pools, scans
from experiments.shortest_path.augment import warp_tiles
from experiments.shortest_path.digit_terrain import Terrain, draw_maps, load
from experiments.shortest_path.evaluate import straight_line
from experiments.shortest_path.maps import Maps
from experiments.shortest_path.task import ShortestPaths

COUNTS = (30, 20, 20)


@pytest.mark.parametrize("split", [0, 1])
def test_pools_are_disjoint_and_hold_every_digit(split: int) -> None:
    indices = [set(pool.index.tolist()) for pool in pools(*scans(), split)]
    assert sum(map(len, indices)) == len(set.union(*indices)) == 1797
    for pool in pools(*scans(), split):
        assert np.bincount(pool.labels, minlength=10).min() >= 0.08 * len(pool.labels)


def test_splits_differ() -> None:
    assert set(pools(*scans(), 0)[2].index.tolist()) != set(pools(*scans(), 1)[2].index.tolist())


def test_tiles_of_a_map_come_from_its_pool_only() -> None:
    train, _, test = pools(*scans(), 0)
    known = {tile.tobytes() for tile in train.images}
    foreign = {tile.tobytes() for tile in test.images} - known
    image = draw_maps(test, 3, 12, "smooth", (0, 2)).images[0, 0].numpy()
    tiles = [image[r : r + 8, c : c + 8].tobytes() for r in range(0, 96, 8) for c in range(0, 96, 8)]
    assert {bytes(tile) for tile in tiles} <= foreign | known
    assert len([tile for tile in tiles if tile in foreign]) > 100


@pytest.mark.parametrize("terrain", ["smooth", "independent"])
@pytest.mark.parametrize("size", [2, 12, 18])
def test_labels_are_shortest_paths(terrain: Terrain, size: int) -> None:
    maps = load(size, terrain, 0, COUNTS).train
    assert maps.shape == (size, size)
    assert maps.images.shape == (30, 1, 8 * size, 8 * size)
    best = ShortestPaths().solve(maps.costs, maps)
    assert optimal_rate(maps.paths, best, maps.costs, maps.shape) == 1.0
    ratio = cost_ratio(straight_line(maps), maps.paths, maps.costs, maps.shape)
    assert float(ratio.min()) >= 1.0


def test_the_digit_is_the_cost() -> None:
    pool = pools(*scans(), 0)[0]
    maps = draw_maps(pool, 4, 12, "smooth", (1,))
    costs = {image.tobytes(): label + 1 for image, label in zip(pool.images, pool.labels, strict=True)}
    for row in range(12):
        for col in range(12):
            tile = maps.images[2, 0, 8 * row : 8 * row + 8, 8 * col : 8 * col + 8].numpy()
            assert costs[tile.tobytes()] == maps.costs[2, row, col]


def test_costs_of_independent_terrain() -> None:
    costs = load(12, "independent", 0, COUNTS).train.costs
    assert (float(costs.min()), float(costs.max())) == (0.8, 9.2)
    assert len(set(costs.flatten().tolist())) == 10


def test_smooth_terrain_has_neighbours_alike() -> None:
    def step(maps: Maps) -> float:
        return float((maps.costs[:, 1:] - maps.costs[:, :-1]).abs().mean() / maps.costs.std())

    assert step(load(12, "smooth", 0, COUNTS).train) < 0.8 * step(load(12, "independent", 0, COUNTS).train)


def test_same_split_same_maps() -> None:
    once, again = load(12, "smooth", 3, COUNTS), load(12, "smooth", 3, COUNTS)
    assert torch.equal(once.test.images, again.test.images)
    assert torch.equal(once.train.paths, again.train.paths)


def test_warps_keep_a_digit_in_its_tile() -> None:
    maps = load(12, "smooth", 0, COUNTS).train
    images = torch.zeros(1, 1, 96, 96)
    images[..., 40:48, 40:48] = maps.images[0, 0, 40:48, 40:48] / 255
    warped = warp_tiles(images, 8)
    changed = (warped != 0).nonzero()[:, 2:]
    assert int(changed.min()) >= 40
    assert int(changed.max()) < 48
    assert not torch.equal(warped, images)
    assert float((warped - images).abs().mean()) < float(images.mean())

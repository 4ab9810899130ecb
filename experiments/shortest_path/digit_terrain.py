"""Digit terrain: maps whose tiles are handwritten digits, and the digit is the cost.

In the image of the Warcraft maps of Vlastelica et al. (2020), from scans that ship with scikit-learn (`load_digits`,
1797 digits of 8×8 pixels). The digits are split into disjoint pools before any map is drawn, so that a network meets
other handwriting in the test maps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from experiments.digits import Pool, pools, scans
from experiments.harness.task import DataSet
from experiments.shortest_path.augment import join_tiles, noise, warp_tiles
from experiments.shortest_path.maps import Maps, grid_solver

Terrain = Literal["smooth", "independent"]
Augment = Literal["warp", "noise", "none"]
TILE = 8
PIXEL_NOISE = 0.1
SMOOTH_COSTS = np.arange(10) + 1.0
INDEPENDENT_COSTS = np.linspace(0.8, 9.2, 10)


def digit_classes(
    rng: np.random.Generator, count: int, size: int, terrain: Terrain
) -> Int64[ndarray, "count size size"]:
    """Which digit lies where: all tiles independent, or a smooth random field with 25 % independent tiles."""
    independent = rng.integers(0, 10, (count, size, size))
    if terrain == "independent":
        return independent
    field = gaussian_filter(rng.standard_normal((count, size, size)), (0, 1.5, 1.5), mode="wrap")
    rank = field.reshape(count, -1).argsort(1).argsort(1).reshape(field.shape)
    return np.where(rng.random(field.shape) < 0.25, independent, rank * 10 // size**2)


def draw_maps(pool: Pool, count: int, size: int, terrain: Terrain, seed: tuple[int, ...]) -> Maps:
    """Maps with tiles from one pool; where several paths are shortest, the label is a random one of them."""
    rng = np.random.default_rng(seed)
    classes = digit_classes(rng, count, size, terrain)
    tiles = np.empty_like(classes)
    for digit in range(10):
        here = classes == digit
        tiles[here] = rng.choice(np.flatnonzero(pool.labels == digit), here.sum())
    costs = (SMOOTH_COSTS if terrain == "smooth" else INDEPENDENT_COSTS)[classes]
    jittered = costs + 1e-6 * rng.random(costs.shape)  # far less than path costs differ by
    paths = grid_solver((size, size)).solve(jittered.reshape(count, -1)).y.reshape(costs.shape)
    scans_of_tiles = torch.from_numpy(pool.images[tiles]).reshape(-1, 1, TILE, TILE)
    images = join_tiles(scans_of_tiles, size * TILE, size * TILE)
    return Maps(images, torch.from_numpy(costs), torch.from_numpy(paths).float())


def load(
    size: int, terrain: Terrain, split: int, counts: tuple[int, int, int], augment: Augment = "warp"
) -> DataSet[Maps]:
    """Train, validation and test maps of one split of the digits.

    Args:
        size: cells of a map, each way.
        terrain: "smooth" (cost = digit + 1) or "independent" (harder: tiles independent, costs 0.8 to 9.2).
        split: seed of the split and of the maps.
        counts: how many maps to draw for training, validation and test.
        augment: how training images are varied: by warps and noise, by noise, or not at all.
    """
    parts = enumerate(zip(pools(*scans(), split), counts, strict=True))
    maps = (draw_maps(pool, count, size, terrain, (split, number)) for number, (pool, count) in parts)
    return DataSet(*maps, augment=AUGMENT[augment])


AUGMENT: dict[Augment, Callable[[Tensor], Tensor]] = {
    "warp": lambda images: noise(warp_tiles(images, TILE), PIXEL_NOISE),
    "noise": lambda images: noise(images, PIXEL_NOISE),
    "none": lambda images: images,
}

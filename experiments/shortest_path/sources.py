"""Where the maps come from."""

from __future__ import annotations

from pathlib import Path

from experiments.shortest_path import digit_terrain, planning, warcraft
from experiments.shortest_path.config import Config
from experiments.shortest_path.maps import DataSet

DIGIT_SIZE = 12


def load(config: Config, split: int) -> DataSet:
    """The maps of one split of the configured data.

    Raises:
        InputError: for files that cannot be used.
    """
    counts = config.maps, config.validation_maps, config.test_maps
    if config.source == "digits":
        return digit_terrain.load(config.size or DIGIT_SIZE, config.terrain, split, counts, config.augment)
    if config.source == "warcraft":
        return warcraft.load(Path(config.path), config.size, counts)
    return planning.load(Path(config.path), config.environment, split, counts)

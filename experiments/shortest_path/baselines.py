"""What can be done without looking at the image."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from experiments.shortest_path.evaluate import solve
from experiments.shortest_path.maps import Maps


def constant_costs(maps: Maps) -> Float64[Tensor, "n rows cols"]:
    """Paths for the same cost in every cell: the fewest cells."""
    return solve(torch.ones_like(maps.paths), maps)


def straight_line(maps: Maps) -> Float64[Tensor, "n rows cols"]:
    """The cells under a straight line from start to goal: the diagonal, where they are opposite corners."""
    paths = np.zeros((len(maps), *maps.shape))
    for path, start, goal in zip(paths, *maps.ends(), strict=True):
        steps = int(np.abs(goal - start).max())
        cells = np.rint(np.linspace(start, goal, steps + 1)).astype(int)
        path[cells[:, 0], cells[:, 1]] = 1.0
    return torch.from_numpy(paths)


BASELINES = {"constant costs": constant_costs, "straight line": straight_line}

"""Scores of predicted paths and costs against the truth, and a path that is found without looking at the image."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from combdiff.metrics import cost_ratio, is_optimal, spearman
from experiments.shortest_path.maps import Maps

Paths = Float64[Tensor, "n rows cols"]


def straight_line(maps: Maps) -> Paths:
    """The cells under a straight line from start to goal: the diagonal, where they are opposite corners."""
    paths = np.zeros((len(maps), *maps.shape))
    for path, start, goal in zip(paths, *maps.ends(), strict=True):
        steps = int(np.abs(goal - start).max())
        cells = np.rint(np.linspace(start, goal, steps + 1)).astype(int)
        path[*cells.T] = 1.0
    return torch.from_numpy(paths)


def solved(paths: Paths, maps: Maps) -> Bool[Tensor, " n"]:
    """Which paths are optimal: they cross no blocked cell and have the least true cost.

    Where no true costs are known: which are the labelled ones.
    """
    if maps.true_costs is None:
        return (paths == maps.paths).flatten(1).all(1)
    return is_optimal(paths, maps.paths, maps.costs, maps.shape) & free(paths, maps)


def free(paths: Paths, maps: Maps) -> Bool[Tensor, " n"]:
    """Which paths cross no blocked cell."""
    if maps.blocked is None:
        return torch.ones(len(paths), dtype=torch.bool)
    return (paths * maps.blocked).sum((-2, -1)) == 0


def score(paths: Paths, maps: Maps, costs: Float[Tensor, "n rows cols"] | None = None) -> dict[str, float]:
    """Score paths, and the costs they were found by, if any.

    Returns:
        `free`: share of paths that cross no blocked cell.
        `optimal`: share of paths of the least true cost; `match`: where no true costs tell what is optimal, share of
        those that are the labelled ones; `right`: whichever of the two there is.
        `ratio`: mean true cost over the least one, of free paths.
        `spearman`: mean rank correlation of predicted and true costs.
        What needs costs is NaN where there are none.
    """
    clear, right = free(paths, maps), float(solved(paths, maps).double().mean())
    known = maps.true_costs is not None
    return {
        "optimal": right if known else math.nan,
        "match": math.nan if known else right,
        "right": right,
        "ratio": float(cost_ratio(paths, maps.paths, maps.costs, maps.shape)[clear].mean()) if known else math.nan,
        "spearman": math.nan if costs is None or not known else float(spearman(costs, maps.costs, maps.shape).mean()),
        "free": float(clear.double().mean()),
    }

"""Pictures of a run: what was learned, map by map, and how the training went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64, Real
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy import ndarray
from torch import Tensor

from experiments.harness.table import Row
from experiments.harness.task import Learned
from experiments.shortest_path.evaluate import free, solved
from experiments.shortest_path.maps import Maps

SHOWN = 5
"""maps in a picture"""
TRUE_COLOUR, PREDICTED_COLOUR = "white", "#ff2e93"


def draw_maps(file: Path, maps: Maps, learned: Sequence[Learned]) -> None:
    """Several maps side by side: image, true costs and path, and each method's costs and path.

    The last rows are maps on which the first method fails, if there are any. Learned costs are known up to a factor:
    they are shown so that the true path costs what it truly does.
    """
    chosen = _choose(maps, learned[0])
    fig = Figure(figsize=(2.3 * (2 + len(learned)), 2.45 * len(chosen) + 0.5), layout="constrained", dpi=130)
    plain: dict[str, Any] = {"xticks": [], "yticks": []}
    grid = fig.subplots(len(chosen), 2 + len(learned), squeeze=False, subplot_kw=plain)
    truth = "labelled path" if maps.true_costs is None else "true costs"
    headings = ["image", truth, *(f"{found.label()}: learned" for found in learned)]
    for axis, heading in zip(grid[0], headings, strict=True):
        axis.set_title(heading, fontsize=10)
    for axes, row in zip(grid, chosen, strict=True):
        one = maps.pick(slice(row, row + 1))
        _show_image(axes[0], one)
        colours: dict[str, float] = {}  # by default from the least to the largest cost shown
        if one.true_costs is None:
            _show_image(axes[1], one)
        else:
            colours = {"vmin": float(one.costs.min()), "vmax": float(one.costs.max())}
            axes[1].imshow(one.costs[0].numpy(), **colours)
        _line(axes[1], one.paths[0], one, TRUE_COLOUR)
        for axis, found in zip(axes[2:], learned, strict=True):
            costs, path = found.costs[row], found.solutions[row]
            if one.true_costs is not None:
                costs = costs * float((one.paths[0] * one.costs[0]).sum() / (one.paths[0] * costs).sum())
            axis.imshow(costs.numpy(), **colours)
            _line(axis, one.paths[0], one, TRUE_COLOUR)
            _line(axis, path, one, PREDICTED_COLOUR, dashed=True)
            text, colour = _verdict(path[None], one)
            axis.set_xlabel(text, fontsize=8, color=colour, labelpad=3)
    fig.suptitle("test maps: dark is cheap, true path white, predicted path dashed", fontsize=11)
    fig.savefig(file)


def draw_curves(
    file: Path, metrics: Sequence[Row], rows: Sequence[Row], maps: Maps, learned: Sequence[Learned]
) -> None:
    """Validation and loss over the epochs (a line for each split), and learned against true costs (see `pictures`)."""
    fig = Figure(figsize=(12.5, 3.7), layout="constrained", dpi=130)
    validation, loss, *costs = fig.subplots(1, 2 if maps.true_costs is None else 3)
    for colour, found in enumerate(learned):
        for number, split in enumerate(dict.fromkeys(line["split"] for line in metrics)):
            own = found.method, found.solver or None, split
            lines = [line for line in metrics if (line["method"], line["solver"], line["split"]) == own]
            epochs = [line["epoch"] for line in lines]
            style: dict[str, Any] = {"color": f"C{colour}", "marker": ".", "label": None if number else found.label()}
            validation.plot(epochs, [100 * line["validation_right"] for line in lines], **style)
            losses = np.array([line["loss"] for line in lines])
            loss.plot(epochs, losses / losses[:1], **style)
    for name, dash in (("straight line", "--"), ("constant costs", ":")):
        shares = [100 * row["right"] for row in rows if row["method"] == name]
        validation.axhline(float(np.mean(shares)), color="grey", linestyle=dash, linewidth=1, label=f"{name} (test)")
    title = f"validation paths that {'match' if maps.true_costs is None else 'are optimal'}"
    validation.set(title=title, xlabel="epoch", ylabel="%", ylim=(0, 100))
    loss.set(title="training loss, relative to the first epoch", xlabel="epoch", ylim=(0, None))
    validation.legend(fontsize=8)
    if maps.true_costs is not None:
        _cost_bands(costs[0], maps.costs, learned)
    for axes in (validation, loss):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (validation, loss, *costs):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    fig.savefig(file)


def _choose(maps: Maps, found: Learned) -> list[int]:
    """The first maps that went well and, if there are any, up to two that did not."""
    right = solved(found.solutions, maps)
    good, bad = right.nonzero().flatten().tolist(), (~right).nonzero().flatten().tolist()
    failures = bad[: max(2, SHOWN - len(good))]
    return [*good[: SHOWN - len(failures)], *failures]


def _show_image(axis: Axes, one: Maps) -> None:
    pixels = one.inputs[0].permute(1, 2, 0).numpy()
    if pixels.shape[-1] != 3 or one.blocked is not None:
        pixels = pixels[..., :1]  # the ends, in the other channels of planning maps, are drawn as points
    rows, cols = one.shape
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=1, extent=(-0.5, cols - 0.5, rows - 0.5, -0.5))
    start, goal = one.ends()
    axis.plot(*start[0, ::-1], "o", color="#2ca02c", markersize=5, markeredgecolor="white", clip_on=False)
    axis.plot(*goal[0, ::-1], "*", color="#e31a1c", markersize=9, markeredgecolor="white", clip_on=False)


def _line(axis: Axes, path: Tensor, one: Maps, colour: str, dashed: bool = False) -> None:
    cells = path_cells(path.numpy(), one.ends()[0][0])
    outline = [] if dashed else [patheffects.withStroke(linewidth=4, foreground="black")]
    dash = (0, (1.6, 1.2)) if dashed else "-"
    axis.plot(*cells[:, ::-1].T, color=colour, linewidth=2.4, linestyle=dash, path_effects=outline)


def path_cells(path: Real[ndarray, "rows cols"], start: Int64[ndarray, 2]) -> Int64[ndarray, "length 2"]:
    """The cells of a 0/1 path in the order in which they are walked from its start.

    >>> path_cells(np.array([[1, 0], [0, 1]]), np.array([1, 1])).tolist()
    [[1, 1], [0, 0]]
    """
    order, left = [start], np.argwhere(path > 0.5)
    left = left[(left != start).any(1)]
    while len(left):
        nearest = np.abs(left - order[-1]).max(1).argmin()
        order.append(left[nearest])
        left = np.delete(left, nearest, axis=0)
    return np.array(order)


def _verdict(path: Float64[Tensor, "1 rows cols"], one: Maps) -> tuple[str, str]:
    if not bool(free(path, one)):
        return "through blocked cells", "#b2182b"
    if bool(solved(path, one)):
        return "as labelled" if one.true_costs is None else "optimal", "#1b7837"
    if one.true_costs is None:
        return "not as labelled", "#b2182b"
    more = float((path * one.costs).sum() / (one.paths * one.costs).sum()) - 1
    return f"costs {100 * more:.1f} % more", "#b2182b"


def _cost_bands(axis: Axes, true_costs: Float64[Tensor, "n rows cols"], learned: Sequence[Learned]) -> None:
    """Quartiles of the learned cost for each true cost (or decile of it), both relative to the mean."""
    truth = true_costs.flatten()
    levels = torch.unique(truth)
    if len(levels) > 12:
        levels = torch.quantile(levels, torch.linspace(0, 1, 11, dtype=torch.float64))
    nearest = (truth[:, None] - levels).abs().argmin(1)
    used, nearest = nearest.unique(return_inverse=True)  # the levels that are the nearest of some tile
    levels = levels[used]
    x = (levels / truth.mean()).numpy()
    for number, found in enumerate(learned):
        costs = (found.costs / found.costs.mean((-2, -1), keepdim=True)).flatten()
        bands = np.array([np.quantile(costs[nearest == k].numpy(), (0.25, 0.5, 0.75)) for k in range(len(levels))])
        shift = (number - (len(learned) - 1) / 2) * 0.15 * (x[-1] - x[0]) / len(x)
        error = np.abs(bands[:, ::2] - bands[:, 1:2]).T
        style: dict[str, Any] = {"color": f"C{number}", "marker": "o", "markersize": 3, "capsize": 2}
        axis.errorbar(x + shift, bands[:, 1], error, label=found.label(), **style)
    axis.plot(x, x, color="grey", linewidth=1, linestyle="--")
    axis.set(title="learned against true cost of test tiles", xlabel="true cost / mean")
    axis.set_ylabel("learned cost / mean (quartiles)")
    axis.legend(fontsize=8)

"""Pictures of a run: boards, what is read of their clues, and the solutions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor
from torch.nn.functional import pad

from experiments.harness.task import Learned
from experiments.sat.boards import Boards, digits_of

SHOWN = 3
"""boards of each training"""
POINTS = 1500
"""in a scatter"""


def draw_boards_of(file: Path, boards: Boards, learned: Sequence[Learned]) -> None:
    """A row of boards for each training; the first one is that which the most trainings get wrong.

    A clue is its image, with the digit of the largest score in its corner; a blank has the digit of the solution. What
    is wrong is red.
    """
    truth = boards.labels
    found = [digits_of(one.solutions) for one in learned]
    misses = torch.stack([((one != truth) & ~boards.shown).flatten(1).any(1) for one in found]).sum(0)
    chosen = [int(misses.argmax()), *(row for row in range(len(boards)) if row != int(misses.argmax()))][:SHOWN]
    size = 2.2 if truth.shape[-1] == 4 else 3.4
    figure = Figure(figsize=(size * len(chosen), (size + 0.3) * len(learned) + 0.4), layout="constrained", dpi=110)
    plain: dict[str, Any] = {"xticks": [], "yticks": []}
    axes = figure.subplots(len(learned), len(chosen), squeeze=False, subplot_kw=plain)
    for line, one, solution in zip(axes, learned, found, strict=True):
        for axis, row in zip(line, chosen, strict=True):
            _draw(axis, boards.pick(slice(row, row + 1)), one.costs[row], solution[row])
        line[0].set_title(one.label(), loc="left", fontsize=9)
    figure.suptitle("test boards: images are clues, with what is read of them; wrong in red", fontsize=9)
    figure.savefig(file)


def draw_scatters(file: Path, pairs: Mapping[str, tuple[Tensor, Tensor]], what: str) -> None:
    """For each training, learnt numbers against true ones, of shape (examples, n); each example up to its own factor.

    The factor is that of least squares. (Another one for each example changes no ranking.)
    """
    columns = min(4, len(pairs))
    lines = -(-len(pairs) // columns)
    figure = Figure(figsize=(2.4 * columns, 2.5 * lines + 0.4), layout="constrained", dpi=110)
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).flat
    for axis, (name, (true, found)) in zip(axes, pairs.items(), strict=False):
        size = found.square().sum(1, keepdim=True).clamp(min=1e-12)
        fitted = found * (found * true).sum(1, keepdim=True) / size
        some = torch.linspace(0, true.numel() - 1, min(POINTS, true.numel())).long()
        axis.plot(true.flatten()[some], fitted.flatten()[some], ".", markersize=2, alpha=0.4)
        low, high = float(true.min()), float(true.max())
        axis.plot([low, high], [low, high], color="0.5", linewidth=0.8)
        axis.set_title(name, fontsize=9)
    for axis in list(figure.axes)[len(pairs) :]:
        axis.remove()
    figure.supxlabel(f"true {what}", fontsize=9)
    figure.supylabel("learnt", fontsize=9)
    figure.savefig(file)


def _draw(axis: Axes, board: Boards, costs: Tensor, solution: Int64[Tensor, "n n"]) -> None:
    truth, shown, n = board.labels[0], board.shown[0], len(solution)
    tells = costs.amax(-1) > costs.amin(-1)
    rim = board.inputs.shape[-1] // 4
    tiles = pad(board.inputs[0], (rim, rim, rim, rim))
    side = tiles.shape[-1]
    axis.imshow(tiles.permute(0, 2, 1, 3).reshape(n * side, n * side), cmap="gray_r", extent=(0, n, n, 0))
    box = round(n**0.5)
    for k in range(n + 1):
        for line in (axis.axhline, axis.axvline):
            line(k, color="0.3" if k % box == 0 else "0.8", linewidth=1.0 if k % box == 0 else 0.5)
    for row in range(n):
        for column in range(n):
            digit, right = int(solution[row, column]), bool(solution[row, column] == truth[row, column])
            if not shown[row, column]:
                style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 44 / n**0.75}
                text = str(digit or "?")
                axis.text(column + 0.5, row + 0.5, text, color="tab:blue" if right else "tab:red", **style)
            elif tells[row, column]:
                read = int(costs[row, column].argmax()) + 1
                colour = "tab:green" if read == truth[row, column] else "tab:red"
                axis.text(
                    column + 0.96, row + 0.06, str(read), color=colour, ha="right", va="top", fontsize=24 / n**0.75
                )
                if not right:
                    axis.add_patch(_frame(column, row))
    axis.set(xlim=(0, n), ylim=(n, 0))


def _frame(column: int, row: int) -> Rectangle:
    """Round a clue that is not in the solution."""
    return Rectangle((column + 0.04, row + 0.04), 0.92, 0.92, fill=False, edgecolor="tab:red", linewidth=1.2)

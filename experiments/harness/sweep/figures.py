"""Pictures of a sweep: scores and gradients against temperature, and how the trainings went."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.harness.options import parse_heat, show_heat
from experiments.harness.run import Run, Variant
from experiments.harness.run_folder import RunFolder
from experiments.harness.sweep.verdict import Sweep, read_sweeps
from experiments.harness.table import Row

GRADIENTS = {
    "zeros": "share of gradients that are exactly zero",
    "bias": "bias: 1 − cosine of the mean gradient",
    "snr": "signal to noise of a gradient",
    "cosine": "cosine of a gradient with the reference",
}


def draw_temperatures(run: Run, folder: RunFolder, gradients: Sequence[Row]) -> list[str]:
    """The score, the gradients and the time in the solver against temperature, all methods on one axis.

    The axis is the temperature over its unit at the start of the training (the spread of θ, or its size over that of
    ∂L/∂y), so that it has no dimension; where no unit was measured, the temperature itself.
    """
    sweeps, target = read_sweeps(folder), run.task.target_column()
    units: dict[Variant, float] = {}
    for row in gradients:
        units.setdefault((row["method"], row["solver"]), row["unit"])
    figure = Figure(figsize=(13, 7), layout="constrained")
    grid = figure.subplots(2, 3)
    score, time = grid[0][0], grid[1][2]
    for number, sweep in enumerate(sweeps):
        unit, colour = units.get(sweep.variant, 1.0), f"C{number}"
        _draw_score(score, sweep, run.task.target, unit, colour)
        ms = [fmean(sweep.scores(heat, "solver_share").values()) for heat in sweep.ladder]
        time.plot([heat / unit for heat in sweep.ladder], [100 * share for share in ms], color=colour, marker=".")
        for axis, name in zip((grid[0][1], grid[0][2], grid[1][0], grid[1][1]), GRADIENTS, strict=True):
            for network, style in (("untrained", "-"), ("trained", "--")):
                own = [r for r in gradients if (r["method"], r["solver"]) == sweep.variant and r["network"] == network]
                if not all(math.isnan(row[name]) for row in own):
                    xs = [row["temperature"] / unit for row in own]
                    axis.plot(xs, [row[name] for row in own], style, color=colour)
    score.set(title=f"test {target.heading}", xscale="log")
    for axis, (name, title) in zip((grid[0][1], grid[0][2], grid[1][0], grid[1][1]), GRADIENTS.items(), strict=True):
        axis.set(title=title, xscale="log", yscale="log" if name == "snr" else "linear")
        axis.plot([], [], "-", color="0.4", label="untrained network")
        axis.plot([], [], "--", color="0.4", label="trained at the best temperature")
    grid[0][1].legend(fontsize="small")
    time.set(title="time of the training in the solver, %", xscale="log", ylim=(0, None))
    score.legend(fontsize="small")
    for axis in grid[1]:
        axis.set_xlabel("temperature over its unit before training")
    figure.suptitle(f"{run.task.describe()}: star = the adviser's choice, ring = best on validation")
    figure.savefig(folder.path / "temperatures.png", dpi=120)
    return ["temperatures.png"]


def _draw_score(axis: Axes, sweep: Sweep, key: str, unit: float, colour: str) -> None:
    """Means over the splits with two standard errors, the best on validation and the adviser's choice."""
    xs = [heat / unit for heat in sweep.ladder]
    means, errors = zip(*(_spread(list(sweep.scores(heat, key).values())) for heat in sweep.ladder), strict=True)
    low, high = ([mean + sign * error for mean, error in zip(means, errors, strict=True)] for sign in (-1, 1))
    axis.plot(xs, means, color=colour, marker=".", label=" ".join(filter(None, sweep.variant)))
    axis.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)
    at = sweep.ladder.index(sweep.best())
    axis.plot(xs[at], means[at], "o", markersize=11, markerfacecolor="none", color=colour)
    if "auto" in sweep.words:
        mean = fmean(sweep.scores("auto", key).values())
        axis.plot(sweep.settled("auto") / unit, mean, "*", markersize=13, color=colour, markeredgecolor="black")


def _spread(values: Sequence[float]) -> tuple[float, float]:
    return fmean(values), 2 * stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0


def draw_learning(run: Run, folder: RunFolder) -> list[str]:
    """The score on the validation examples over the epochs, a panel for each method, a colour for each temperature."""
    curves: dict[Variant, dict[float, dict[int, list[float]]]] = {}
    key = f"validation_{run.task.target}"
    with (folder.path / "metrics.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            heat = parse_heat(row["temperature"])
            if isinstance(heat, float):
                at = curves.setdefault((row["method"], row["solver"]), {}).setdefault(heat, {})
                at.setdefault(int(row["epoch"]), []).append(float(row[key]))
    figure = Figure(figsize=(4 * len(curves), 3.6), layout="constrained")
    axes = figure.subplots(1, len(curves), squeeze=False, sharey=True)[0]
    for axis, (variant, heats) in zip(axes, curves.items(), strict=True):
        _draw_curves(axis, heats)
        axis.set(title=" ".join(filter(None, variant)), xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set_ylabel(f"validation {run.task.target_column().heading}")
    figure.savefig(folder.path / "learning.png", dpi=120)
    return ["learning.png"]


def _draw_curves(axis: Axes, heats: Mapping[float, Mapping[int, Sequence[float]]]) -> None:
    for number, heat in enumerate(sorted(heats)):
        colour = colormaps["viridis"](number / max(1, len(heats) - 1))
        epochs = sorted(heats[heat])
        axis.plot(epochs, [fmean(heats[heat][epoch]) for epoch in epochs], color=colour, label=show_heat(heat))
    axis.legend(fontsize="x-small", title="temperature")

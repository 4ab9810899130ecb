"""The picture of decisions: regret against time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from matplotlib.figure import Figure

from experiments.harness.table import Row


def draw_regret(path: Path, rows: Sequence[Row], ratios: Mapping[str, float]) -> None:
    """The test regret of each method (mean over splits, with its standard error) against the time of an epoch.

    Baselines are lines, but for equal costs, which would stretch the axis.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axis = figure.subplots()
    for name in dict.fromkeys(row["method"] for row in rows):
        regrets = [100 * row["regret"] for row in rows if row["method"] == name]
        error = float(np.std(regrets, ddof=1)) / len(regrets) ** 0.5 if len(regrets) > 1 else 0.0
        if name in ratios:
            axis.errorbar(ratios[name], fmean(regrets), error, marker="o", capsize=2, color="tab:blue")
            axis.annotate(name, (ratios[name], fmean(regrets)), xytext=(5, 3), textcoords="offset points", fontsize=7)
        elif name != "equal costs" and ratios:
            style = ("--", ":", "-.")[len(axis.get_legend_handles_labels()[1]) % 3]
            label = "expected costs E[c|x]" if name == "expected costs" else name
            axis.axhline(fmean(regrets), color="0.4", linestyle=style, linewidth=0.8, label=label)
            axis.legend(frameon=False, fontsize=8)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("{x:g}")
    axis.set_xlabel("time of an epoch, multiples of two-stage regression")
    axis.set_ylabel("test regret, %")
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    figure.savefig(path, dpi=150)

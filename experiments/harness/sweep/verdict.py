"""How near the adviser's temperature, and an adaptive one, come to the best of the ladder."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, geometric_mean, stdev

from rich.console import Console

from experiments.harness.options import Heat, parse_heat
from experiments.harness.run import Run, Variant
from experiments.harness.run_folder import RunFolder
from experiments.harness.table import Column, Row, print_table, save_table

POINT = 0.01  # of a score

Scores = Mapping[int, float]


@dataclass(frozen=True)
class Sweep:
    """The trainings of one method by one solver: for each temperature and split, a row of `temperatures.csv`."""

    variant: Variant
    rows: Mapping[Heat, Mapping[int, Row]]

    def scores(self, heat: Heat, key: str) -> dict[int, float]:
        """A score for each split."""
        return {split: row[key] for split, row in self.rows[heat].items() if isinstance(row.get(key), float)}

    @property
    def ladder(self) -> list[float]:
        """The numbers, in order."""
        return sorted(heat for heat in self.rows if isinstance(heat, float))

    @property
    def words(self) -> list[str]:
        """What is measured."""
        return [heat for heat in self.rows if isinstance(heat, str)]

    def best(self) -> float:
        """The temperature of the ladder with the best mean score on the validation examples."""
        return max(self.ladder, key=lambda heat: fmean(self.scores(heat, "validation").values()))

    def settled(self, word: str) -> float:
        """Where a measured temperature was at the end, in the (geometric) mean."""
        return geometric_mean(self.scores(word, "settled").values())


def read_sweeps(folder: RunFolder) -> list[Sweep]:
    """The sweeps of a run."""
    found: dict[Variant, dict[Heat, dict[int, Row]]] = {}
    with (folder.path / "temperatures.csv").open(encoding="utf-8", newline="") as stream:
        for line in csv.DictReader(stream):
            if line["temperature"]:
                row: Row = {key: parse_heat(value) for key, value in line.items() if value}
                heats = found.setdefault((line["method"], line["solver"]), {})
                heats.setdefault(row["temperature"], {})[int(line["split"])] = row
    return [Sweep(variant, heats) for variant, heats in found.items()]


def behind(best: Scores, other: Scores) -> tuple[float, float]:
    """How far one is behind the best in the mean over the splits, and how far it may be.

    That is the larger of one point and two standard errors of the paired differences.

    >>> behind({0: 0.9, 1: 0.8}, {0: 0.88, 1: 0.78})
    (0.020000000000000018, 0.01)
    """
    gaps = [best[split] - other[split] for split in best]
    error = stdev(gaps) / math.sqrt(len(gaps)) if len(gaps) > 1 else 0.0
    return fmean(gaps), max(POINT, 2 * error)


def judge(run: Run, folder: RunFolder) -> list[Row]:
    """One row for each method and measured temperature; also written as `verdict.csv`."""
    key, rows = run.task.target, list[Row]()
    for sweep in read_sweeps(folder):
        best = sweep.best()
        top = sweep.scores(best, key)
        near = [gap <= bar for gap, bar in (behind(top, sweep.scores(heat, key)) for heat in sweep.ladder)]
        for word in sweep.words:
            scores = sweep.scores(word, key)
            gap, bar = behind(top, scores)
            costs = [sweep.scores(word, name) for name in ("advice_seconds", "seconds")]
            rows.append({
                "method": sweep.variant[0],
                "solver": sweep.variant[1] or None,
                "best": best,
                "best_score": fmean(top.values()),
                "choice": word,
                "settled": sweep.settled(word),
                "score": fmean(scores.values()),
                "behind": gap,
                "bar": bar,
                "within": "yes" if gap <= bar else "no",
                "near": sum(near) / len(near),
                "cost": fmean(costs[0].values()) / fmean(costs[1].values()) if word == "auto" else math.nan,
            })  # fmt: skip
    folder.write_csv("verdict.csv", rows)
    return rows


def show_verdict(console: Console, run: Run, folder: RunFolder, rows: Sequence[Row]) -> None:
    """Print the table of `judge`, and write it to `verdict.md`."""
    form = run.task.target_column().form
    columns = [
        Column("method", "method"),
        Column("solver", "solver"),
        Column("best", "best", "{:.3g}"),
        Column("best_score", "test", form),
        Column("choice", "choice"),
        Column("settled", "is", "{:.3g}"),
        Column("score", "test", form),
        Column("behind", "behind", form),
        Column("bar", "bar", form),
        Column("within", "in"),
        Column("near", "ladder", "{:.0%}"),
        Column("cost", "cost", "{:.1%}"),
    ]
    title = (
        f"{run.task.target_column().heading}: how far measured temperatures are behind the best on validation, how far "
        "they may be (a point, or 2 standard errors), the share of the ladder that is as near, and the cost of advice"
    )
    names = dict.fromkeys((row["method"], row["solver"]) for row in rows)
    groups = [[row for row in rows if (row["method"], row["solver"]) == name] for name in names]
    columns = [column for column in columns if column.tells(rows)]
    print_table(console, title, columns, groups)
    save_table(folder, "verdict.md", columns, rows)

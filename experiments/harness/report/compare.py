"""Comparing trainings, of one run or several: what is best on validation, and what it scores on the test examples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, geometric_mean

from experiments.harness.errors import InputError
from experiments.harness.options import Heat
from experiments.harness.registry import find_method
from experiments.harness.report.intervals import Interval
from experiments.harness.report.read import RunRecord
from experiments.harness.run import Settings
from experiments.harness.table import Column, Row


@dataclass(frozen=True)
class Candidate:
    """A method with its settings, or a baseline, on the splits of a run.

    Attributes:
        record: of the run.
        method: its name.
        solver: what solves in training; empty unless the run names it.
        swept: its temperature, where the run has several.
        option: the name of its temperature, if it has one.
        needs: the names of what it learns from.
        rows: for each split on which the training has ended: test scores where they are known, and `validation`.
        epochs: for each split, the rows of `metrics.csv`.
    """

    record: RunRecord
    method: str
    solver: str
    swept: Heat | None
    option: str | None
    needs: Sequence[str]
    rows: Mapping[int, Row]
    epochs: Mapping[int, Sequence[Row]]

    @property
    def heat(self) -> Heat | None:
        """Its temperature, whether the run has several or one; a word where it was measured."""
        own = self.record.config.get(f"{self.method}.{self.option}") if self.swept is None else self.swept
        return own if isinstance(own, str) or (isinstance(own, int | float) and own > 0) else None

    @property
    def temperature(self) -> float | None:
        """The number that it is."""
        return None if isinstance(self.heat, str) else self.heat

    @property
    def settled(self) -> float | None:
        """Where a measured temperature was at the end: the geometric mean over the splits."""
        found = self.scores("settled").values()
        return geometric_mean(found) if isinstance(self.heat, str) and found else None

    @property
    def label(self) -> str:
        """What it is called, without the temperature."""
        return f"{self.method} ({self.solver})" if self.solver else self.method

    def scores(self, key: str) -> dict[int, float]:
        """A score for each split that has it."""
        return {split: row[key] for split, row in self.rows.items() if row.get(key) is not None}


@dataclass(frozen=True)
class Comparison:
    """The runs of one task with the same data.

    Attributes:
        records: of these runs.
        target: the score that chooses; None where the task is not known.
        columns: the scores.
        candidates: all trainings.
        baselines: what needs no training.
        ranked: for each method and solver its best candidate, best first, all by validation.
        remarks: what the reader has to know of the choice.
    """

    records: Sequence[RunRecord]
    target: Column | None
    columns: Sequence[Column]
    candidates: Sequence[Candidate]
    baselines: Sequence[Candidate]
    ranked: Sequence[Candidate]
    remarks: Sequence[str]

    def test(self, candidate: Candidate) -> Interval | None:
        """The test score of a candidate over its splits."""
        scores = {} if self.target is None else candidate.scores(self.target.key)
        return Interval.of(list(scores.values())) if scores else None

    def difference(self, first: Candidate, second: Candidate) -> Interval | None:
        """How far the test score of the first is above that of the second, over the splits of both."""
        one, two = (c.scores(self.target.key) if self.target else {} for c in (first, second))
        both = [one[split] - two[split] for split in one if split in two]
        return Interval.of(both) if both else None


def compare(records: Sequence[RunRecord]) -> list[Comparison]:
    """Put runs of the same task and data together, and rank their trainings by validation."""
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        if record.config:
            own = {key: v for key, v in record.config.items() if "." not in key and key not in Settings.options()}
            groups.setdefault(json.dumps(own, sort_keys=True), []).append(record)
    return [_comparison(group) for group in groups.values()]


def _comparison(records: Sequence[RunRecord]) -> Comparison:
    task, remarks = records[0].task, list[str]()
    target = None if task is None else task.target_column()
    every = [one for record in records for one in _candidates(record, target)]
    baselines = {one.method: one for one in every if one.method not in one.record.config["methods"]}
    candidates = [one for one in every if one.method not in baselines]
    if task is None:
        named = {key for one in every for row in one.rows.values() for key in row} - {*_PLAIN}
        columns = [Column(key, key.replace("_", " "), "{:.4g}") for key in sorted(named)]
    else:
        columns = list(task.columns)
    groups: dict[tuple[str, str], list[Candidate]] = {}
    for one in candidates:
        if one.scores("validation"):
            groups.setdefault((one.method, one.solver), []).append(one)
    ranked = _rank([_rank(group, remarks)[0] for group in groups.values()], remarks)
    at_an_end = [one.label for one in ranked if _is_end(one, groups[one.method, one.solver])]
    if at_an_end:
        remarks.append(f"The chosen temperature is the least or largest that was tried: {', '.join(at_an_end)}.")
    for name in Settings.options():
        values = {json.dumps(record.config.get(name)) for record in records}
        if len(values) > 1 and name not in _CHOICES:
            remarks.append(f"The runs differ in {name.replace('_', ' ')}: {', '.join(sorted(values))}.")
    return Comparison(records, target, columns, candidates, list(baselines.values()), ranked, remarks)


_CHOICES = "methods", "solvers", "splits", "temperatures", "scaled_by", "tune_splits"
_PLAIN = (
    "split", "method", "solver", "temperature", "best_epoch", "validation", "seconds", "solver_share", "solve_ms",
    "solves", "settled", "advice_seconds",
)  # fmt: skip


def _rank(candidates: Sequence[Candidate], remarks: list[str]) -> list[Candidate]:
    """Best first, by the mean over the splits that all of them have (as `best_temperatures` does within a run)."""
    if len(candidates) < 2:
        return list(candidates)
    scores = [one.scores("validation") for one in candidates]
    common = set(scores[0]).intersection(*scores)
    if not common:
        remarks.append(
            f"{', '.join(dict.fromkeys(one.label for one in candidates))}: no split is common to all of these, and so "
            "each is ranked by the mean over its own splits."
        )
    means = [fmean(score for split, score in own.items() if not common or split in common) for own in scores]
    order = sorted(range(len(candidates)), key=lambda index: means[index], reverse=True)
    return [candidates[index] for index in order]


def _is_end(chosen: Candidate, group: Sequence[Candidate]) -> bool:
    """Whether a better temperature may lie outside of those that were tried, three at least."""
    heats = sorted({one.temperature for one in group if one.temperature is not None})
    return len(heats) > 2 and chosen.temperature in (heats[0], heats[-1])


def _candidates(record: RunRecord, target: Column | None) -> list[Candidate]:
    """The trainings of a run; those with an epoch to go have no row."""
    rows: dict[tuple[str, str, Heat | None], dict[int, Row]] = {}
    epochs: dict[tuple[str, str, Heat | None], dict[int, list[Row]]] = {}
    for row in record.epochs:
        key = row["method"], row["solver"], row.get("temperature")
        epochs.setdefault(key, {}).setdefault(row["split"], []).append(row)
    for key, splits in epochs.items():
        for split, own in splits.items():
            validated = [] if target is None else [row.get(f"validation_{target.key}") for row in own]
            if len(own) >= record.config["epochs"]:
                best = max((score for score in validated if score is not None), default=None)
                rows.setdefault(key, {})[split] = {"validation": best}
    for row in record.scores:
        own_rows = rows.setdefault((row["method"], row["solver"], row.get("temperature")), {})
        own_rows[row["split"]] = {**own_rows.get(row["split"], {}), **row}
    return [
        Candidate(record, *key, *_method(key[0]), rows.get(key, {}), epochs.get(key, {}))
        for key in dict.fromkeys([*epochs, *rows])
    ]


@cache
def _method(name: str) -> tuple[str | None, Sequence[str]]:
    """The name of its temperature, and what it learns from."""
    try:
        kind = find_method(name)
    except InputError:  # a baseline, or a method that is not there any more
        return None, ()
    return kind.temperature_option(), kind.needs

"""Run folders with numbers of our own, for the report."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.harness.run import Run, preset_settings

Scores = Mapping[tuple[str, float | None], Sequence[tuple[float, float]]]
"""for a method and a temperature: validation and test score of each split"""


def write_run(folder: Path, scores: Scores, task: str = "top-k", **settings: Any) -> Path:
    """A run folder as the harness leaves it, of two epochs, of which the second is the best."""
    folder.mkdir(parents=True)
    splits = len(next(iter(scores.values())))
    methods = list(dict.fromkeys(method for method, _ in scores))
    given = {"methods": methods, "splits": list(range(splits)), "epochs": 2, **settings}
    heats = list(dict.fromkeys(heat for _, heat in scores if heat is not None))
    if heats:
        given["temperatures"] = heats
    config = {"task": task, **Run(task, {**preset_settings(task, "demo", given), **given}).as_json()}
    (folder / "config.json").write_text(json.dumps(config))
    rows, epochs = [], []
    for (method, heat), own in scores.items():
        for split, (validation, test) in enumerate(own):
            key = {"split": split, "method": method, "solver": None, "temperature": heat}
            effort = {"best_epoch": 2, "seconds": 1.0, "solver_share": 0.0, "solve_ms": None}
            rows.append({**key, "top_1": test, "top_k": 1.0, "validation": validation, **effort})
            for epoch, score in ((1, validation / 2), (2, validation)):
                epochs.append({**key, "epoch": epoch, "loss": 1 / epoch, "validation_top_1": score})
    write_csv(folder / "metrics.csv", epochs)
    if heats:
        write_csv(folder / "temperatures.csv", rows)
    means = [{**row, "split": "mean"} for row in rows if row["split"] == 0]
    (folder / "summary.json").write_text(json.dumps([*rows, *means]))
    return folder


def write_csv(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows as the harness writes them."""
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)

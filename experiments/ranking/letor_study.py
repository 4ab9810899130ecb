"""Networks trained by ranking losses against LightGBM's lambdarank: the same queries, features and trials for all.

  python -m experiments.ranking.letor_study --data FOLDER
  python -m experiments.ranking.letor_study --data FOLDER --method lambda-rank lightgbm --trials 4 --resplits 2

For each resplit of all queries (`letor`'s splits 1, 2, ...) and for each method, random trials draw temperature,
learning rate, weight decay, dropout and width (LightGBM: nine parameters); the one with the best NDCG@10 on the
validation queries is trained again from other seeds, and the mean of the scores, each over its standard deviation, is
tested. LightGBM has the same, and stops at its best tree as the networks stop at their best epoch. The network to be
compared is that of the method which is best on the validation queries of the same resplit.

A row is in `rows.csv` of the results folder as soon as it ends: the same command goes on after a break.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from rich.console import Console
from torch import Tensor

from combdiff_solvers.compute.threads import available_cores
from experiments.harness.errors import InputError
from experiments.harness.options import check_known
from experiments.harness.registry import find_method
from experiments.harness.run import Job, Run
from experiments.harness.run_folder import RESULTS, RunFolder
from experiments.harness.table import Column, Row, log_console, mean_rows, print_table
from experiments.harness.task import DataSet
from experiments.harness.train import Training, stable_seed
from experiments.ranking import boosting
from experiments.ranking.agreement import paired_test
from experiments.ranking.letor import Letor
from experiments.ranking.lists import Lists

Scores = Float64[Tensor, "lists n"]
Fitted = tuple[Scores, Scores]  # of the validation lists and of the test lists
RIVAL, SAMPLE, BEST = "lightgbm", "lightgbm-sample", "best network"
NETWORKS = (
    *("pairwise", "list-net", "lambda-rank"),
    *(f"soft-ndcg/{operator}" for operator in ("pav", "lapsum", "sigmoid", "softsort", "sinkhorn")),
    *("neural-ndcg", "perturbed", "soft-rank"),
)
"""the method of each row, and after the stroke its operator"""
METHODS = (RIVAL, SAMPLE, *NETWORKS)
TRAINING = {"epochs": 12, "batch": 16}


@dataclass(frozen=True)
class Ranker:
    """What is tuned: how a trial is drawn, and the scores of a training with these settings from a seed."""

    draw: Callable[[np.random.Generator], dict[str, Any]]
    fit: Callable[[DataSet[Lists], Mapping[str, Any], int], Fitted]


def network(name: str, data: str, training: Mapping[str, int]) -> Ranker:
    """The networks of a row of `NETWORKS`."""
    method, _, operator = name.partition("/")
    temperature = find_method(method).temperature_option()

    def draw(rng: np.random.Generator) -> dict[str, Any]:
        heat = float(10 ** rng.uniform(-1, 0.5))
        return {
            **({} if temperature is None else {temperature: heat}),
            "learning_rate": float(10 ** rng.uniform(-3, -1.7)),
            "weight_decay": float(10 ** rng.uniform(-3, 0)),
            "dropout": float(rng.choice([0.1, 0.3, 0.5])),
            "width": int(rng.choice([64, 128, 256])),
        }

    def fit(lists: DataSet[Lists], settings: Mapping[str, Any], seed: int) -> Fitted:
        fixed = {"operator": operator} if operator else {}
        run = Run("ranking", {"data": data, "methods": [method], "seed": seed, **training, **fixed, **settings})
        learner = Training(run, Job(0, method, ""), lists)
        while learner.epoch < run.settings.epochs:
            learner.run_epoch()
        learner.use_best()
        return learner.predict(lists.validation).double(), learner.predict(lists.test).double()

    return Ranker(draw, fit)


def tune(ranker: Ranker, source: Letor, data: DataSet[Lists], trials: int, seeds: int) -> Row:
    """The test scores of the trial that is best on validation, from several seeds, and of its first seed alone."""

    def validate(fitted: Fitted) -> float:
        return source.score(fitted[0], data.validation)[source.target]

    found = list[tuple[float, dict[str, Any], Fitted]]()
    for trial in range(trials):
        settings = ranker.draw(np.random.default_rng(stable_seed("letor-study", trial)))
        fitted = ranker.fit(data, settings, 0)
        found.append((validate(fitted), settings, fitted))
    _, settings, first = max(found, key=lambda one: one[0])
    several = [first, *(ranker.fit(data, settings, seed) for seed in range(1, seeds))]
    together = mean_scores(several, data)
    return {
        "validation": validate(together),
        "one_seed": source.score(first[1], data.test)[source.target],
        **source.score(together[1], data.test),
        "settings": json.dumps(settings),
    }


def mean_scores(several: Sequence[Fitted], data: DataSet[Lists]) -> Fitted:
    """The mean of scores of several trainings, each over the standard deviation of its validation scores."""
    scales = [float(fitted[0][data.validation.counted].std()) or 1.0 for fitted in several]
    validation, test = (
        torch.stack([fitted[part] / scale for fitted, scale in zip(several, scales, strict=True)]).mean(0)
        for part in range(2)
    )
    return validation, test


def run(
    data: Path, methods: Sequence[str], resplits: int, config: Mapping[str, int], folder: RunFolder, console: Console
) -> list[Row]:
    """The rows of every resplit and method, those first that are in the folder already.

    Raises:
        InputError: for data that cannot be used, an unknown method, and a folder that another study has written.
    """
    for name in methods:
        check_known("method", name, METHODS)
    rows = folder.rows_of_study("rows.csv", {"data": str(data), **config})
    known = {(int(row["split"]), row["method"]) for row in rows}
    named = f"letor:{data}"
    task = Run("ranking", {"data": named, "methods": ["pairwise"]}).task
    source: Letor = task.source  # type: ignore[attr-defined]
    training = {name: config[name] for name in TRAINING}
    for split in range(1, 1 + resplits):
        todo = [name for name in methods if (split, name) not in known]
        if not todo:
            continue
        lists = source.load(split)
        for name in todo:
            began = time.perf_counter()
            if name == SAMPLE:
                ranker = Ranker(lambda rng: dict(boosting.SAMPLE), lambda *asked: boosting.fit(*asked, trees=100))
                row = tune(ranker, source, lists, 1, 1)
            else:
                ranker = Ranker(boosting.draw, boosting.fit) if name == RIVAL else network(name, named, training)
                row = tune(ranker, source, lists, config["trials"], config["seeds"])
            rows.append({"split": split, "method": name, **row, "seconds": time.perf_counter() - began})
            folder.write_csv("rows.csv", rows)
            console.print(f"resplit {split} · {name}: NDCG@10 {row['validation']:.3f} on validation", highlight=False)
    wanted = [row for row in rows if int(row["split"]) <= resplits and row["method"] in methods]
    return [{key: value if key in ("method", "settings") else float(value) for key, value in r.items()} for r in wanted]


def best_networks(rows: Sequence[Row]) -> list[Row]:
    """For each resplit the row of the network that is best on its validation queries."""
    own = [row for row in rows if row["method"] in NETWORKS]
    best = [max((r for r in own if r["split"] == s), key=lambda r: r["validation"]) for s in {r["split"] for r in own}]
    return [{**row, "method": BEST, "chosen": row["method"]} for row in best]


def show(console: Console, rows: Sequence[Row]) -> None:
    """Print the table of means over the resplits, and the paired differences of NDCG@10 from tuned LightGBM."""
    chosen = best_networks(rows)
    more = (Column("one_seed", "one seed", "{:.3f}"), Column("seconds", "s", "{:.0f}"))
    columns = [Column("method", "method"), *Letor.columns, *more]
    every = [*rows, *chosen]
    table = mean_rows(every, ("method",), "split") if len({row["split"] for row in rows}) > 1 else every
    table = [{key: value for key, value in row.items() if key not in ("one_seed_std", "seconds_std")} for row in table]
    print_table(console, "Test queries, mean ± standard deviation over the resplits", columns, [table])
    for row in chosen:
        console.print(f"resplit {row['split']:g}: {row['chosen']} is the best network on validation", highlight=False)
    rival = {row["split"]: row for row in rows if row["method"] == RIVAL}
    for name in dict.fromkeys(row["method"] for row in [*chosen, *rows] if row["method"] != RIVAL):
        own = [row for row in every if row["method"] == name and row["split"] in rival]
        if len(own) > 1:
            pair = torch.tensor([[row["ndcg10"], rival[row["split"]]["ndcg10"]] for row in own], dtype=torch.float64)
            console.print(f"NDCG@10, {name} − {RIVAL}: {paired_test(*pair.T)}", highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; return the exit status (0 fine, 2 bad input)."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.ranking.letor_study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="a folder of svmlight files, or one file")
    parser.add_argument("--method", nargs="+", default=METHODS, help=f"of {', '.join(METHODS)} (default: all)")
    parser.add_argument("--resplits", type=int, default=5, help="of the queries (default %(default)s)")
    parser.add_argument("--trials", type=int, default=8, help="of each method (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="whose scores make a mean (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=TRAINING["epochs"], help="of a network (default %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS / "letor-study", help="results folder")
    parser.add_argument("--threads", type=int, choices=range(1, available_cores() + 1), default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    console = log_console()
    config = {**TRAINING, "epochs": options.epochs, "trials": options.trials, "seeds": options.seeds}
    try:
        for name, value in {**config, "resplits": options.resplits}.items():
            if value < 1:
                raise InputError(f"{name}={value} must be at least 1")
        rows = run(options.data, options.method, options.resplits, config, RunFolder(options.out), console)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    show(console, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())

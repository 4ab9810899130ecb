"""Does a soft rank help a linear model to rank labels? The experiment of Blondel et al. (2020), section 6.3.

  python -m experiments.ranking.label_study --data FOLDER                    every csv file of the folder
  python -m experiments.ranking.label_study --data FOLDER/iris.csv --method regression soft-rank

Ten folds. For each, and for each method, ε is chosen of one grid by the mean Spearman correlation over four inner
folds: the nearest of the other nine, each held out from a training without both. All methods have the same linear
model, start, batches, steps and penalty; `regression` is the soft rank's loss without the soft rank. The features (not
the labels) of all lists are standardised together, as they are in the published files.

A set's row is in `sets.csv` of the results folder as soon as it ends: the same command goes on after a break.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median

import torch
from jaxtyping import Bool, Float
from rich.console import Console
from scipy.stats import ttest_1samp, wilcoxon
from torch import Tensor

from combdiff_solvers.compute.threads import available_cores
from experiments.harness.errors import InputError
from experiments.harness.method import Method
from experiments.harness.registry import find_method
from experiments.harness.run_folder import RESULTS, RunFolder
from experiments.harness.table import Column, Row, log_console, print_table
from experiments.ranking.labels import FOLDS, Labels, folds, standardise
from experiments.ranking.lists import Lists
from experiments.ranking.task import Rankings

METRICS = {"spearman": "Spearman", "kendall": "Kendall τ"}
METHODS = ("regression", "soft-rank", "soft-rank-kl", "pairwise")
GRID = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
TRAINING = {"steps": 400, "batch": 256, "rate": 0.1, "penalty": 1e-3, "seed": 0}
BARS = {"iris": 0.87, "wine": 0.96, "glass": 0.91}
HELD_OUT = [(fold, (fold + ahead) % FOLDS) for ahead in (0, 1, 2) for fold in range(FOLDS)]
"""the folds that each model does not see: the fold itself, or two, of which either is the test fold of the other"""
Scores = dict[tuple[int, int], dict[str, float]]  # (fold that is held out, fold that is scored): scores


def make_method(name: str, strength: float, task: Rankings, lists: Lists) -> Method:
    """A method with its temperature, whatever that is called."""
    kind = find_method(name)
    temperature = kind.temperature_option()
    if temperature is None:
        raise InputError(f"method {name!r} has no temperature to choose")
    method: Method = kind(**{temperature: strength})
    method.task = task
    method.setup(task.solver(task.backends[0], lists), lists)
    return method


def fit(
    method: Method, lists: Lists, train: Bool[Tensor, "models lists"], training: Mapping[str, float] = TRAINING
) -> Float[Tensor, "models lists n"]:
    """Linear models, each for the lists that are true in its row of `train`, side by side; their scores for all lists.

    Each minimises, by Adam with a cosine schedule from zero weights, the mean objective plus `penalty` · ‖weights‖².
    A step draws `batch` lists for all, of which each model takes its own.
    """
    torch.manual_seed(int(training.get("seed", 0)))  # of batches, and of the noise of methods
    p, n = lists.inputs.shape[1], lists.solutions.shape[1]
    weights = torch.zeros(p, len(train), n, requires_grad=True)
    bias = torch.zeros(len(train), n, requires_grad=True)
    steps, batch = int(training["steps"]), int(training["batch"])
    optimizer = torch.optim.Adam([weights, bias], lr=training["rate"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    wanted = Lists(lists.solutions, lists.solutions, lists.mask)  # without the features, which no objective reads

    def score(inputs: Tensor) -> Tensor:
        return (inputs @ weights.flatten(1)).reshape(-1, *bias.shape) + bias

    for _ in range(steps):
        chosen = torch.randperm(len(lists))[:batch]
        row, model = train.T[chosen].nonzero(as_tuple=True)
        scores = score(lists.inputs[chosen])[row, model]
        share = len(train) / len(row)  # of the objective: a mean for each model, summed over the models
        loss = share * method.objective(scores, wanted.pick(chosen[row])) + training["penalty"] * weights.square().sum()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return score(lists.inputs).transpose(0, 1)


def cross_validate(task: Rankings, lists: Lists, name: str, training: Mapping[str, float] = TRAINING) -> Row:
    """The test scores of a method, the mean over ten folds, with the ε that the inner folds choose, and with each."""
    parts = folds(len(lists), int(training.get("seed", 0)))
    fold = torch.empty(len(lists), dtype=torch.int64)
    for number, rows in enumerate(parts):
        fold[rows] = number
    train = torch.stack([(fold != one) & (fold != other) for one, other in HELD_OUT])
    found: dict[float, Scores] = {}
    for strength in GRID:
        scores = fit(make_method(name, strength, task, lists), lists, train, training)
        found[strength] = {}
        for (one, other), own in zip(HELD_OUT, scores, strict=True):
            for held, tested in {(one, other), (other, one)}:
                part = lists.pick(parts[tested])
                found[strength][held, tested] = task.score(task.solve(own[parts[tested]], part), part)
    inner = {s: [_mean(found[s], lambda h, t, k=k: h == k != t) for k in range(FOLDS)] for s in GRID}
    best = [max(GRID, key=lambda s, k=k: inner[s][k]) for k in range(FOLDS)]
    row: Row = {"method": name, "epsilon": median(best)}
    for metric in METRICS:
        row[metric] = fmean(found[best[k]][k, k][metric] for k in range(FOLDS))
    return row | {f"spearman at {s:g}": _mean(found[s], lambda h, t: h == t) for s in GRID}


def _mean(scores: Scores, which: Callable[[int, int], bool]) -> float:
    return fmean(score["spearman"] for (held, tested), score in scores.items() if which(held, tested))


def compare(rows: Sequence[Row], method: str, against: str) -> Row:
    """A method minus another over the sets that both have: mean difference, sets won, p values (two-sided)."""
    by_set: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_set.setdefault(row["set"], {})[row["method"]] = row
    pairs = [(both[method], both[against]) for both in by_set.values() if {method, against} <= both.keys()]
    found: Row = {"method": f"{method} − {against}"}
    for metric in METRICS:
        gains = [float(a[metric]) - float(b[metric]) for a, b in pairs]
        found[metric], found[f"{metric}_won"] = fmean(gains), f"{sum(gain > 0 for gain in gains)}/{len(gains)}"
        if len(gains) > 1 and any(gains):
            found[f"{metric}_wilcoxon"] = float(wilcoxon(gains).pvalue)
            found[f"{metric}_t"] = float(ttest_1samp(gains, 0.0).pvalue)
    return found


def show(console: Console, rows: Sequence[Row], methods: Sequence[str]) -> None:
    """Print the tables: each set, each ε, and the paired tests."""
    tables = {metric: dict[str, Row]() for metric in METRICS}
    for row in rows:
        for metric, table in tables.items():
            table.setdefault(row["set"], {"set": row["set"]})[row["method"]] = float(row[metric])
    for metric, table in tables.items():
        columns = [Column("set", "set"), *(Column(name, name, "{:.3f}") for name in methods)]
        means = {name: fmean(row[name] for row in table.values()) for name in methods}
        print_table(console, METRICS[metric], columns, [list(table.values()), [{"set": "mean", **means}]])
    at = [Column(f"spearman at {s:g}", f"ε = {s:g}", "{:.3f}") for s in GRID]
    each = []
    for name in methods:
        own = [row for row in rows if row["method"] == name]
        each.append({"method": name, **{column.key: fmean(float(row[column.key]) for row in own) for column in at}})
    title = "Spearman, the mean over the sets, with one ε for all"
    print_table(console, title, [Column("method", "method"), *at], [each])
    tests = [Column("method", "difference")]
    for metric, heading in METRICS.items():
        tests += [Column(metric, heading, "{:+.4f}"), Column(f"{metric}_won", "sets")]
        tests += [Column(f"{metric}_{test}", f"p, {test}", "{:.2g}") for test in ("wilcoxon", "t")]
    paired = [compare(rows, name, methods[0]) for name in methods[1:]]
    print_table(console, "Paired tests over the sets", tests, [paired])
    for name, bar in BARS.items():
        if name in tables["spearman"]:
            found = ", ".join(f"{method} {tables['spearman'][name][method]:.3f}" for method in methods)
            console.print(f"{name}, to be reached: {bar}; {found}", highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the study; return the exit status (0 fine, 2 bad input)."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.ranking.label_study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="a csv file, or a folder of them")
    parser.add_argument("--method", nargs="+", default=METHODS, help="the first is what the others are compared with")
    for name, value in TRAINING.items():
        what = "of folds and batches" if name == "seed" else "of each training"
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"{what} (default %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS / "label-study", help="results folder")
    parser.add_argument("--threads", type=int, choices=range(1, available_cores() + 1), default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    console = log_console()
    try:
        training = {name: getattr(options, name) for name in TRAINING}
        for name in ("steps", "batch", "rate"):
            if not training[name] > 0:
                raise InputError(f"{name}={training[name]} must be positive")
        rows = run(options.data, options.method, training, RunFolder(options.out), console)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    show(console, rows, options.method)
    return 0


def run(
    data: Path, methods: Sequence[str], training: Mapping[str, float], folder: RunFolder, console: Console
) -> list[Row]:
    """The rows of every set and method, those first that are in the folder already.

    Raises:
        InputError: for data that cannot be used, and a folder that another training has written.
    """
    paths = sorted(data.glob("*.csv"), key=lambda path: path.stat().st_size) if data.is_dir() else [data]
    if not paths:
        raise InputError(f"{data} holds no csv files")
    rows: list[Row] = folder.rows_of_study("sets.csv", training)
    known = {(row["set"], row["method"]) for row in rows}
    for path in paths:
        todo = [name for name in methods if (path.stem, name) not in known]
        if not todo:
            continue
        task = Rankings(data=f"labels:{path}")
        assert isinstance(task.source, Labels)
        lists = task.source.lists()
        lists = replace(lists, inputs=standardise(lists.inputs, lists.inputs))
        for name in todo:
            rows.append({"set": path.stem, **cross_validate(task, lists, name, training)})
            folder.write_csv("sets.csv", rows)
            console.print(f"{path.stem} · {name}: Spearman {rows[-1]['spearman']:.3f}", highlight=False)
    wanted = {path.stem for path in paths}
    return [row for row in rows if row["set"] in wanted and row["method"] in methods]


if __name__ == "__main__":
    sys.exit(main())

"""The run: every method on every split, with one table and one set of pictures at the end."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from rich.console import Console

from experiments.errors import InputError
from experiments.progress import StepBar
from experiments.report import write_report
from experiments.run_folder import RunFolder, reading_checkpoint
from experiments.shortest_path import sources
from experiments.shortest_path.baselines import BASELINES
from experiments.shortest_path.config import Config
from experiments.shortest_path.evaluate import score, solve
from experiments.shortest_path.figures import Learned, draw_curves, draw_maps
from experiments.shortest_path.maps import DataSet, Maps
from experiments.shortest_path.train import Training
from experiments.table import Column, Row, mean_rows, print_table, save_summary

COLUMNS = (
    Column("split", "split"),
    Column("method", "method"),
    Column("optimal", "optimal", "{:.1%}"),
    Column("match", "as labelled", "{:.1%}"),
    Column("ratio", "cost ratio", "{:.4f}"),
    Column("spearman", "Spearman", "{:.3f}"),
    Column("free", "unblocked", "{:.1%}"),
    Column("seconds", "train s", "{:.0f}"),
    Column("solver_share", "solver", "{:.1%}"),
)


def run(config: Config, folder: RunFolder, console: Console) -> list[Row]:
    """Train what is not trained yet, and return the rows of the table: for each split, and their means.

    Raises:
        InputError: for data or checkpoints that cannot be used.
    """
    rows: list[Row] = []
    metrics: list[Row] = []
    shown: list[tuple[Maps, dict[str, Learned]]] = []
    for split in config.splits:
        data = sources.load(config, split)
        learned = {}
        for name in trainable(config, data, console):
            training = train(config, folder, console, name, split, data, metrics)
            training.use_best()
            costs = training.predict(data.test.images)
            paths = solve(costs, data.test)
            learned[name] = Learned(costs, paths)
            rows.append(
                {
                    "split": split,
                    "method": name,
                    **dataclasses.asdict(score(paths, data.test, costs)),
                    "validation_right": training.best["right"],
                    "best_epoch": training.best["epoch"],
                    "seconds": training.seconds,
                    "solver_share": training.solver_seconds / training.seconds,
                }
            )
        for name, baseline in BASELINES.items():
            rows.append({"split": split, "method": name, **dataclasses.asdict(score(baseline(data.test), data.test))})
        shown = shown or [(data.test, learned)]
    draw_maps(folder.path / "maps.png", *shown[0])
    draw_curves(folder.path / "curves.png", metrics, rows, *shown[0])
    groups = [[row for row in rows if row["split"] == split] for split in config.splits]
    if len(config.splits) > 1:
        groups.append(mean_rows(rows, "method", "split"))
    rows = [row for group in groups for row in group]
    save_summary(folder, rows)
    report(config, folder, console, groups)
    return rows


def trainable(config: Config, data: DataSet, console: Console) -> tuple[str, ...]:
    """The methods that these data allow, after a word on those that they do not.

    Raises:
        InputError: when none is left.
    """
    if data.train.true_costs is not None or "two-stage" not in config.methods:
        return config.methods
    if config.methods == ("two-stage",):
        raise InputError("two-stage needs the true costs of the training maps, and these data have none")
    console.print("no true costs: two-stage is left out", highlight=False)
    return tuple(name for name in config.methods if name != "two-stage")


def train(
    config: Config, folder: RunFolder, console: Console, name: str, split: int, data: DataSet, metrics: list[Row]
) -> Training:
    """Train a method on a split to the end, from its last checkpoint if there is one; its epochs go to the metrics."""
    training = Training(config, name, split, data)
    checkpoint, settings = f"split{split}-{name}", config.as_json()
    state = folder.load_checkpoint(checkpoint, settings)
    if state is not None:
        with reading_checkpoint(folder.checkpoint(checkpoint)):
            training.restore(state)
    metrics += ({"split": split, "method": name, **epoch} for epoch in training.history)
    title = f"split {split} · {name}"
    validation = ""
    with StepBar(console, title, training.epochs * training.steps, training.epoch * training.steps) as bar:

        def show(loss: float, share: float) -> None:
            bar.step(f"loss {loss:.3g}{validation} · solver {share:.1%}")

        while training.epoch < training.epochs:
            training.run_epoch(show)
            validation = f" · validation {training.history[-1]['validation_right']:.1%} right"
            folder.save_checkpoint(checkpoint, settings, training.state())
            metrics.append({"split": split, "method": name, **training.history[-1]})
            folder.write_csv("metrics.csv", metrics)
    console.print(
        f"{title}: {training.best['right']:.1%} of the validation paths right "
        f"(epoch {training.best['epoch']} of {training.epochs}, {training.seconds:.0f} s)",
        highlight=False,
    )
    return training


def report(config: Config, folder: RunFolder, console: Console, groups: list[list[Row]]) -> None:
    """Write the report, and print the table and where everything is."""
    hidden: set[str] = {"split"} if len(groups) == 1 else set()
    rows = [row for group in groups for row in group]
    if all(row["free"] == 1.0 for row in rows):
        hidden.add("free")
    if all(math.isnan(row["optimal"]) for row in rows):
        hidden |= {"optimal", "ratio", "spearman"}
        console.print("no true costs: the scores that need them are left out", highlight=False)
    else:
        hidden.add("match")
    columns = [column for column in COLUMNS if column.key not in hidden]
    title = f"Shortest paths on {describe(config)}: test maps"
    write_report(folder, title, columns, groups, ("maps.png", "curves.png"), config.as_json())
    print_table(console, title, columns, groups)
    for name in ("maps.png", "curves.png", "report.html"):
        console.print(str(folder.path / name), soft_wrap=True, highlight=False)


def describe(config: Config) -> str:
    """The data in words."""
    if config.source == "digits":
        size = config.size or sources.DIGIT_SIZE
        return f"{config.terrain} digit terrain, {size}×{size}"
    if config.source == "warcraft":
        return "Warcraft maps"
    return f"planning maps, {config.environment or Path(config.path).stem}"

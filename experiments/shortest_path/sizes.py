"""Digit terrain of other sizes than a network was trained on: the scores of the networks of finished runs.

  python -m experiments shortest-path --preset full --out results/shortest-path/small
  python -m experiments.shortest_path.sizes results/shortest-path/small --sizes 18 24 30

The network gives each cell a cost by itself and its neighbours, so that it serves maps of any size, and small maps tell
the most in a second of training. Each network (of its best epoch) is scored on validation maps, by which one of them is
to be chosen, and on test maps; handwriting and seeds are those of its split. `sizes.csv` of each folder has the rows of
all splits.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from experiments.harness.errors import InputError
from experiments.harness.run import Job, Run
from experiments.harness.run_folder import RunFolder
from experiments.harness.table import Column, Row, log_console, mean_rows, print_table
from experiments.harness.train import Training
from experiments.shortest_path import digit_terrain
from experiments.shortest_path.task import ShortestPaths

COLUMNS = (
    Column("size", "size"),
    Column("method", "method"),
    Column("validation", "on validation", "{:.1%}"),
    Column("optimal", "optimal", "{:.1%}"),
    Column("ratio", "cost ratio", "{:.4f}"),
    Column("seconds", "train s", "{:.0f}"),
)


def rows_of(folder: RunFolder, sizes: Sequence[int]) -> list[Row]:
    """The scores of each training of a run on maps of each size.

    Raises:
        InputError: for a run of another task or of other data, or one that has not ended.
    """
    config = folder.config()
    if config.pop("task", "shortest-path") != "shortest-path" or config.get("data") != "digits":
        raise InputError(f"{folder.path} is no run of shortest-path on digit terrain")
    run, rows = Run("shortest-path", config), list[Row]()
    task = run.task
    assert isinstance(task, ShortestPaths)
    counts = 1, task.validation_maps, task.test_maps
    for split in run.settings.splits:
        trainings = [_restored(run, job, folder) for job in run.jobs(split)]
        for size in sizes:
            data = digit_terrain.load(size, task.terrain, split, counts)
            for name, training in trainings:
                chosen, _, _ = training.evaluate(data.validation)
                scores, _, _ = training.evaluate(data.test)
                effort = {"validation": chosen[task.target], "seconds": training.clocks["seconds"]}
                rows.append({"split": split, "size": size, "method": name, **scores, **effort})
    folder.write_csv("sizes.csv", rows)
    return rows


def _restored(run: Run, job: Job, folder: RunFolder) -> tuple[str, Training]:
    state = folder.load_checkpoint(job.checkpoint(), run.as_json())
    if state is None:
        raise InputError(f"{folder.path} has no checkpoint of {job.title()}: go on with it by --resume {folder.path}")
    training = Training(run, job, run.load(job.split))
    training.restore(state)
    training.use_best()
    return job.method, training


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return the exit status (0 fine, 2 bad input)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="results of runs")
    parser.add_argument("--sizes", type=int, nargs="+", default=[18, 24, 30], help="cells each way (default 18 24 30)")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        if min(given.sizes) < 2:
            raise InputError(f"sizes={given.sizes} must be at least 2")
        rows = [row for path in given.folders for row in rows_of(RunFolder(path), given.sizes)]
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    means = mean_rows(rows, ("size", "method"), "split")
    groups = [[row for row in means if row["size"] == size] for size in given.sizes]
    print_table(log_console(), "Digit terrain: test maps of other sizes", list(COLUMNS), groups)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The run: every method on every split by every solver, with one table and one set of pictures at the end."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from experiments.harness.errors import InputError
from experiments.harness.jobs import load_training, run_jobs
from experiments.harness.progress import StepBars
from experiments.harness.report import write_report
from experiments.harness.run import Job, Run
from experiments.harness.run_folder import RunFolder
from experiments.harness.table import Column, Row, mean_rows, print_table, save_summary
from experiments.harness.task import Learned

BEFORE = (Column("split", "split"), Column("method", "method"), Column("solver", "solver"))
AFTER = (
    Column("seconds", "train s", "{:.0f}"),
    Column("solver_share", "in solver", "{:.1%}"),
    Column("solve_ms", "ms a solve", "{:.3f}"),
)


def run_experiment(run: Run, folder: RunFolder, console: Console, workers: int = 1) -> list[Row]:
    """Train what is not trained yet, and return the rows of the table: for each split, and their means.

    Raises:
        InputError: for data or checkpoints that cannot be used.
    """
    splits = run.settings.splits
    jobs = [job for split in splits for job in run.jobs(split)]
    trained = {job.method for job in jobs}
    missing = [name for name in run.methods if name not in trained]
    if not jobs:
        raise InputError(f"{missing[0]} needs the true costs of the training data, and these have none")
    for name in missing:
        console.print(f"no true costs: {name} is left out", highlight=False)
    metrics = _train(run, jobs, folder, console, workers)
    rows: list[Row] = []
    learned: list[Learned] = []
    for split in splits:
        test = run.load(split).test
        for job in (job for job in jobs if job.split == split):
            training = load_training(run, job, folder)
            training.use_best()
            costs = training.predict(test)
            solutions = run.task.solve(costs, test)
            if split == splits[0]:
                learned.append(Learned(job.method, job.solver, costs, solutions))
            rows.append({**job.columns(), **run.task.score(solutions, test, costs), **_effort(training)})
        for name, solutions in run.task.baselines(test).items():
            rows.append({"split": split, "method": name, "solver": None, **run.task.score(solutions, test)})
    test = run.load(splits[0]).test
    if not test.has_costs:
        console.print("no true costs: the scores that need them are left out", highlight=False)
    pictures = run.task.pictures(folder.path, metrics, rows, test, learned)
    groups = [[row for row in rows if row["split"] == split] for split in splits]
    if len(splits) > 1:
        groups.append(mean_rows(rows, ("method", "solver"), "split"))
    rows = [row for group in groups for row in group]
    save_summary(folder, rows)
    constant = {*(["split"] if len(splits) == 1 else []), *(["solve_ms"] if len(run.settings.solvers) == 1 else [])}
    columns = (*BEFORE, *run.task.columns, *AFTER)
    columns = tuple(column for column in columns if column.key not in constant and column.tells(rows))
    title = run.task.describe()
    write_report(folder, title, columns, groups, pictures, {"task": run.task_name, **run.as_json()})
    print_table(console, title, columns, groups)
    for name in (*pictures, "report.html"):
        console.print(str(folder.path / name), soft_wrap=True, highlight=False)
    return rows


def _train(run: Run, jobs: list[Job], folder: RunFolder, console: Console, workers: int) -> list[Row]:
    """Run the jobs, and return the rows of `metrics.csv`, in the order of the jobs."""
    history: dict[Job, list[Row]] = {job: [] for job in jobs}

    def rows() -> list[Row]:
        return [{**job.columns(), **epoch} for job, epochs in history.items() for epoch in epochs]

    with StepBars(console) as bars:

        def hear(job: Job, kind: str, value: Any) -> None:
            if kind == "history":
                history[job] = value
                folder.write_csv("metrics.csv", rows())
            elif kind == "start":
                bars.start(job.title(), *value)
            elif kind == "step":
                bars.step(job.title(), value)
            else:
                bars.end(job.title())
                console.print(value, highlight=False)

        run_jobs(run, jobs, folder, min(workers, len(jobs)), hear)
    return rows()


def _effort(training: Any) -> Row:
    """What a training took."""
    seconds, solver, solves = training.clocks.values()
    return {
        "best_epoch": training.best["epoch"],
        "seconds": seconds,
        "solver_share": solver / seconds,
        "solve_ms": 1000 * solver / solves if solves else None,
    }

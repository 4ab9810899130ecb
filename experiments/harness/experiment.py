"""The run: every method on every split by every solver, with one table and one set of pictures at the end."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from experiments.harness.errors import InputError
from experiments.harness.jobs import run_jobs
from experiments.harness.run import Job, Run
from experiments.harness.run_folder import RunFolder
from experiments.harness.table import Column, Row, mean_rows, print_table, save_summary, write_report
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
    task, splits = run.task, run.settings.splits
    first = run.load(splits[0])
    lacking = {name: first.train.lacks(method.needs) for name, method in run.methods.items()}
    for name, needs in lacking.items():
        if needs and all(lacking.values()):
            raise InputError(f"{name} needs the {_words(needs)} of the training data, and these have none")
        if needs:
            console.print(f"no {_words(needs)}: {name} is left out", highlight=False)
    jobs, baselines = list[Job](), dict[int, list[Row]]()
    for split in splits:
        jobs += run.jobs(split)
        test = run.load(split).test
        baselines[split] = [
            {"split": split, "method": name, "solver": None, **task.score(solutions, test)}
            for name, solutions in task.baselines(test).items()
        ]
    metrics, trained, learned = _train(run, jobs, folder, console, workers)
    groups = [[*(row for row in trained if row["split"] == split), *baselines[split]] for split in splits]
    for remark in task.remarks(first.test, metrics, learned):
        console.print(remark, highlight=False)
    rows = [row for group in groups for row in group]
    pictures = task.pictures(folder.path, metrics, rows, first.test, learned)
    if len(splits) > 1:
        groups.append(mean_rows(rows, ("method", "solver"), "split"))
        rows += groups[-1]
    save_summary(folder, rows)
    constant = {*(["split"] if len(splits) == 1 else []), *(["solve_ms"] if len(run.settings.solvers) == 1 else [])}
    columns = [c for c in (*BEFORE, *task.columns, *AFTER) if c.key not in constant and c.tells(rows)]
    title = task.describe()
    write_report(folder, title, columns, groups, pictures, {"task": run.task_name, **run.as_json()})
    print_table(console, title, columns, groups)
    for name in (*pictures, "report.html"):
        console.print(str(folder.path / name), soft_wrap=True, highlight=False)
    return rows


def _words(names: list[str]) -> str:
    return " and ".join(names).replace("_", " ")


def _train(
    run: Run, jobs: list[Job], folder: RunFolder, console: Console, workers: int
) -> tuple[list[Row], list[Row], list[Learned]]:
    """Run the jobs: the rows of `metrics.csv`, those of the table, and what was learned, in the order of the jobs."""
    history: dict[Job, list[Row]] = {job: [] for job in jobs}
    ended: dict[Job, list[Any]] = {}
    shown: dict[Job, TaskID] = {}

    def rows() -> list[Row]:
        return [{**job.columns(), **epoch} for job, epochs in history.items() for epoch in epochs]

    with Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bars:

        def hear(job: Job, kind: str, value: Any) -> None:
            if kind == "history":
                history[job] = value
                folder.write_csv("metrics.csv", rows())
            elif kind == "step":
                done, total, figures = value
                if job not in shown:
                    shown[job] = bars.add_task(job.title(), total=total, completed=done, figures=figures)
                bars.update(shown[job], completed=done, figures=figures)
            else:
                text, *ended[job] = value  # the row of the table, and what was learned
                bars.remove_task(shown[job])
                console.print(text, highlight=False)

        run_jobs(run, jobs, folder, min(workers, len(jobs)), hear)
    results = [ended[job] for job in jobs]
    return rows(), [row for row, _ in results], [learned for _, learned in results if learned is not None]

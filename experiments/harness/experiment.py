"""The run: every method on every split by every solver, with one table and one set of pictures at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from experiments.harness.errors import InputError
from experiments.harness.jobs import run_jobs
from experiments.harness.options import Heat
from experiments.harness.report.page import write_report
from experiments.harness.run import Job, Run, Variant
from experiments.harness.run_folder import RunFolder
from experiments.harness.table import EFFORT, TEMPERATURE, Column, Row, mean_rows, print_table, save_summary, save_table
from experiments.harness.task import Learned

BEFORE = (Column("split", "split"), Column("method", "method"), Column("solver", "solver"))

Best = Mapping[Variant, Heat | None]


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
    baselines: dict[int, list[Row]] = {}
    for split in splits:
        test = run.load(split).test
        baselines[split] = [
            {**Job(split, name, "").columns(), **task.score(solutions, test)}
            for name, solutions in task.baselines(test).items()
        ]
    trainings, tuned = _Trainings(run, folder, console, workers), splits[: run.settings.tune_splits]
    trainings.run([job for split in tuned for job in run.jobs(split)])
    best = best_temperatures(trainings.rows)
    trainings.run([job for split in splits if split not in tuned for job in run.jobs(split, best)])
    if run.settings.temperatures:
        trainings.show_temperatures(tuned, best)
    trained = [row for job, row in trainings.rows.items() if job.temperature == best[job.method, job.solver]]
    metrics, learned = trainings.metrics(best), trainings.learned(best)
    groups = [[*(row for row in trained if row["split"] == split), *baselines[split]] for split in splits]
    for remark in task.remarks(first.test, metrics, learned):
        console.print(remark, highlight=False)
    rows = [row for group in groups for row in group]
    pictures = task.pictures(folder.path, metrics, rows, first.test, learned)
    if len(splits) > 1:
        groups.append(mean_rows(rows, ("method", "solver", "temperature"), "split"))
        rows += groups[-1]
    task.complete(rows, metrics)
    save_summary(folder, rows)
    constant = {*(["split"] if len(splits) == 1 else []), *(["solve_ms"] if len(run.settings.solvers) == 1 else [])}
    columns = [c for c in (*BEFORE, TEMPERATURE, *task.columns, *EFFORT) if c.key not in constant and c.tells(rows)]
    title = task.describe()
    write_report([folder.path], folder.path / "report.html")
    print_table(console, title, columns, groups)
    save_table(folder, "summary.md", [column for column in columns if column.key != "split"], groups[-1])
    for name in (*pictures, "report.html"):
        console.print(str(folder.path / name), soft_wrap=True, highlight=False)
    return rows


def _words(names: list[str]) -> str:
    return " and ".join(names).replace("_", " ")


def best_temperatures(rows: Mapping[Job, Row]) -> dict[Variant, Heat | None]:
    """For each method and solver, the temperature whose validation score is the best, in the mean over the splits."""
    scores: dict[Variant, dict[Heat | None, list[float]]] = {}
    for job, row in rows.items():
        scores.setdefault((job.method, job.solver), {}).setdefault(job.temperature, []).append(row["validation"])
    return {variant: max(heats, key=lambda heat: fmean(heats[heat])) for variant, heats in scores.items()}


class _Trainings:
    """The trainings of a run, as far as they are run, in the order of their jobs."""

    def __init__(self, run: Run, folder: RunFolder, console: Console, workers: int) -> None:
        self._run, self._folder, self._console, self._workers = run, folder, console, workers
        self._history: dict[Job, list[Row]] = {}
        self._learned: dict[Job, Learned] = {}
        self.rows: dict[Job, Row] = {}

    def metrics(self, best: Best | None = None) -> list[Row]:
        """The rows of `metrics.csv`, of all temperatures or the best."""
        jobs = [job for job in self._history if best is None or best[job.method, job.solver] == job.temperature]
        return [{**job.columns(), **epoch} for job in jobs for epoch in self._history[job]]

    def learned(self, best: Best) -> list[Learned]:
        """What was learned on the first split at the best temperatures."""
        return [one for job, one in self._learned.items() if best[job.method, job.solver] == job.temperature]

    def run(self, jobs: list[Job]) -> None:
        """Run some jobs."""
        if not jobs:
            return
        shown: dict[Job, TaskID] = {}
        ended: dict[Job, Any] = {}
        self._history |= {job: [] for job in jobs}
        with Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        ) as bars:

            def hear(job: Job, kind: str, value: Any) -> None:
                if kind == "history":
                    self._history[job] = value
                    self._folder.write_csv("metrics.csv", self.metrics())
                elif kind == "step":
                    done, total, figures = value
                    if job not in shown:
                        shown[job] = bars.add_task(job.title(), total=total, completed=done, figures=figures)
                    bars.update(shown[job], completed=done, figures=figures)
                else:
                    text, *ended[job] = value  # the row of the table, and what was learned
                    bars.remove_task(shown[job])
                    self._console.print(text, highlight=False)

            run_jobs(self._run, jobs, self._folder, min(self._workers, len(jobs)), hear)
        for job in jobs:
            self.rows[job], learned = ended[job]
            if learned is not None:
                self._learned[job] = learned

    def show_temperatures(self, tuned: Sequence[int], best: Best) -> None:
        """Print every method at every temperature in the mean of some splits, and write `temperatures.csv`."""
        rows = {job: row for job, row in self.rows.items() if job.split in tuned}
        self._folder.write_csv("temperatures.csv", list(rows.values()))
        labels = "method", "solver", "temperature"
        means = mean_rows([row for job, row in rows.items() if job.temperature is not None], labels, "split")
        for row in means:
            row["chosen"] = "←" if best[row["method"], row["solver"] or ""] == row["temperature"] else ""
        task = self._run.task
        validation = Column("validation", "on validation", task.target_column().form)
        columns = [*BEFORE[1:], TEMPERATURE, validation, *task.columns, Column("chosen", "best")]
        names = dict.fromkeys((row["method"], row["solver"]) for row in means)
        groups = [[row for row in means if (row["method"], row["solver"]) == name] for name in names]
        print_table(self._console, "Temperatures", [column for column in columns if column.tells(means)], groups)

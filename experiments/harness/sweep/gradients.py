"""How the gradients of a method are at each temperature: zeros, bias and noise, measured by the adviser."""

from __future__ import annotations

from dataclasses import asdict

from combdiff.diagnostics import advise
from experiments.harness.errors import InputError
from experiments.harness.run import Job, Run
from experiments.harness.run_folder import RunFolder
from experiments.harness.sweep.verdict import Sweep, read_sweeps
from experiments.harness.table import Row
from experiments.harness.train import ADVISED_ROWS, Training

ROWS = 16


def measure(run: Run, folder: RunFolder, solves: int) -> list[Row]:
    """For each method, before and after the training of the first split at the best temperature; as `gradients.csv`.

    Args:
        run: what was trained.
        folder: of the run; what it has already is not measured again.
        solves: noisy solves of each of 16 examples at each temperature, from which bias and noise are estimated.
    """
    config = {**run.as_json(), "task": run.task_name}
    place = RunFolder(folder.path / "gradients")
    rows: list[Row] = [
        {key: float(value) if key not in ("method", "solver", "network") else value for key, value in row.items()}
        for row in place.rows_of_study("gradients.csv", config)
    ]
    for sweep in read_sweeps(folder):
        if not any((row["method"], row["solver"]) == sweep.variant for row in rows):
            rows += _of_method(run, folder, sweep, solves)
            place.write_csv("gradients.csv", rows)
    return rows


def _of_method(run: Run, folder: RunFolder, sweep: Sweep, solves: int) -> list[Row]:
    split = run.settings.splits[0]
    job = Job(split, *sweep.variant, sweep.best())
    training = Training(run, job, run.load(split))
    state = folder.load_checkpoint(job.checkpoint(), run.as_json())
    rows: list[Row] = []
    for network in ("untrained", "trained"):
        if network == "trained" and state is not None:
            training.restore(state)
            training.use_best()
        examples = training.data.train.pick(slice(ADVISED_ROWS))
        try:
            asked = training.advice_arguments(examples)
        except InputError:  # the method has no layer to measure
            return []
        advice = advise(**asked, temperatures=sweep.ladder, rows=ROWS, solves=solves)
        names = {"method": sweep.variant[0], "solver": sweep.variant[1], "network": network, "unit": advice.unit}
        rows += [{**names, **asdict(rung)} for rung in advice.table]
    return rows

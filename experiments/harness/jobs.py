"""The trainings of a run side by side, one process each."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from experiments.harness.errors import InputError
from experiments.harness.run import Job, Run
from experiments.harness.run_folder import RunFolder, reading_checkpoint
from experiments.harness.train import Training

Send = Callable[[str, Any], None]
"""told what happens: ("start", (steps done, steps in all)), ("step", figures), ("history", rows), ("end", text)"""


def load_training(run: Run, job: Job, folder: RunFolder) -> Training:
    """A training from its last checkpoint, if there is one.

    Raises:
        InputError: for a checkpoint that cannot be used.
    """
    training = Training(run, job, run.load(job.split))
    state = folder.load_checkpoint(job.checkpoint(), run.as_json())
    if state is not None:
        with reading_checkpoint(folder.checkpoint(job.checkpoint())):
            training.restore(state)
    return training


def train(run: Run, job: Job, folder: RunFolder, send: Send) -> None:
    """Train to the end, with a checkpoint after each epoch."""
    training = load_training(run, job, folder)
    send("history", training.history)
    send("start", (training.epoch * training.steps, training.total))
    while training.epoch < run.settings.epochs:
        training.run_epoch(lambda figures: send("step", figures))
        folder.save_checkpoint(job.checkpoint(), run.as_json(), training.state())
        send("history", training.history)
    send(
        "end",
        f"{job.title()}: {training.best['score']:.1%} {run.task.target} on validation "
        f"(epoch {training.best['epoch']} of {training.epoch}, {training.clocks['seconds']:.0f} s)",
    )


def run_jobs(
    run: Run, jobs: Sequence[Job], folder: RunFolder, workers: int, hear: Callable[[Job, str, Any], None]
) -> None:
    """Run every job; with one worker in this process, else so many at a time in processes of their own.

    Args:
        hear: told the job, and what `Send` is told.

    Raises:
        InputError: that a training raised, or for a process that was killed; the others are stopped.
        RuntimeError: for any other error, with its traceback; likewise.
    """
    if workers == 1:
        for job in jobs:
            train(run, job, folder, lambda kind, value, job=job: hear(job, kind, value))
        return
    context, waiting = multiprocessing.get_context("spawn"), list(jobs)
    running: dict[Connection, tuple[Job, BaseProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                job, (ours, theirs) = waiting.pop(0), context.Pipe(duplex=False)
                arguments = (theirs, run.task_name, run.as_json(), job, folder.path, torch.get_num_threads())
                process: BaseProcess = context.Process(target=_work, args=arguments)
                process.start()
                theirs.close()
                running[ours] = job, process
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                job, process = running[connection]
                try:
                    kind, value = connection.recv()
                except EOFError:  # the process has ended
                    process.join()
                    del running[connection]
                    if process.exitcode:
                        raise InputError(
                            f"the process of {job.title()} ended with exit code {process.exitcode} (out of memory?): "
                            f"go on by --resume {folder.path}, with fewer --workers"
                        ) from None
                    continue
                if kind == "error":
                    raise value
                hear(job, kind, value)
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _work(connection: Connection, task: str, config: Mapping[str, Any], job: Job, folder: Path, threads: int) -> None:
    """The process of one job. When the run is gone, its next message fails, and it ends, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal: the run ends this one
    torch.set_num_threads(threads)
    try:
        train(Run(task, config), job, RunFolder(folder), lambda kind, value: connection.send((kind, value)))
    except BrokenPipeError:
        raise SystemExit(1) from None
    except InputError as error:
        connection.send(("error", error))
    except Exception:
        connection.send(("error", RuntimeError(f"{job.title()} failed:\n{traceback.format_exc()}")))

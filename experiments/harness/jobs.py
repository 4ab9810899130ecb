"""The trainings of a run side by side, one process each."""

from __future__ import annotations

import math
import multiprocessing
import pickle
import signal
import time
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
from experiments.harness.task import Learned
from experiments.harness.train import Training

Send = Callable[[str, Any], None]
"""told what happens: ("step", (steps done, steps in all, figures)), ("history", rows), ("end", (text, row, learned))"""
TELL_EVERY = 0.25  # seconds


def train(run: Run, job: Job, folder: RunFolder, send: Send) -> None:
    """Train to the end, with a checkpoint after each epoch, then score the best weights on the test examples.

    Raises:
        InputError: for a checkpoint to go on from that cannot be used.
    """
    training = Training(run, job, run.load(job.split))
    state = folder.load_checkpoint(job.checkpoint(), run.as_json())
    if state is not None:
        with reading_checkpoint(folder.checkpoint(job.checkpoint())):
            training.restore(state)
    send("history", training.history)
    send("step", (training.epoch * training.steps, training.total, ""))
    step = throttled(lambda done, figures: send("step", (done, training.total, figures)), training.total)
    while training.epoch < run.settings.epochs:
        training.run_epoch(step)
        folder.save_checkpoint(job.checkpoint(), run.as_json(), training.state())
        send("history", training.history)
    training.use_best()
    scores, costs, solutions = training.evaluate(training.data.test)
    text = (
        f"{job.title()}: {run.task.target} {training.best['score']:.3g} on validation "
        f"(epoch {training.best['epoch']} of {training.epoch}, {training.clocks['seconds']:.0f} s)"
    )
    first = job.split == run.settings.splits[0]
    learned = Learned(job.method, job.solver, costs, solutions) if first else None
    send("end", (text, {**job.columns(), **scores, **training.effort()}, learned))


def throttled(tell: Callable[[int, str], None], last: int) -> Callable[[int, str], None]:
    """Leave out what comes sooner than `TELL_EVERY` after what was told before, but never the last step."""
    told = -math.inf

    def step(done: int, figures: str) -> None:
        nonlocal told
        if done == last or time.monotonic() - told >= TELL_EVERY:
            told = time.monotonic()
            tell(done, figures)

    return step


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
        for _ in range(min(workers, len(jobs))):
            ours, theirs = context.Pipe()
            arguments = (theirs, run.task_name, run.as_json(), folder.path, torch.get_num_threads())
            process: BaseProcess = context.Process(target=_work, args=arguments)
            process.start()
            theirs.close()
            running[ours] = waiting.pop(0), process
            ours.send(running[ours][0])
        while running:
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                job, process = running[connection]
                try:
                    kind, value = pickle.loads(connection.recv_bytes())
                except (EOFError, ConnectionResetError):  # the process has ended, which it does when it is told
                    process.join()
                    raise InputError(
                        f"the process of {job.title()} ended with exit code {process.exitcode} (out of memory?): "
                        f"go on by --resume {folder.path}, with fewer --workers"
                    ) from None
                if kind == "error":
                    raise value
                hear(job, kind, value)
                if kind == "end":
                    if waiting:
                        running[connection] = waiting.pop(0), process
                        connection.send(running[connection][0])
                    else:
                        del running[connection]
                        connection.send(None)
                        process.join()
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()


def _work(connection: Connection, task: str, config: Mapping[str, Any], folder: Path, threads: int) -> None:
    """A process that trains one job after the other. When the run is gone, its next message fails, and it ends, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal: the run ends this one
    torch.set_num_threads(threads)

    def send(kind: str, value: Any) -> None:
        connection.send_bytes(pickle.dumps((kind, value)))  # `send` shares the memory of tensors, which ends with us

    run: Run | None = None
    try:
        while (job := connection.recv()) is not None:
            run = run or Run(task, config)
            train(run, job, RunFolder(folder), send)
    except (BrokenPipeError, EOFError):
        raise SystemExit(1) from None
    except InputError as error:
        send("error", error)
    except Exception:
        send("error", RuntimeError(f"{job.title()} failed:\n{traceback.format_exc()}"))

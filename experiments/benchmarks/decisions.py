"""The time of a training step of every method of the decisions, as a multiple of two-stage regression's.

    python -m experiments.benchmarks.decisions            # ours
    python -m experiments.benchmarks.decisions --pyepo    # and PyEPO's SPO+ and Fenchel–Young: pip install pyepo==2.2.7

Blocks of a few steps of all methods take turns, and the processor time of this process counts, on one thread: other
work on the machine changes all of them alike. The first step of a block finds another method in the caches, as none of
a training does, and is left out. Shown are the ratios of the least and of the median blocks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from statistics import median

import torch
from torch import Tensor

from experiments.decisions.grid_paths import GridPaths
from experiments.harness.command import configure
from experiments.harness.run import Job
from experiments.harness.train import Training

ROUNDS = 300
STEPS = 2  # in a block
PEERS = ("experiments.peers.pyepo:SPOPlus", "experiments.peers.pyepo:FenchelYoung")


def block(training: Training, batches: Sequence[Tensor]) -> float:
    """The seconds of some steps, as those of `Training.run_epoch`."""
    began = time.process_time()
    for index in batches:
        batch = training.data.train.pick(index)
        loss = training.method.objective(training.network(batch.inputs), batch)
        training.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss / len(batch))
        training.optimizer.step()
        training.scheduler.step()
        loss.item()
    return time.process_time() - began


def main(arguments: Sequence[str]) -> None:
    """Race all methods."""
    torch.set_num_threads(1)
    names = [*GridPaths.methods, *(PEERS if "--pyepo" in arguments else ())]
    run = configure("decisions", {"methods": names})
    data = run.load(0)
    trainings = {name: Training(run, Job(0, name, ""), data) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(ROUNDS):
        batches = torch.split(torch.randperm(len(data.train)), run.settings.batch)[: 1 + STEPS]
        for name, training in trainings.items():
            block(training, batches[:1])
            seconds[name].append(block(training, batches[1:]))
    own = seconds["two-stage"]
    print(f"two-stage: {min(own) / STEPS * 1e6:.0f} µs a step (least), {median(own) / STEPS * 1e6:.0f} (median)")
    for name, times in seconds.items():
        print(f"{name}: {min(times) / min(own):.2f} × (least), {median(times) / median(own):.2f} × (median)")


if __name__ == "__main__":
    main(sys.argv[1:])

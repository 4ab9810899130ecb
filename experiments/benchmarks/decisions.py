r"""The time of a training step of every method of the decisions, as a multiple of two-stage regression's.

    python -m experiments.benchmarks.decisions            # ours
    python -m experiments.benchmarks.decisions --pyepo    # and PyEPO's SPO+ and Fenchel–Young: pip install pyepo==2.2.7
    python -m experiments.benchmarks.decisions --data knapsack --pyepo --method spo-plus perturbed --rounds 10
    python -m experiments.benchmarks.decisions --data tsp --pyepo --method spo-plus perturbed --rounds 2 --steps 1 \
        --rows 2

PyEPO has its own models: GLOP for paths, SCIP in OR-Tools for knapsacks, HiGHS by Pyomo (`pip install pyomo highspy`)
for round trips. Blocks of a few steps of all methods take turns, and the processor time of this process counts, on one
thread: other work on the machine changes all of them alike. The first step of a block finds another method in the
caches, as none of a training does, and is left out. Shown are the ratios of the least and of the median blocks.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from statistics import median

import torch
from torch import Tensor

from experiments.harness.command import configure
from experiments.harness.run import Job, preset_settings
from experiments.harness.train import Training

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
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", choices=("sp5", "knapsack", "tsp"), default="sp5")
    parser.add_argument("--method", nargs="+", default=[], help="default: all of the task")
    parser.add_argument("--pyepo", action="store_true")
    for name, default in (("rounds", 300), ("steps", 2), ("rows", 32)):  # of blocks, in a block, of a step
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    peers = PEERS if given.pyepo else ()
    methods = given.method or preset_settings("decisions", "demo", {"data": given.data})["methods"]
    names = list(dict.fromkeys(["two-stage", *methods, *peers]))
    settings = {"data": given.data, "methods": names, "validation_examples": 1, "test_examples": 1}
    run = configure("decisions", {**settings, **({"peer_solver": "own"} if peers else {})})
    data = run.load(0)
    trainings = {name: Training(run, Job(0, name, ""), data) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(given.rounds):
        batches = torch.split(torch.randperm(len(data.train)), given.rows)[: 1 + given.steps]
        for name, training in trainings.items():
            block(training, batches[:1])
            seconds[name].append(block(training, batches[1:]))
    own = seconds["two-stage"]
    least, middle = (one / given.steps * 1e6 for one in (min(own), median(own)))
    print(f"two-stage: {least:.0f} µs a step (least), {middle:.0f} (median)")
    for name, times in seconds.items():
        print(f"{name}: {min(times) / min(own):.2f} × (least), {median(times) / median(own):.2f} × (median)")
        ours = seconds.get(trainings[name].method.seeded_as)
        if ours:
            print(f"  of ours: {min(times) / min(ours):.1f} × (least), {median(times) / median(ours):.1f} × (median)")


if __name__ == "__main__":
    main(sys.argv[1:])

"""How long the soft operators take, as multiples of `torch.sort` on the same arrays in the same run.

    python -m experiments.benchmarks.soft_sort            the bars, threads and memory (about a minute)
    python -m experiments.benchmarks.soft_sort --grid     also every size from 2 to 10^6 against torchsort (minutes)

Every timing goes over a pool of different random arrays, with torch.sort, ours and torchsort in turn on each: on
one array again and again the branch predictor learns the comparisons of a short sort by heart.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import itertools
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from combdiff import soft_topk_mask
from experiments.benchmarks.timing import resident_mib

SHAPES = [(1, 100_000), (128, 1000), (16, 10_000), (128, 100), (1024, 32)]
BARS = {"l2": [(0.45, 0.6)] * 3 + [(0.7, 0.9)] * 2, "kl": [(1.0, 1.2)] * 5}
LIBRARIES = [name for name in ("combdiff", "torchsort") if importlib.util.find_spec(name)]
KINDS = list(itertools.product(("l2", "kl"), ("rank", "sort")))
Operator = Callable[[Tensor], Any]


def soft(library: str, name: str, regularization: str, strength: float = 1.0) -> Operator:
    """`soft_rank` or `soft_sort` of a library."""
    operator = getattr(importlib.import_module(library), f"soft_{name}")
    return lambda x: operator(x, regularization, strength)


def both(operator: Operator, x: Tensor) -> object:
    """Values, and the gradient of a random linear function of them."""
    leaf = x.detach().requires_grad_()
    return torch.autograd.grad(operator(leaf), leaf, x)


def medians(operators: Mapping[str, Operator], shape: tuple[int, int], seconds: float) -> dict[str, list[float]]:
    """The median seconds of each operator, forward and with the gradient, over a pool of arrays, in turns on each."""
    jobs: dict[str, list[Operator]] = {name: [each, partial(both, each)] for name, each in operators.items()}
    pool = [torch.randn(shape) for _ in range(max(2, min(24, 2_000_000 // (shape[0] * shape[1]))))]
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in jobs}
    for job in itertools.chain.from_iterable(jobs.values()):
        job(pool[0])
    until = time.perf_counter() + seconds
    for number in range(50):
        if number and time.perf_counter() >= until:
            break
        for x, name in itertools.product(pool, jobs):
            for job, taken in zip(jobs[name], times[name], strict=True):
                start = time.perf_counter()
                job(x)
                taken.append(time.perf_counter() - start)
    return {name: [statistics.median(values) for values in pair] for name, pair in times.items()}


def multiples(operators: Mapping[str, Operator], shape: tuple[int, int], seconds: float) -> dict[str, list[float]]:
    """The same as multiples of torch.sort."""
    found = medians({"torch.sort": lambda x: torch.sort(x).values, **operators}, shape, seconds)
    unit = found.pop("torch.sort")[0]
    return {name: [value / unit for value in pair] for name, pair in found.items()}


def show(pair: Sequence[float]) -> str:
    """Forward / forward + backward."""
    return f"{pair[0]:.2f} / {pair[1]:.2f}"


def bars(strengths: list[float], seconds: float) -> None:
    """The table of the five shapes."""
    print("multiples of torch.sort, forward / forward + backward; bars in brackets; one thread, float32")
    for strength, (regularization, name) in itertools.product(strengths, KINDS):
        for shape, bar in zip(SHAPES, BARS[regularization], strict=True):
            operators = {library: soft(library, name, regularization, strength) for library in LIBRARIES}
            found = multiples(operators, shape, seconds)
            missed = any(value > most for value, most in zip(found["combdiff"], bar, strict=True))
            print(
                f"eps={strength:<6g} {name} {regularization} {shape!s:>12}  {show(found['combdiff'])}  [{show(bar)}]",
                *(f" torchsort {show(found[library])}" for library in LIBRARIES[1:]),
                *(["MISSED"] if missed else []),
                flush=True,
            )


def masks(seconds: float) -> None:
    """Top-k masks, of a tenth and of half of the values."""
    print("top-k masks, multiples of torch.sort, forward / forward + backward, eps=1")
    for (method, reg), shape in itertools.product((("pav", "l2"), ("pav", "kl"), ("lapsum", "l2")), SHAPES):
        cells = []
        for part in (10, 2):
            k = shape[1] // part
            mask = lambda x, k=k, reg=reg, method=method: soft_topk_mask(x, k, reg, 1.0, method=method)  # noqa: E731
            cells.append(f"k = n/{part}: {show(multiples({'mask': mask}, shape, seconds)['mask'])}")
        print(f"mask {'lapsum' if method == 'lapsum' else reg:<6} {shape!s:>12}  " + "  ".join(cells), flush=True)


def threads(seconds: float) -> None:
    """Two threads against one on (128, 1000)."""
    for regularization, name in KINDS:
        found = []
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(medians({"ours": soft("combdiff", name, regularization)}, (128, 1000), seconds)["ours"])
        torch.set_num_threads(1)
        gains = show([one / two for one, two in zip(*found, strict=True)])
        print(f"two threads, {name} {regularization} (128, 1000): {gains} times one  [1.7]")


def grid(seconds: float) -> None:
    """Ours as multiples of torchsort, the worst of rank and sort, forward and with the gradient."""
    if "torchsort" not in LIBRARIES:
        print("torchsort is not installed: no grid")
        return
    print("multiples of torchsort (below 1: faster), the largest of rank and sort, forward and with the gradient")
    worst = 0.0
    for regularization, n in itertools.product(
        ("l2", "kl"), (2, 3, 5, 8, 16, 32, 64, 256, 1024, 10_000, 100_000, 1_000_000)
    ):
        cells = []
        for batch in (batch for batch in (1, 16, 256, 4096) if n * batch <= 4_200_000):
            ratios = []
            for name in ("rank", "sort"):
                operators = {library: soft(library, name, regularization) for library in LIBRARIES}
                ours, theirs = medians(operators, (batch, n), seconds).values()
                ratios += [a / b for a, b in zip(ours, theirs, strict=True)]
            worst = max(worst, *ratios)
            cells.append(f"{batch}: {max(ratios):.2f}")
        print(f"{regularization} n={n:<8} batch " + "  ".join(cells), flush=True)
    print(f"worst: {worst:.2f}")


def _peak(library: str, name: str, regularization: str) -> float:
    """MiB that one gradient of (16, 10^5) adds to the peak memory of a process."""
    torch.set_num_threads(1)
    operator = soft(library, name, regularization)
    both(operator, torch.randn(2, 1000))
    x = torch.randn(16, 100_000)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = resident_mib()
    both(operator, x)
    return resident_mib("VmHWM") - before


def memory() -> None:
    """Peak memory at (16, 10^5), each in a process of its own; Linux keeps count."""
    if not Path("/proc/self/clear_refs").exists():
        print("peak memory: measured on Linux only")
        return
    print("peak memory of values and gradient at (16, 100000); one such array of float32 has 6.1 MiB")
    for regularization, name in KINDS:
        found = []
        for library in LIBRARIES:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found.append(f"{library} {pool.apply(_peak, (library, name, regularization)):.0f} MiB")
        print(f"{name} {regularization}: " + ", ".join(found), flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", action="store_true", help="also every size against torchsort")
    parser.add_argument("--strengths", type=float, nargs="+", default=[1.0, 0.01])
    parser.add_argument("--seconds", type=float, default=0.5, help="of each timing")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {platform.machine()}, {torch.backends.cpu.get_cpu_capability()}")
    bars(arguments.strengths, arguments.seconds)
    masks(arguments.seconds)
    threads(arguments.seconds)
    memory()
    if arguments.grid:
        grid(arguments.seconds / 5)


if __name__ == "__main__":
    main()

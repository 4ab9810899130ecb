"""How long the soft operators take, as multiples of `torch.sort` on the same arrays in the same run.

    python -m experiments.benchmarks.soft_sort            the bars, threads and memory (about a minute)
    python -m experiments.benchmarks.soft_sort --grid     also every size from 2 to 10^6 against torchsort (minutes)

Every timing goes over a pool of different random arrays, with torch.sort, ours and torchsort in turn on each: on
one array again and again the branch predictor learns the comparisons of a short sort by heart.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from combdiff import soft_rank, soft_sort, soft_topk_mask

SHAPES = [(1, 100_000), (128, 1000), (16, 10_000), (128, 100), (1024, 32)]
BARS = {"l2": [(0.45, 0.6)] * 3 + [(0.7, 0.9)] * 2, "kl": [(1.0, 1.2)] * 5}
Operator = Callable[..., Tensor]


def torchsort() -> ModuleType | None:
    """torchsort, where it is installed."""
    try:
        return importlib.import_module("torchsort")
    except ImportError:
        return None


def medians(jobs: dict[str, Callable[[Tensor], object]], shape: tuple[int, int], seconds: float) -> dict[str, float]:
    """The median seconds of each job over a pool of arrays, one after the other on each array."""
    pool = [torch.randn(shape) for _ in range(max(2, min(24, 2_000_000 // (shape[0] * shape[1]))))]
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for job in jobs.values():
        job(pool[0])
    until = time.perf_counter() + seconds
    rounds = 0
    while rounds < 1 or (time.perf_counter() < until and rounds < 50):
        rounds += 1
        for x in pool:
            for name, job in jobs.items():
                start = time.perf_counter()
                job(x)
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def forward(operator: Operator, regularization: str, strength: float) -> Callable[[Tensor], object]:
    """Values alone."""
    return lambda x: operator(x, regularization, strength)


def both(operator: Operator, regularization: str, strength: float) -> Callable[[Tensor], object]:
    """Values, and the gradient of a random linear function of them."""

    def job(x: Tensor) -> object:
        leaf = x.detach().requires_grad_()
        y = operator(leaf, regularization, strength)
        return torch.autograd.grad(y, leaf, x)

    return job


def jobs_of(name: str, regularization: str, strength: float) -> dict[str, Callable[[Tensor], object]]:
    """torch.sort, ours and torchsort's, forward and with the gradient."""
    ours = {"rank": soft_rank, "sort": soft_sort}[name]
    jobs: dict[str, Callable[[Tensor], object]] = {
        "torch.sort": torch.sort,
        "forward": forward(ours, regularization, strength),
        "both": both(ours, regularization, strength),
    }
    library = torchsort()
    if library is not None:
        theirs = getattr(library, f"soft_{name}")
        jobs["torchsort forward"] = forward(theirs, regularization, strength)
        jobs["torchsort both"] = both(theirs, regularization, strength)
    return jobs


def bars(strengths: list[float], seconds: float) -> None:
    """The table of the five shapes."""
    print("multiples of torch.sort, forward / forward + backward; bars in brackets; one thread, float32")
    for strength in strengths:
        for regularization in ("l2", "kl"):
            for name in ("rank", "sort"):
                for shape, bar in zip(SHAPES, BARS[regularization], strict=True):
                    found = medians(jobs_of(name, regularization, strength), shape, seconds)
                    unit = found["torch.sort"]
                    line = f"eps={strength:<6g} {name} {regularization} {shape!s:>12}"
                    line += f"  {found['forward'] / unit:.2f} / {found['both'] / unit:.2f}  [{bar[0]} / {bar[1]}]"
                    if "torchsort both" in found:
                        pair = (found[f"torchsort {part}"] / unit for part in ("forward", "both"))
                        line += "  torchsort " + " / ".join(f"{ratio:.2f}" for ratio in pair)
                    missed = found["forward"] > bar[0] * unit or found["both"] > bar[1] * unit
                    print(line + ("  MISSED" if missed else ""), flush=True)


def masks(seconds: float) -> None:
    """Top-k masks, of a tenth and of half of the values."""
    print("top-k masks, multiples of torch.sort, forward / forward + backward, eps=1")
    for method, regularization in (("pav", "l2"), ("pav", "kl"), ("lapsum", "l2")):
        for shape in SHAPES:
            cells = []
            for part in (10, 2):

                def operator(x: Tensor, reg: str, eps: float, k: int = shape[1] // part, by: str = method) -> Tensor:
                    return soft_topk_mask(x, k, reg, eps, method=by)

                jobs: dict[str, Callable[[Tensor], object]] = {
                    "torch.sort": torch.sort,
                    "forward": forward(operator, regularization, 1.0),
                    "both": both(operator, regularization, 1.0),
                }
                found = medians(jobs, shape, seconds)
                unit = found["torch.sort"]
                cells.append(f"k = n/{part}: {found['forward'] / unit:.2f} / {found['both'] / unit:.2f}")
            name = "lapsum" if method == "lapsum" else regularization
            print(f"mask {name:<6} {shape!s:>12}  " + "  ".join(cells), flush=True)


def threads(seconds: float) -> None:
    """Two threads against one on (128, 1000)."""
    for name in ("rank", "sort"):
        for regularization in ("l2", "kl"):
            found = []
            for count in (1, 2):
                torch.set_num_threads(count)
                jobs = {
                    key: job for key, job in jobs_of(name, regularization, 1.0).items() if key in ("forward", "both")
                }
                found.append(medians(jobs, (128, 1000), seconds))
            torch.set_num_threads(1)
            gains = [f"{found[0][key] / found[1][key]:.2f}" for key in ("forward", "both")]
            print(f"two threads, {name} {regularization} (128, 1000): {' / '.join(gains)} times one  [1.7]")


def grid(seconds: float) -> None:
    """Ours as multiples of torchsort, the worst of rank and sort, forward and with the gradient."""
    if torchsort() is None:
        print("torchsort is not installed: no grid")
        return
    print("multiples of torchsort (below 1: faster), the largest of rank and sort, forward and with the gradient")
    worst = 0.0
    for regularization in ("l2", "kl"):
        for n in (2, 3, 5, 8, 16, 32, 64, 256, 1024, 10_000, 100_000, 1_000_000):
            cells = []
            for batch in (1, 16, 256, 4096):
                if n * batch > 4_200_000:
                    continue
                ratio = 0.0
                for name in ("rank", "sort"):
                    found = medians(jobs_of(name, regularization, 1.0), (batch, n), seconds)
                    ratio = max(
                        ratio, found["forward"] / found["torchsort forward"], found["both"] / found["torchsort both"]
                    )
                worst = max(worst, ratio)
                cells.append(f"{batch}: {ratio:.2f}")
            print(f"{regularization} n={n:<8} batch " + "  ".join(cells), flush=True)
    print(f"worst: {worst:.2f}")


def _peak(name: str, operator: str, regularization: str) -> float:
    """MiB that one gradient of (16, 10^5) adds to the peak memory of a process."""
    torch.set_num_threads(1)
    module = torchsort() if name == "torchsort" else importlib.import_module("combdiff")
    function = getattr(module, f"soft_{operator}")
    both(function, regularization, 1.0)(torch.randn(2, 1000))
    x = torch.randn(16, 100_000)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _resident("VmRSS")
    both(function, regularization, 1.0)(x)
    return (_resident("VmHWM") - before) / 1024


def _resident(field: str) -> int:
    """A line of /proc/self/status in KiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field))


def memory() -> None:
    """Peak memory at (16, 10^5), each in a process of its own; Linux keeps count."""
    if not Path("/proc/self/clear_refs").exists():
        print("peak memory: measured on Linux only")
        return
    names = ["combdiff"] + (["torchsort"] if torchsort() is not None else [])
    print("peak memory of values and gradient at (16, 100000); one such array of float32 has 6.1 MiB")
    for operator in ("rank", "sort"):
        for regularization in ("l2", "kl"):
            found = []
            for name in names:
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    found.append(f"{name} {pool.apply(_peak, (name, operator, regularization)):.0f} MiB")
            print(f"{operator} {regularization}: " + ", ".join(found), flush=True)


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

"""What the soft operators and the layers cost for tensors on a GPU, beside the same call on the processor.

    python -m experiments.benchmarks.gpu

Forward and backward, milliseconds, median of 15 in turns: on the GPU; on the processor with the tensor and its gradient
copied there and back (what a library without a GPU path makes its user do); torchsort's CUDA kernel where it is built;
and `torch.sort` on the GPU, forward alone, as the unit that no soft sort is below.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable

import torch
from torch import Tensor

from combdiff import FenchelYoungLoss, Interpolation, Perturbed, soft_rank, soft_sort, soft_topk_mask
from combdiff.solvers import ShortestPath
from experiments.benchmarks.timing import race

SHAPES = [(128, 100), (4096, 100), (128, 1000), (16, 10_000), (1, 1_000_000)]
OPERATORS: dict[str, Callable[[Tensor], Tensor]] = {
    "soft_rank l2": soft_rank,
    "soft_rank kl": lambda x: soft_rank(x, "kl"),
    "soft_sort l2": soft_sort,
    "soft_rank lapsum": lambda x: soft_rank(x, method="lapsum"),
    "soft_topk_mask": lambda x: soft_topk_mask(x, 10),
}


def both(operator: Callable[[Tensor], Tensor], x: Tensor, device: str) -> None:
    """Values and gradient, which end on the GPU."""
    here = x.to(device).requires_grad_()
    y = operator(here)
    (gradient,) = torch.autograd.grad(y.sum(), here)
    y.to(x.device), gradient.to(x.device)
    torch.cuda.synchronize()


def sort(x: Tensor) -> None:
    """The hard one."""
    torch.sort(x)
    torch.cuda.synchronize()


def row(name: str, operator: Callable[[Tensor], Tensor], x: Tensor, peer: Callable[[Tensor], Tensor] | None) -> str:
    """One line of the table."""
    contestants: dict[str, Callable[[], object]] = {
        "gpu": lambda: both(operator, x, "cuda"),
        "cpu": lambda: both(operator, x, "cpu"),
        "sort": lambda: sort(x),
    }
    if peer is not None:
        contestants["peer"] = lambda: both(peer, x, "cuda")
    took = {key: 1000 * seconds for key, seconds in race(contestants).items()}
    beside = f"{took['peer']:.2f}" if peer is not None else "–"
    shape = "×".join(map(str, x.shape))
    return f"| {name} | {shape} | {took['gpu']:.2f} | {took['cpu']:.2f} | {beside} | {took['sort']:.2f} |"


def main() -> None:
    """Print the table."""
    if not torch.cuda.is_available():
        raise SystemExit("no CUDA device: nothing to measure")
    peers: dict[str, Callable[[Tensor], Tensor]] = {}
    try:
        import torchsort

        peers = {"soft_rank l2": torchsort.soft_rank, "soft_sort l2": torchsort.soft_sort}
        torchsort.soft_rank(torch.rand(2, 3, device="cuda"))
    except (ImportError, RuntimeError) as error:
        print(f"without torchsort: {error}")
        peers = {}
    torch.set_num_threads(os.cpu_count() or 1)
    print(f"{torch.cuda.get_device_name()}; {platform.machine()}, {os.cpu_count()} cores; torch {torch.__version__}\n")
    print("| forward and backward, ms | shape | GPU | processor, copied | torchsort | torch.sort |")
    print("|---" * 6 + "|")
    for name, operator in OPERATORS.items():
        for shape in SHAPES:
            x = torch.randn(shape, device="cuda")
            print(row(name, operator, x, peers.get(name) if shape[1] <= 10_000 else None), flush=True)
    maps = ShortestPath.grid(12, 12, negative="clamp")
    perturbed = Perturbed(maps, 0.3, 8)
    losses: dict[str, Callable[[Tensor], Tensor]] = {
        "Perturbed, 8 samples": perturbed,
        "Interpolation": Interpolation(maps, 5.0),
        "Fenchel–Young, 8 samples": lambda x: FenchelYoungLoss(perturbed)(x, torch.zeros_like(x)),
    }
    for name, layer in losses.items():
        print(row(name, layer, torch.rand(512, 12, 12, device="cuda"), None), flush=True)


if __name__ == "__main__":
    main()

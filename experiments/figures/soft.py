"""Draw the pictures of docs/soft.md: `python -m experiments.figures.soft`.

Each operator against one moving value, at several temperatures: the result above, its gradient below.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from combdiff import soft_argmax, soft_median, soft_permutation, soft_quantile, soft_rank, soft_sort, soft_topk

DOCS = Path(__file__).parents[2] / "docs"
OTHERS = torch.tensor([0.0, 1.0, 2.2, 3.0], dtype=torch.float64)
STRENGTHS = (0.03, 0.3, 1.0, 3.0)
OF_SORT = (0.3, 1.5, 3.0, 10.0)  # the unit of ε is turned around
MATRICES = ("neuralsort", "softsort", "sinkhorn", "network", "bitonic")
Curve = Callable[[Tensor, float], Tensor]


def draw(name: str, curves: dict[str, Curve], strengths: tuple[float, ...] = STRENGTHS) -> None:
    """One column a curve: the result against v, and its derivative with respect to v."""
    v = torch.linspace(-1, 4, 600, dtype=torch.float64)  # never equal to another value
    figure = Figure(figsize=(3.4 * len(curves), 5))
    axes = figure.subplots(2, len(curves), sharex=True, squeeze=False)
    for column, (title, curve) in enumerate(curves.items()):
        for strength in strengths:
            x = torch.cat([v[:, None], OTHERS.expand(600, 4)], -1).requires_grad_()
            y = curve(x, strength)
            (gradient,) = torch.autograd.grad(y.sum(), x)
            axes[0, column].plot(v, y.detach(), label=f"ε = {strength:g}")
            axes[1, column].plot(v, gradient[:, 0])
        axes[0, column].set_title(title, fontsize=10)
        axes[1, column].set_xlabel("v in (v, 0, 1, 2.2, 3)")
    axes[0, 0].set_ylabel("result")
    axes[1, 0].set_ylabel("derivative by v")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="upper center", ncols=len(strengths), fontsize=8)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    figure.savefig(DOCS / f"soft_{name}.png", dpi=90)


def main() -> None:
    """All pictures."""

    def rank(**words: Any) -> Curve:
        return lambda x, eps: soft_rank(x, regularization_strength=eps, **words)[:, 0]

    def largest(**words: Any) -> Curve:
        return lambda x, eps: soft_sort(x, regularization_strength=eps, **words)[:, -1]

    def top(method: str, regularization: str = "l2") -> Curve:
        return lambda x, eps: soft_topk(x, 2, regularization, eps, method=method).mask[:, 0]

    draw("rank", {"rank of v, l2": rank(), "rank of v, kl": rank(regularization="kl")})
    draw("sort", {"largest value, l2": largest(), "largest value, kl": largest(regularization="kl")}, OF_SORT)
    draw("methods", {f"rank of v, {m}": rank(method=m) for m in ("lapsum", *MATRICES[:-1])})
    draw("topk", {"v among the top 2, l2": top("pav"), "kl": top("pav", "kl"), "lapsum": top("lapsum")})
    draw(
        "topk_values",
        {f"sum of the top 2, {r}": lambda x, eps, r=r: soft_topk(x, 2, r, eps).values.sum(-1) for r in ("l2", "kl")},
        OF_SORT,
    )
    draw(
        "permutation_share",
        {f"v first, {m}": lambda x, eps, m=m: soft_permutation(x, eps, method=m)[:, 0, 0] for m in MATRICES},
    )
    draw(
        "quantile",
        {
            "quantile 0.3, l2": lambda x, eps: soft_quantile(x, 0.3, "l2", eps),
            "median, l2": lambda x, eps: soft_median(x, "l2", eps),
            "argmax, l2 (index 0 is v)": lambda x, eps: soft_argmax(x, "l2", eps),
            "argmax, kl": lambda x, eps: soft_argmax(x, "kl", eps),
        },
    )
    figure = Figure(figsize=(13, 3))
    x = torch.tensor([3.0, 0.0, 2.2, 1.0], dtype=torch.float64)
    for axis, method in zip(figure.subplots(1, 5), MATRICES, strict=True):
        axis.imshow(soft_permutation(x, 0.6, method=method), vmin=0, vmax=1, cmap="Blues")
        axis.set_title(method, fontsize=10)
        axis.set_xticks(range(4), ["3", "0", "2.2", "1"])
        axis.set_yticks(range(4), ["1st", "2nd", "3rd", "4th"])
    figure.tight_layout()
    figure.savefig(DOCS / "soft_permutation.png", dpi=90)


if __name__ == "__main__":
    main()

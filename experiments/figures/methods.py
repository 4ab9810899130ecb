"""Write docs/methods.md, the table of all methods, from what their classes declare.

python -m experiments.figures.methods
"""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType

from torch import nn

from combdiff import layers, losses
from combdiff.needs import LEARNS_FROM, Needs

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"
COLUMNS = (
    *("what it is", "learns from", "solves a row", "bias of the gradient", "what sets the scale of θ"),
    *("wants of the solver", "when"),
)
SOURCES = ";\n  ".join(f"{key}: {text}" for key, text in LEARNS_FROM.items() if key != text)
TEXT = f"""# Which method?

What each class says of itself, in its docstring's first words, `needs` and `degree`.
`python -m experiments.figures.methods` makes this page of them, and tests check them: they count solves, look for
negative costs, and compare values and gradients at θ and aθ. Docstrings have formulas and sources.

- *Learns from*: {SOURCES}.
- *Solves a row*: forward, then backward, of M samples. A target that is solved for in the step (`y_true=None`) counts
  one more; pools and neighbours are found once, before the training.
- *Bias*: of the gradient of what the forward pass estimates.
- *Scale*: "degree k" means f(aθ) = aᵏ f(θ) for a > 0 at the same temperature, targets and noise, of the value (y, of a
  layer) and of the gradient. Where nothing sets the scale, θ drifts or collapses in training.
- *Wants*: "negative costs" means that it asks the solver for solutions of such, even if all θ are positive:
  `ShortestPath` then needs `negative="exact"` (graphs without cycles) or `"clamp"`.
"""


def methods(module: ModuleType) -> dict[str, type[nn.Module]]:
    """The classes of `layers` or `losses` that can be called, in the order of their names."""
    kinds = {name: getattr(module, name) for name in sorted(module.__all__)}
    return {name: kind for name, kind in kinds.items() if kind.forward is not nn.Module.forward}


def needs_of(kind: type[nn.Module]) -> Needs:
    """What a class declares.

    Raises:
        TypeError: for a class that declares nothing of its own, or leaves a text out.
    """
    needs = vars(kind).get("needs")
    if not isinstance(needs, Needs):
        raise TypeError(f"{kind.__name__} has no attribute `needs` of its own: declare a combdiff.needs.Needs")
    empty = [name for name in ("bias", "scale", "use") if not getattr(needs, name)]
    if empty:
        raise TypeError(f"{kind.__name__}.needs has no text for {', '.join(empty)}: see combdiff.needs.Needs")
    return needs


def row(kind: type[nn.Module]) -> str:
    """A line of the table."""
    needs, degree = needs_of(kind), getattr(kind, "degree", None)
    words = [f"degree {degree}"] * isinstance(degree, int)
    words += [f"gradient {needs.gradient_degree}"] * (needs.gradient_degree is not None)
    scale = needs.scale + f" ({', '.join(words)})" * bool(words)
    wants = "; ".join(["negative costs"] * needs.negative + [needs.solver] * bool(needs.solver))
    solves = needs.forward if needs.backward == "0" else f"{needs.forward}, then {needs.backward}"
    what = " ".join((inspect.getdoc(kind) or "").partition("\n\n")[0].split())  # the first sentence of the docstring
    cells = (f"`{kind.__name__}`", what, needs.target, solves, needs.bias, scale, wants or "—", needs.use)
    return f"| {' | '.join(cells)} |"


def table(title: str, kinds: list[type[nn.Module]]) -> str:
    """A section."""
    lines = [f"| | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|", *map(row, kinds)]
    return f"\n## {title}\n\n" + "\n".join(line.replace("-1", "−1") for line in lines) + "\n"


def page() -> str:
    """The whole of it."""
    kinds = list(methods(losses).values())
    soft = [kind for kind in kinds if needs_of(kind).target == "labels"]
    sections = (
        table("Layers: θ → y", list(methods(layers).values())),
        table("Losses of decisions", [kind for kind in kinds if kind not in soft]),
        table("Losses of soft operators, without a solver", soft),
    )
    return TEXT + "".join(sections)


if __name__ == "__main__":
    PAGE.write_text(page())

"""A temperature that is measured on the first batch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar

from combdiff.temperature.schedule import Schedule

log = logging.getLogger("combdiff")


class Auto(Schedule):
    """What `combdiff.diagnostics.advise` says of the first batch; constant from there on.

    `layer.temperature = "auto"` makes one. A Fenchel–Young loss measures with its targets, `Perturbed` and
    `Interpolation` with the gradient of the first backward pass (until then `Perturbed` has a temperature at which y
    moves), a soft operator without either, as high as θ may grow. Only the temperature is set: the layer's number of
    samples stays. The choice and its reason are logged, once, at the level INFO of the logger "combdiff". A temperature
    from a checkpoint is kept.

    Attributes:
        value: the temperature; None before the first batch.
        advice: what it was taken from; None before, and after a checkpoint.

    >>> import torch, combdiff, combdiff.solvers
    >>> layer = combdiff.Perturbed(combdiff.solvers.TopK(3), sigma="auto")
    >>> layer.sigma
    Auto(not chosen yet)
    >>> _ = layer(torch.tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 3.0]]))
    >>> 0.1 < float(layer.sigma) < 10.0
    True
    """

    _state: ClassVar[Sequence[str]] = ("value",)

    def __init__(self) -> None:
        self.value: float | None = None
        self.advice: Any = None
        self.open = True  # to a first or better measurement

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint, whose temperature is kept."""
        super().load_state_dict(state)
        self.open = self.value is None

    def choose(self, method: Any, theta: Any, *args: Any, again: bool = False, **kwargs: Any) -> None:
        """Ask for advice on a batch, the first time; see `advise` for the arguments.

        Args:
            again: whether the next call, which knows more, measures once more.
        """
        if self.open and not (again and self.advice is not None):
            from combdiff.diagnostics import advise  # the diagnostics are loaded where they are used

            self.advice = advise(method, theta, *args, **kwargs)
            self.value = self.advice.temperature
            self.open = again
            log.log(logging.DEBUG if again else logging.INFO, "temperature of %s: %s", *self._said(method))

    def _said(self, method: Any) -> tuple[str, str]:
        return type(method).__name__, f"{self.value:.3g}: {self.advice.reason}"

    def step(self) -> None:
        """Change nothing."""

    def __float__(self) -> float:
        if self.value is None:
            raise ValueError("an automatic temperature has no value before the first batch: call the layer first")
        return self.value

    def __repr__(self) -> str:
        return "Auto(not chosen yet)" if self.value is None else f"Auto({self.value:g})"

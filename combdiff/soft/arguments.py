"""What every soft operator does with its arguments: checks them once, and turns any `dim` into rows."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, SupportsFloat, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from combdiff.autograd import not_compiled
from combdiff.needs import Needs
from combdiff.soft.transforms import concrete
from combdiff.temperature import Adaptive, Auto

Reduction = Literal["mean", "sum", "none"]
Strength = SupportsFloat | Tensor  # ε as a user gives it
Eps = float | Tensor  # ε as rows take it: a number, or a tensor (rows, 1) or (1, 1)
Values = Float[Tensor, "rows n"]
Mask = Bool[Tensor, "rows n"] | None
Matrices = Float[Tensor, "rows n n"]
MOVED = 0.01  # of the spread of the hard values: what counts as another value


class HasStrength(nn.Module):
    """A module with a regularization strength ε, which is its temperature: a number, a schedule or an `nn.Parameter`.

    It may be changed between steps by either name. Its unit is that of the values (see the operator). "auto" is an
    `Auto`; a schedule that wants to be told something (`Auto`, `Adaptive`) is told before each call.
    """

    regularization_strength: Strength
    _told: Any = None  # the hook that tells the schedule

    @property
    def temperature(self) -> Strength:
        """The regularization strength, by the name that all methods share."""
        return self.regularization_strength

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("temperature", "regularization_strength"):
            name = "regularization_strength"
            value = Auto() if isinstance(value, str) and value == "auto" else value
            if self._told is not None:
                self._told.remove()
                self._told = None
            if isinstance(value, Auto):
                self._told = self.register_forward_pre_hook(_tell, with_kwargs=True)
            if not isinstance(value, Auto):
                checked_strength(value)
        super().__setattr__(name, value)

    def soften(self, values: Tensor, strength: Strength, mask: Tensor | None = None) -> Tensor:
        """What this module smooths, at another strength (0: the hard values)."""
        raise NotImplementedError(f"{type(self).__name__} must say in soften(values, strength, mask) what it smooths")

    def share_moved(self, values: Tensor, mask: Tensor | None = None) -> float:
        """The share of entries whose soft value differs from the hard one by more than 1 % of the hard ones' spread."""
        values = values.detach()
        with torch.no_grad():
            soft, hard = (self.soften(values, strength, mask) for strength in (self.regularization_strength, 0.0))
        far = (soft - hard).abs() > MOVED * hard.std()
        counts = mask.expand(far.shape) if mask is not None and far.shape == values.shape else torch.ones_like(far)
        return float((far & counts).sum() / counts.sum().clamp(min=1))


@not_compiled
def _tell(module: HasStrength, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Tell the schedule of a module what it wants to know of a call."""
    given = inspect.signature(module.forward).bind(*args, **kwargs).arguments
    mask = given.pop("mask", None)
    values, *targets = given.values()
    schedule = module.regularization_strength
    if isinstance(schedule, Auto):
        schedule.choose(module, values.detach(), *targets, mask=mask)
    if isinstance(schedule, Adaptive) and module.training and torch.is_grad_enabled():
        if schedule.signal != "moves":
            raise ValueError(f"signal={schedule.signal!r} needs samples, which {type(module).__name__} has none of")
        schedule.feed(module.share_moved(values, mask), values.numel() // max(1, values.shape[-1]))


class SoftLoss(HasStrength):
    """A loss made of soft operators, whose arguments it holds, checked.

    Args:
        methods: the methods that it takes.
        method, regularization, strength: as of the operators.
        reduction: one of `reductions`; None for a loss that has no choice.
    """

    reductions: tuple[str, ...] = get_args(Reduction)
    needs = Needs(target="labels", forward="0", bias="none", scale="ε")

    def __init__(
        self, methods: tuple[str, ...], method: str, regularization: str, strength: Strength, reduction: Any = None
    ) -> None:
        super().__init__()
        check_options(methods, method, regularization)
        self.method, self.regularization, self.regularization_strength = method, regularization, strength
        if reduction is not None:
            check_choice("reduction", reduction, self.reductions)
            self.reduction = reduction

    def reduced(self, losses: Tensor) -> Tensor:
        """The "mean" or "sum" of losses, or "none": the losses."""
        return losses if self.reduction == "none" else losses.mean() if self.reduction == "mean" else losses.sum()

    _smoothed: Callable[..., Tensor]  # the operator that the loss is made of

    def soften(self, values: Tensor, strength: Strength, mask: Tensor | None = None) -> Tensor:
        given = {"dim": getattr(self, "dim", -1), "mask": mask, **self.options, "regularization_strength": strength}
        return type(self)._smoothed(computing(values), **given)

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of an operator that it holds."""
        names = ("regularization", "regularization_strength", "method")
        return {name: getattr(self, name) for name in names}


def check_values(values: Tensor, dim: int | None) -> int | None:
    """The dimension as a number from 0, None for all; errors for what cannot be sorted."""
    if not values.dtype.is_floating_point:
        raise TypeError(f"values are {values.dtype}; soft operators need floats: pass values.float()")
    if dim is None:
        return None
    if values.ndim == 0:
        raise ValueError("values is a scalar; soft operators need at least one dimension, or dim=None")
    if not -values.ndim <= dim < values.ndim:
        raise ValueError(f"dim={dim} is not a dimension of values of shape {tuple(values.shape)}")
    return dim % values.ndim


def check_mask(mask: Tensor | None, values: Tensor) -> None:
    """A mask is boolean and broadcasts to the values."""
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise TypeError(f"mask is {mask.dtype}; it must be torch.bool, True where an entry counts")
    try:
        fits = torch.broadcast_shapes(mask.shape, values.shape) == values.shape  # type: ignore[no-untyped-call]
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(f"mask of shape {tuple(mask.shape)} does not broadcast to values of {tuple(values.shape)}")


def check_alike(**tensors: Tensor) -> None:
    """Two tensors have one shape.

    Raises:
        TypeError, ValueError: which name the second.
    """
    (one, first), (other, second) = tensors.items()
    if not isinstance(second, Tensor):
        raise TypeError(f"{other} is a {type(second).__name__}, but must be a torch.Tensor of the shape of {one}")
    if first.shape != second.shape:
        raise ValueError(f"{one} have shape {tuple(first.shape)}, {other} {tuple(second.shape)}: they must agree")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """One of a few words."""
    if value not in choices:
        raise ValueError(f"{name}={value!r} is none of {', '.join(map(repr, choices))}")


def check_options(methods: tuple[str, ...], method: str, regularization: str = "l2", **flags: bool) -> None:
    """The arguments of an operator that are words, or True or False."""
    check_choice("method", method, methods)
    check_choice("regularization", regularization, ("l2", "kl"))
    for name, value in flags.items():
        if value is not True and value is not False:
            raise TypeError(f"{name}={value!r} must be True or False")


class Rows(NamedTuple):
    """The arguments that all operators share, checked, as rows."""

    axis: int | None  # None: all dimensions are one row
    x: Tensor  # shape: (rows, n); float32 or float64
    strength: Eps
    mask: Tensor | None


def as_rows(values: Tensor, dim: int | None, strength: Strength, mask: Tensor | None) -> Rows:
    """Check the arguments of an operator that are numbers, and turn them into rows."""
    axis = check_values(values, dim)
    check_mask(mask, values)
    eps = checked_strength(strength)
    if isinstance(eps, Tensor):
        eps = row_numbers("regularization_strength", eps, values, axis)
    return Rows(axis, computing(to_rows(values, axis)), eps, mask_rows(mask, values, axis))


def as_values(rows: Tensor, values: Tensor, axis: int | None) -> Tensor:
    """A result in rows, in the dtype of the values and along their dimension; flat where that is None."""
    return from_rows(rows if rows.dtype == values.dtype else rows.to(values.dtype), values, axis)


def to_rows(values: Tensor, dim: int | None) -> Tensor:
    """(rows, n), with `dim` last; one row for None."""
    if dim is None:
        return values.reshape(1, -1)
    if dim != values.ndim - 1:
        values = values.movedim(dim, -1)
    elif values.ndim == 2:
        return values
    return values.reshape(math.prod(values.shape[:-1]), values.shape[-1])


def from_rows(rows: Tensor, like: Tensor, dim: int | None) -> Tensor:
    """Undo `to_rows`; the last dimension may have another size by now, and for None it is the only one."""
    if dim is None:
        return rows[0]
    if dim == like.ndim - 1:
        return rows if like.ndim == 2 else rows.reshape(*like.shape[:-1], rows.shape[-1])
    shape = list(like.shape)
    del shape[dim]
    return rows.reshape(*shape, rows.shape[-1]).movedim(-1, dim)


def mask_rows(mask: Tensor | None, values: Tensor, dim: int | None) -> Tensor | None:
    """The mask as (rows, n)."""
    return None if mask is None else to_rows(mask.expand(values.shape), dim).contiguous()


def row_numbers(name: str, numbers: Tensor, values: Tensor, dim: int | None) -> Tensor:
    """A tensor of one number a row, as (rows, 1) or (1, 1)."""
    if numbers.numel() == 1:
        return numbers.reshape(1, 1)
    shape = [1 if at == dim or dim is None else size for at, size in enumerate(values.shape)]
    try:
        return to_rows(numbers.broadcast_to(shape), dim)
    except RuntimeError:
        raise ValueError(
            f"{name} of shape {tuple(numbers.shape)} does not broadcast to {tuple(shape)}: one "
            f"{name.rpartition('_')[2]} a row, so values' shape with 1 at dim={dim}"
        ) from None


def checked_strength(strength: Strength) -> Eps:
    """ε as a number or a tensor; at least 0, if its values may be looked at."""
    if not isinstance(strength, Tensor):
        number = float(strength)
        if not number >= 0:
            raise ValueError(f"regularization_strength={number} must be positive, or 0 for the hard operator")
        return number
    if concrete(strength):
        check_strength(strength)
    return strength


def check_strength(strength: Tensor) -> None:
    """Every ε of a tensor is at least 0."""
    if not bool((strength >= 0).all()):
        worst = float(strength[~(strength >= 0)][0])
        raise ValueError(f"regularization_strength holds {worst}; all must be positive, or 0")


def strength_tensor(strength: Eps, x: Tensor) -> Tensor:
    """ε as a tensor of the dtype and device of x.

    Where no value may be looked at (inside `torch.func` and `torch.compile`), a negative ε becomes NaN, and so does
    what is computed from it.
    """
    if isinstance(strength, Tensor):
        eps = strength.to(x)
        return eps if concrete(strength) else torch.where(eps >= 0, eps, torch.nan)
    return torch.full((1, 1), strength, dtype=x.dtype, device=x.device)


def computing(values: Tensor) -> Tensor:
    """Half precision is computed in float32."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values

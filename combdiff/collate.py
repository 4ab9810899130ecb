"""Batches of samples whose instances no array can hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch.utils.data import default_collate


def collate(samples: Sequence[Any]) -> Any:
    """A `collate_fn` for a `DataLoader`: instances stay a list with one item for each row, all else is stacked.

    torch's own `default_collate` is enough where a sample's instance is a mapping of arrays, tensors or numbers of one
    shape: the batch then holds a mapping of tensors, which layers and solvers take. This is for all other instances:
    mappings that hold tuples, None, objects, arrays of different shapes.

    Args:
        samples: tuples (or lists, or one thing each), all of the same length. Tensors, arrays and numbers are stacked
            by `default_collate` if their shapes agree.

    Returns:
        A tuple (or list) of columns; a column of anything else than tensors, arrays and numbers is a list.

    >>> import torch
    >>> images, trips = collate([(torch.zeros(2), {"start": (0, 0)}), (torch.ones(2), {"start": (1, 2)})])
    >>> images.shape, trips
    (torch.Size([2, 2]), [{'start': (0, 0)}, {'start': (1, 2)}])
    """
    first = samples[0]
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(collate(column) for column in zip(*samples, strict=True)))
    if isinstance(first, tuple | list):
        return type(first)(collate(column) for column in zip(*samples, strict=True))
    numeric = all(isinstance(sample, int | float) or hasattr(sample, "__array__") for sample in samples)
    one_shape = len({tuple(getattr(sample, "shape", ())) for sample in samples}) == 1
    return default_collate(list(samples)) if numeric and one_shape else list(samples)

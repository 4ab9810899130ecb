"""The one place where tensors become arrays and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from combdiff_solvers.compute.threads import for_rows
from combdiff_solvers.instances import select
from combdiff_solvers.protocol import Rows, Sets


def to_rows(costs: Float[Tensor, "*batch n"]) -> Rows:
    """The rows of a tensor as a contiguous float64 array on the CPU, without its gradient."""
    try:
        values = costs.detach()
        array = (values if values.is_cpu else values.cpu()).numpy()
    except (RuntimeError, TypeError) as error:
        raise _without_values(costs, error) from error
    return np.ascontiguousarray(array.reshape(-1, array.shape[-1]), dtype=np.float64)


def to_tensor(array: ndarray, like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """An array as a tensor of a shape, of the device and dtype (float32 or float64) of another one."""
    if like.dtype is torch.float32:
        array = array.astype(np.float32)
    tensor = torch.from_numpy(array.reshape(shape))
    return tensor if like.is_cpu else tensor.to(like.device)


def worst_status(status: UInt8[ndarray, " rows"], batch: int) -> UInt8[Tensor, " batch"]:
    """The largest status of each of `batch` rows that are stacked any number of times."""
    return torch.from_numpy(status if len(status) == batch else status.reshape(-1, batch).max(axis=0))


def run_kernel(kernel: Callable[..., None], rows: int, *arguments: Any, grain: int) -> None:
    """Run `kernel(first, last, *arguments)` over the rows of contiguous CPU tensors, in place.

    Args:
        kernel: a compiled function of arrays that lets go of the GIL.
        rows: number of rows of the batch.
        arguments: what it is given; tensors arrive as arrays that share their memory.
        grain: rows below which a chunk is not worth one of `torch.get_num_threads()` threads.
    """
    arrays = [
        part if not isinstance(part, Tensor) else part.detach().numpy() if part.requires_grad else part.numpy()
        for part in arguments
    ]
    for_rows(kernel, rows, *arrays, threads=torch.get_num_threads(), grain=grain)


def not_finite(theta: Tensor) -> Tensor | None:
    """Which entries are NaN or infinite; None where none is.

    (No sum of squares by BLAS, which would be faster: its threads go on spinning, and take the cores of others.)

    Raises:
        TypeError: for a tensor without values.
    """
    try:
        theta = theta.detach()
        if theta.dtype in (torch.float32, torch.float64) and theta.device.type == "cpu":
            found = np.isfinite(theta.numpy())
            return None if found.all() else torch.from_numpy(~found)
        finite = torch.isfinite(theta)
        return None if bool(finite.all()) else ~finite
    except (RuntimeError, TypeError) as error:
        raise _without_values(theta, error) from error


def _without_values(tensor: Tensor, error: Exception) -> Exception:
    """What to raise where the values of a tensor could not be read: the error itself, if the tensor has values."""
    if tensor.is_meta:
        kind = "it is on the meta device"
    elif torch.compiler.is_exporting() or type(tensor).__name__ == "FakeTensor":
        kind = "it is a fake tensor, as of torch.export"
    elif tensor.layout != torch.strided:
        kind = f"its layout is {tensor.layout} (use to_dense())"
    else:
        try:
            tensor.data_ptr()
        except RuntimeError:
            kind = "it is inside a transform (torch.func.grad, vmap, jacrev, jacobian(..., vectorize=True))"
        else:
            return error
    return TypeError(
        f"a solver needs the values of a tensor, and this one gives none: {kind}. Call the layer on a whole batch of "
        "ordinary tensors, and differentiate by torch.autograd (grad, functional.jacobian)"
    )


def take(instances: Sets, rows: Tensor) -> Sets:
    """The instances of the given rows (a tensor of their numbers), in their order."""
    return None if instances is None else select(instances, rows.cpu().numpy())


def repeat(instances: Sets, times: int) -> Sets:
    """The instances of a batch that is stacked `times` times: all rows, then all rows again, and so on.

    Instances that are stored as columns (`combdiff.solvers.GridInstances`) are repeated without a Python loop.
    """
    if instances is None or times == 1:
        return instances
    return select(instances, np.tile(np.arange(len(instances)), times))

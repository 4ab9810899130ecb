"""Which machinery of torch looks at the current call."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad


def transformed() -> bool:
    """Inside a `torch.func` transform, or in forward mode."""
    return torch._C._functorch.peek_interpreter_stack() is not None or forward_ad._current_level >= 0


def concrete(tensor: Tensor) -> bool:
    """Whether a tensor has values that Python may look at."""
    if torch.compiler.is_compiling() or transformed() or tensor.device.type == "meta":
        return False
    return type(tensor) in (Tensor, torch.nn.Parameter)  # no FakeTensor, and no tensor of another tracer

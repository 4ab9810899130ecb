"""
Soft ranks
==========

The rank of one value among four fixed ones, hard and soft, and its derivative.
"""

import matplotlib.pyplot as plt
import torch

import combdiff

others = torch.tensor([0.0, 1.0, 2.0, 3.0])
value = torch.linspace(-1, 4, 401, requires_grad=True)
figure, (above, below) = plt.subplots(2, 1, sharex=True)
for strength in (0.01, 0.5, 2.0):
    rows = torch.cat([value[:, None], others.expand(401, 4)], 1)
    ranks = combdiff.soft_rank(rows, regularization_strength=strength)[:, 0]
    (slope,) = torch.autograd.grad(ranks.sum(), value)
    above.plot(value.detach(), ranks.detach(), label=f"ε = {strength:g}")
    below.plot(value.detach(), slope)
above.set_ylabel("rank")
above.legend(frameon=False)
below.set_ylabel("derivative")
_ = below.set_xlabel("the value")

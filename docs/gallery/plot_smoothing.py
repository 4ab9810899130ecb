"""
What a temperature does
=======================

Two costs compete; how often is the first item taken as its cost rises? Exactly, it is a step. Under noise the step
becomes a slope, whose width is σ.
"""

import matplotlib.pyplot as plt
import torch

import combdiff
from combdiff.solvers import TopK

solver = TopK(2, 1, "min")
cost = torch.linspace(-2, 2, 81)
theta = torch.stack([cost, torch.zeros(81)], 1)

for sigma in (0.1, 0.5, 2.0):
    torch.manual_seed(0)
    y = combdiff.Perturbed(solver, sigma=sigma, samples=2000)(theta)
    plt.plot(cost, y[:, 0], label=f"σ = {sigma:g}")
plt.xlabel("cost of the first item, less that of the second")
plt.ylabel("how often it is taken")
_ = plt.legend(frameon=False)

"""
Learn costs from shortest paths
===============================

No cost is ever shown: 300 pairs of features and shortest paths are enough to learn what the features say of the costs.
"""

import matplotlib.pyplot as plt
import torch

import combdiff
from combdiff import metrics
from combdiff.solvers import ShortestPath

torch.manual_seed(0)
solver = ShortestPath.grid(8, negative="clamp")
features = torch.randn(300, 8, 8, 4)
true_costs = torch.nn.functional.softplus(features @ torch.tensor([1.0, -1.0, 0.5, 0.0]))


def paths(costs):
    return torch.from_numpy(solver.solve(costs.detach().reshape(-1, 64).double().numpy()).y).reshape(-1, 8, 8).float()


# %%
# One linear layer, the same for each cell, and the Fenchel–Young loss of perturbed paths.
network = torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Flatten(2), torch.nn.Softplus())
loss = combdiff.FenchelYoungLoss(combdiff.Perturbed(solver, sigma=0.5, samples=4))
optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
target, history = paths(true_costs), []
for _ in range(60):
    costs = network(features).reshape(-1, 8, 8)
    optimizer.zero_grad()
    loss(costs, target).backward()
    optimizer.step()
    history.append(metrics.regret(paths(costs), target, true_costs, solver).mean())

plt.plot(history)
plt.xlabel("step")
_ = plt.ylabel("mean regret")

# %%
# The costs of one map, true and learned (dark is cheap).
figure, axes = plt.subplots(1, 2)
for axis, image, title in zip(axes, (true_costs[0], costs[0].detach()), ("true", "learned"), strict=True):
    axis.imshow(image, cmap="magma")
    axis.set_title(title)
    axis.axis("off")

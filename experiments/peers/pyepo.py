"""PyEPO's losses and layers as methods of the decisions: `pip install pyepo==2.2.7`.

python -m experiments decisions --method spo-plus experiments.peers.pyepo:SPOPlus

The network, data, optimiser and budget are those of the other methods of the run, and so are the first weights and the
order of the batches (`seeded_as`). Temperatures are those of ours where they have the same unit. PyEPO asks its model
for one row at a time: that is our solver, or (`--peer-solver own`) its own model with its open-source solver, which is
slower by far (`experiments.benchmarks.decisions` says how much).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from combdiff.solvers import Sense, Solver
from experiments.decisions.grid_paths import SIZE
from experiments.decisions.knapsack import CAPACITY
from experiments.harness.method import Method
from experiments.harness.options import option, temperature

POOL_SOLVES = 0.05  # the share of the steps that solve, of losses over a pool


def own_model(data: str, train: Any) -> Any:
    """PyEPO's model of a kind of data, with its open-source solver: GLOP, SCIP, or HiGHS by Pyomo."""
    if data == "sp5":
        from pyepo.model.ort import shortestPathModel

        return shortestPathModel((SIZE, SIZE), solver="glop")
    if data == "knapsack":
        from pyepo.model.ort import knapsackModel

        weights = train.weights[0].numpy()
        return knapsackModel(weights, np.full(len(weights), CAPACITY))
    sys.modules.setdefault("ortools", None)  # type: ignore[arg-type]  # PyEPO imports it, and beside it HiGHS may crash
    from pyepo.model.omo.tsp import tspGGModel

    cities = round((1 + (1 + 8 * train.true_costs.shape[1]) ** 0.5) / 2)
    return tspGGModel(cities, solver="appsi_highs")


def model_over(solver: Solver) -> Any:
    """A model of PyEPO whose rows our solver solves."""
    from pyepo import EPO
    from pyepo.model.opt import optModel

    class Model(optModel):
        modelSense = EPO.MINIMIZE if solver.sense is Sense.MIN else EPO.MAXIMIZE  # noqa: N815

        def _getModel(self) -> Any:  # noqa: N802
            return solver, range(solver.shape[0])

        def setObj(self, c: Any) -> None:  # noqa: N802
            self._row = np.asarray(c, dtype=np.float64)[None]

        def solve(self) -> Any:
            found = solver.solve(self._row)
            return found.y[0], float(found.objective[0])

    return Model()


@dataclass
class PyEPO(Method):
    """A module of PyEPO; `arguments` are the attributes of the examples that it is called with after the costs."""

    needs: ClassVar[tuple[str, ...]] = ("true_costs", "solutions")
    module: ClassVar[str]
    arguments: ClassVar[tuple[str, ...]]
    given: ClassVar[dict[str, Any]] = {"reduction": "sum"}
    pooled: ClassVar[bool] = False

    peer_solver: Literal["combdiff", "own"] = option("combdiff", "what solves for PyEPO")

    def setup(self, solver: Solver, train: Any) -> None:
        import pyepo.func
        from pyepo.data.dataset import optDataset

        model = model_over(solver) if self.peer_solver == "combdiff" else own_model(self.task.data, train)  # type: ignore[attr-defined]
        given = {"processes": 1, **self.given, **self.as_json()}
        del given["peer_solver"]
        if self.pooled:
            given |= {"dataset": optDataset(model, train.inputs.numpy(), train.true_costs.numpy())}
            given |= {"solve_ratio": POOL_SOLVES}
        self._module = getattr(pyepo.func, self.module)(model, **given)

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        found: Tensor = self._module(self.costs(scores), *(getattr(examples, name) for name in self.arguments))
        return found


@dataclass
class SPOPlus(PyEPO):
    """SPO+."""

    module: ClassVar[str] = "SPOPlus"
    seeded_as: ClassVar[str] = "spo-plus"
    arguments: ClassVar[tuple[str, ...]] = ("true_costs", "solutions", "objectives")


@dataclass
class FenchelYoung(PyEPO):
    """Perturbed Fenchel–Young."""

    module: ClassVar[str] = "perturbedFenchelYoung"
    seeded_as: ClassVar[str] = "perturbed"
    arguments: ClassVar[tuple[str, ...]] = ("solutions",)

    n_samples: int = option(3, "noisy solves an example", least=1)
    sigma: float = temperature(1.0, "σ, in units of costs")


@dataclass
class FrankWolfe(PyEPO):
    """The Fenchel–Young loss of the quadratically regularized solution."""

    module: ClassVar[str] = "regularizedFrankWolfeFenchelYoung"
    seeded_as: ClassVar[str] = "frank-wolfe"
    arguments: ClassVar[tuple[str, ...]] = ("solutions",)

    lambd: float = temperature(1.0, "λ, the weight of the regularizer")
    max_iter: int = option(30, "rounds", least=1)


@dataclass
class PerturbationGradient(PyEPO):
    """Perturbation gradients, backward."""

    module: ClassVar[str] = "perturbationGradient"
    seeded_as: ClassVar[str] = "perturbation-gradient"
    arguments: ClassVar[tuple[str, ...]] = ("true_costs",)

    sigma: float = temperature(3.0, "h, in units of predicted over units of true costs")


@dataclass
class NoiseContrastive(PyEPO):
    """NCE."""

    module: ClassVar[str] = "noiseContrastiveEstimation"
    seeded_as: ClassVar[str] = "noise-contrastive"
    arguments: ClassVar[tuple[str, ...]] = ("solutions",)
    pooled: ClassVar[bool] = True


@dataclass
class ContrastiveMAP(NoiseContrastive):
    """MAP."""

    module: ClassVar[str] = "contrastiveMAP"
    seeded_as: ClassVar[str] = "contrastive-map"


@dataclass
class RankList(NoiseContrastive):
    """Listwise learning to rank."""

    module: ClassVar[str] = "listwiseLearningToRank"
    seeded_as: ClassVar[str] = "rank-list"
    arguments: ClassVar[tuple[str, ...]] = ("true_costs",)


@dataclass
class RankPair(RankList):
    """Pairwise learning to rank."""

    module: ClassVar[str] = "pairwiseLearningToRank"
    seeded_as: ClassVar[str] = "rank-pair"


@dataclass
class RankPoint(RankList):
    """Pointwise learning to rank."""

    module: ClassVar[str] = "pointwiseLearningToRank"
    seeded_as: ClassVar[str] = "rank-point"


@dataclass
class PyEPOLayer(PyEPO):
    """A layer, with the regret as loss."""

    given: ClassVar[dict[str, Any]] = {}
    arguments: ClassVar[tuple[str, ...]] = ()

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self.task.loss(super().objective(scores, examples), examples)


@dataclass
class Interpolation(PyEPOLayer):
    """Black-box differentiation."""

    module: ClassVar[str] = "blackboxOpt"
    seeded_as: ClassVar[str] = "interpolation"

    lambd: float = temperature(20.0, "λ")


@dataclass
class Identity(PyEPOLayer):
    """The solver as minus the identity."""

    module: ClassVar[str] = "negativeIdentity"
    seeded_as: ClassVar[str] = "identity"


@dataclass
class PerturbedLayer(PyEPOLayer):
    """The perturbed optimizer."""

    module: ClassVar[str] = "perturbedOpt"
    seeded_as: ClassVar[str] = "perturbed-layer"

    n_samples: int = option(3, "noisy solves an example", least=1)
    sigma: float = temperature(3.0, "σ, in units of costs")


@dataclass
class ImplicitMLE(PyEPOLayer):
    """Implicit maximum likelihood estimation."""

    module: ClassVar[str] = "implicitMLE"
    seeded_as: ClassVar[str] = "implicit-mle"

    n_samples: int = option(3, "noisy solves an example", least=1)
    sigma: float = option(1.0, "σ, in units of costs", positive=True)
    lambd: float = temperature(10.0, "λ")


@dataclass
class AdaptiveImplicitMLE(PyEPOLayer):
    """Adaptive implicit maximum likelihood estimation."""

    module: ClassVar[str] = "adaptiveImplicitMLE"
    seeded_as: ClassVar[str] = "adaptive-implicit-mle"

    n_samples: int = option(3, "noisy solves an example", least=1)
    sigma: float = temperature(1.0, "σ, in units of costs")

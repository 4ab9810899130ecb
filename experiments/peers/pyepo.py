"""PyEPO's losses and layers on its own model of the 5×5 grid, as methods of the decisions: `pip install pyepo==2.2.7`.

python -m experiments decisions --method spo-plus experiments.peers.pyepo:SPOPlus

Its linear program in GLOP solves, one row at a time; its own options are those of its notebooks. The network, data,
optimiser and budget are those of the other methods of the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from combdiff.solvers import Solver
from experiments.decisions.grid_paths import SIZE
from experiments.harness.method import Method
from experiments.harness.options import option, temperature

POOL_SOLVES = 0.05  # the share of the steps that solve, of losses over a pool


@dataclass
class PyEPO(Method):
    """A module of PyEPO; `arguments` are the attributes of the examples that it is called with after the costs."""

    needs: ClassVar[tuple[str, ...]] = ("true_costs", "solutions")
    module: ClassVar[str]
    arguments: ClassVar[tuple[str, ...]]
    given: ClassVar[dict[str, Any]] = {}
    pooled: ClassVar[bool] = False

    def setup(self, solver: Solver, train: Any) -> None:
        import pyepo.func
        from pyepo.data.dataset import optDataset
        from pyepo.model.ort import shortestPathModel

        model = shortestPathModel((SIZE, SIZE), solver="glop")
        given = {"processes": 1, **self.given, **self.as_json()}
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
    arguments: ClassVar[tuple[str, ...]] = ("true_costs", "solutions", "objectives")
    given: ClassVar[dict[str, Any]] = {"reduction": "sum"}


@dataclass
class FenchelYoung(PyEPO):
    """Perturbed Fenchel–Young."""

    module: ClassVar[str] = "perturbedFenchelYoung"
    arguments: ClassVar[tuple[str, ...]] = ("solutions",)
    given: ClassVar[dict[str, Any]] = {"reduction": "sum"}

    n_samples: int = option(3, "noisy solves an example", least=1)
    sigma: float = temperature(1.0, "σ, in units of costs")


@dataclass
class PerturbationGradient(PyEPO):
    """Perturbation gradients, backward."""

    module: ClassVar[str] = "perturbationGradient"
    arguments: ClassVar[tuple[str, ...]] = ("true_costs",)
    given: ClassVar[dict[str, Any]] = {"reduction": "sum"}

    sigma: float = temperature(0.1, "h, in units of predicted over units of true costs")


@dataclass
class NoiseContrastive(PyEPO):
    """NCE."""

    module: ClassVar[str] = "noiseContrastiveEstimation"
    arguments: ClassVar[tuple[str, ...]] = ("solutions",)
    given: ClassVar[dict[str, Any]] = {"reduction": "sum"}
    pooled: ClassVar[bool] = True


@dataclass
class ContrastiveMAP(NoiseContrastive):
    """MAP."""

    module: ClassVar[str] = "contrastiveMAP"


@dataclass
class RankList(NoiseContrastive):
    """Listwise learning to rank."""

    module: ClassVar[str] = "listwiseLearningToRank"
    arguments: ClassVar[tuple[str, ...]] = ("true_costs",)


@dataclass
class RankPair(RankList):
    """Pairwise learning to rank."""

    module: ClassVar[str] = "pairwiseLearningToRank"


@dataclass
class RankPoint(RankList):
    """Pointwise learning to rank."""

    module: ClassVar[str] = "pointwiseLearningToRank"


@dataclass
class Interpolation(PyEPO):
    """Black-box differentiation, with the regret as loss."""

    module: ClassVar[str] = "blackboxOpt"
    arguments: ClassVar[tuple[str, ...]] = ()

    lambd: float = temperature(20.0, "λ")

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self.task.loss(super().objective(scores, examples), examples)


@dataclass
class PerturbedLayer(PyEPO):
    """The perturbed optimizer, with the squared distance from the best solution as loss."""

    module: ClassVar[str] = "perturbedOpt"
    arguments: ClassVar[tuple[str, ...]] = ()

    n_samples: int = option(3, "noisy solves an example", least=1)
    sigma: float = temperature(1.0, "σ, in units of costs")

    def objective(self, scores: Tensor, examples: Any) -> Tensor:
        return self.solution_loss("squared", super().objective(scores, examples), examples)

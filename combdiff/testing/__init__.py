"""Contract suites: a new solver or layer inherits every law as a test.

Subclass a suite in a test module that pytest collects, and say how to make the thing:

    class TestMySolver(SolverContract):
        def make(self):
            return MySolver(n=4)

        def feasible_set(self, solver):
            return np.array([...])  # every feasible y, (k, n)

    class TestMyLayer(LayerContract):
        def make(self, solver):
            return MyLayer(solver)

Needs pytest.
"""

from combdiff.testing.enumerated import HYPERSIMPLEX, CutShort, Enumerated
from combdiff.testing.layer_contract import LayerContract, SmoothedLayerContract
from combdiff.testing.solver_contract import SolverContract

__all__ = ["HYPERSIMPLEX", "CutShort", "Enumerated", "LayerContract", "SmoothedLayerContract", "SolverContract"]

"""The experiments with constraints: what they compare is what they say."""

import pytest
import torch

from combdiff.layers import FixAndDifferentiate, LinearConstraints
from combdiff.solvers import MixedIntegerPrograms

pytest.importorskip("ortools")


def test_hidden_constraints_are_right_and_a_short_training_runs() -> None:
    from experiments.constraint_learning import BOX, Learned, accuracy, constraints, study

    generator = torch.Generator().manual_seed(0)
    rows, sides = constraints(2, 3, generator)
    layer = LinearConstraints(MixedIntegerPrograms(3, BOX))
    costs = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    assert accuracy(Learned(layer, rows, sides), costs, layer(costs, rows, sides)) == 1.0
    assert all(0.0 <= share <= 1.0 for share in study(0, 1, 2, examples=10, epochs=1).values())


def test_no_plan_beats_that_for_the_true_demand() -> None:
    from experiments.dispatch import CAPACITY, PLANTS, plans, price

    upper = [*[1.0] * PLANTS, *CAPACITY.tolist()]
    layer = FixAndDifferentiate(MixedIntegerPrograms(2 * PLANTS, (0, upper), [1] * PLANTS + [0] * PLANTS))
    demand = torch.tensor([2.0, 9.0, 13.5]).double()
    best = price(plans(layer, demand), demand)
    for factor in (0.8, 1.1):
        assert (price(plans(layer, factor * demand), demand) > best).all()

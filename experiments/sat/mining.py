"""Rules as clauses that a SAT solver holds to: mined from solved boards, or read off a network that learned them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import networkx
import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

import combdiff
from combdiff.solvers import SatInstances
from combdiff_solvers.formulas.formula import Formula
from combdiff_solvers.protocol import Status
from experiments.harness.errors import InputError

MOST_CLIQUES = 100_000
OF_CHANCE = 0.25
PATIENCE = 5.0
"""seconds for one search"""

Truth = Float[Tensor, "boards v"]
Pairs = Bool[Tensor, "v v"]


@dataclass(frozen=True)
class Rules:
    """Clauses over v variables.

    Attributes:
        pairs: (v, v), symmetric: which variables are not both true.
        groups: sets of variables of which one is true.
    """

    pairs: Pairs
    groups: Sequence[Sequence[int]]

    def formula(self) -> Formula:
        """The rules for a SAT solver."""
        both = torch.nonzero(self.pairs.triu(1)) + 1
        some = [tuple(one + 1 for one in group) for group in self.groups]
        return Formula(len(self.pairs), hard=(*((-a, -b) for a, b in both.tolist()), *some))


def together(truth: Truth) -> Float[Tensor, "v v"]:
    """How many boards have both variables of a pair."""
    return truth.T @ truth


def never_together(truth: Truth) -> Pairs:
    """The pairs that no board has; a variable and itself are none."""
    return (together(truth) == 0).fill_diagonal_(False)


def with_groups(pairs: Pairs, truth: Truth) -> Rules:
    """The pairs, and every largest set of them of which each board has one.

    Raises:
        InputError: where the pairs have too many such sets, as of too few boards.
    """
    graph = networkx.from_numpy_array(pairs.numpy())
    cliques = list(islice(networkx.find_cliques(graph), MOST_CLIQUES + 1))
    if len(cliques) > MOST_CLIQUES:
        raise InputError(f"{len(truth)} boards leave more than {MOST_CLIQUES} sets of exclusive variables: take more")
    return Rules(pairs, [sorted(one) for one in cliques if bool((truth[:, one].sum(1) == 1).all())])


def supported(pairs: Pairs, completions: Truth) -> Pairs:
    """The pairs that a network's own solutions of puzzles have at most a quarter as often as chance would."""
    share = completions.mean(0)
    chance = len(completions) * share[:, None] * share
    return pairs & (together(completions) <= OF_CHANCE * chance)


def coupled(clauses: Float[Tensor, "rows m"], truth: Truth) -> Pairs:
    """A network's clauses S, rounded: the pairs of largest ⟨s_i, s_j⟩, down to the first that some board has."""
    v = truth.shape[1]
    coupling = (clauses @ clauses.T)[1 : v + 1, 1 : v + 1]
    seen = ~never_together(truth) & ~torch.eye(v, dtype=torch.bool)
    return (coupling > coupling[seen].max()).fill_diagonal_(False)


def outcome(rules: Rules, clues: Truth, solutions: Truth) -> dict[str, float]:
    """Shares of puzzles for which the rules leave the right board alone, no board, and anything else."""
    v = clues.shape[1]
    literals, truth = (clues * torch.arange(1, v + 1)).long().numpy(), solutions.double().numpy()
    solver = combdiff.wrap(rules.formula(), sense="min", time_limit=PATIENCE)
    found = solver.solve(np.zeros(clues.shape), SatInstances(literals=literals))
    none: ndarray = found.status == Status.INFEASIBLE
    hit = np.flatnonzero((found.y == truth).all(1))
    other = solver.solve(truth[hit], SatInstances(literals=literals[hit]))  # as unlike the right one as can be
    alone = (other.status == Status.OPTIMAL) & (other.y == truth[hit]).all(1)
    right = alone.sum() / len(truth)
    return {"right": right, "none": none.mean(), "else": 1 - right - none.mean()}

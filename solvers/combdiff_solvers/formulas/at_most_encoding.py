"""Pseudo-Boolean constraints as clauses, through a decision diagram.

Σ wᵢ lᵢ ≤ k is read literal by literal, with the budget that is left as the state. A state (i, b) becomes a variable s
with s → s(i+1, b) and s ∧ lᵢ → s(i+1, b − wᵢ). Budgets between the same two sums of the literals to come are one state.

Source: N. Eén and N. Sörensson (2006), "Translating pseudo-Boolean constraints into SAT", section 5.1.
"""

from __future__ import annotations

from bisect import bisect_right

from combdiff_solvers.formulas.formula import AtMost

MAX_STATES = 200_000  # a diagram that is larger is refused


def clauses_of(constraint: AtMost, next_variable: int) -> tuple[list[tuple[int, ...]], int]:
    """Clauses that hold (for some values of new variables) where the constraint does, and the next free variable.

    Raises:
        ValueError: when the diagram is too large.

    >>> clauses_of(AtMost((1, 2), 2, (2, 1)), next_variable=3)
    ([(-1, 3), (-3, -2)], 4)
    """
    terms = sorted(zip(constraint.weights, constraint.literals, strict=True), key=lambda term: (-term[0], abs(term[1])))
    if constraint.bound < 0:
        return [()], next_variable
    if constraint.bound >= sum(constraint.weights):
        return [], next_variable
    sums = _sums_to_come([weight for weight, _ in terms], constraint.bound)
    clauses: list[tuple[int, ...]] = []
    states: dict[int, int | None] = {_level(sums[0], constraint.bound): None}  # None stands for true
    total = sum(constraint.weights)
    for (weight, literal), after in zip(terms, sums[1:], strict=True):
        total -= weight
        following: dict[int, int | None] = {}
        for budget, state in states.items():
            premise = () if state is None else (-state,)
            for taken, left in (((), budget), ((-literal,), budget - weight)):
                if left >= total:
                    continue
                if left < 0:
                    clauses.append((*premise, *taken))
                    continue
                level = _level(after, left)
                if not premise and not taken and level not in following:
                    following[level] = None
                elif level not in following:
                    following[level] = next_variable
                    next_variable += 1
                target = following[level]
                if target is not None:
                    clauses.append((*premise, *taken, target))
        states = following
    return clauses, next_variable


def _level(sums: list[int], budget: int) -> int:
    """The largest of the sums that the budget allows."""
    return sums[bisect_right(sums, budget) - 1]


def _sums_to_come(weights: list[int], bound: int) -> list[list[int]]:
    """For each i, the sorted sums up to the bound of the subsets of weights[i:]."""
    sums: list[list[int]] = [[0]]
    states = 0
    for weight in reversed(weights):
        longer = set(sums[-1])
        longer.update(one + weight for one in sums[-1] if one + weight <= bound)
        states += len(longer)
        if states > MAX_STATES:
            raise ValueError(
                f"a pseudo-Boolean constraint of {len(weights)} literals with weights up to {weights[0]} is too large "
                "to become clauses: use backend='cp_sat'"
            )
        sums.append(sorted(longer))
    return sums[::-1]

"""Prices in float64 as integers, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray


class ExactWeights:
    """Turns prices of literals, beside fixed rewards of others, into exact integer costs of variables.

    A double is m · 2ᵉ with an integer m, so a row of them times 2^−min(e) is a row of integers (of 53 bits and the
    spread of the exponents; Python's integers have no limit). Rational rewards add one common denominator.

    Args:
        literals: (n,), what the prices are for.
        rewards: literals, each with the price of its being false.

    >>> ExactWeights(np.array([1, -2]), []).of(np.array([0.5, 0.25]))
    ({1: 9007199254740992, 2: -4503599627370496}, -54, 1)
    """

    def __init__(self, literals: Int64[ndarray, " n"], rewards: Sequence[tuple[int, Fraction]]) -> None:
        self._variables = np.abs(literals).tolist()
        self._signs = np.sign(literals)
        self._divisor = lcm(1, *(weight.denominator for _, weight in rewards))
        self._rewards = [
            (abs(literal), int(weight * self._divisor) * (-1 if literal > 0 else 1)) for literal, weight in rewards
        ]

    def of(self, prices: Float64[ndarray, " n"]) -> tuple[dict[int, int], int, int]:
        """Costs of the variables being true, without zeros, in units of 2^exponent / divisor; exponent; divisor."""
        fractions, exponents = np.frexp(prices)
        mantissas = (np.ldexp(fractions, 53) * self._signs).astype(np.int64)
        exponents = exponents.astype(np.int64) - 53
        used = mantissas != 0
        exponent = int(exponents[used].min()) if used.any() else 0
        if self._rewards:
            exponent = min(exponent, 0)
        shifts = np.where(used, exponents - exponent, 0).tolist()
        costs: dict[int, int] = {}
        for variable, mantissa, shift in zip(self._variables, mantissas.tolist(), shifts, strict=True):
            costs[variable] = costs.get(variable, 0) + ((mantissa * self._divisor) << shift)
        for variable, weight in self._rewards:
            costs[variable] = costs.get(variable, 0) + (weight << -exponent)
        return {variable: cost for variable, cost in costs.items() if cost}, exponent, self._divisor

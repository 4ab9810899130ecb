"""The objective at a given point, with and without a term h of the solver's own."""

from typing import Any

import numpy as np
import pytest

from combdiff.solvers import TopK
from combdiff_solvers.protocol import value


class WithOwnTerm(TopK):
    """TopK with h(y) = 10 · y₀, plus the instance of the row where there is one."""

    def value(self, y: Any, theta: Any, instances: Any = None) -> Any:
        own = 10.0 * y[:, 0] + (0.0 if instances is None else np.array(instances))
        return np.einsum("bn,bn->b", theta, y) + own


class TooFew(TopK):
    def value(self, y: Any, theta: Any, instances: Any = None) -> Any:
        return np.zeros(len(y) - 1)


def test_value_is_the_inner_product_and_the_solvers_own_term() -> None:
    theta = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    y = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    np.testing.assert_array_equal(value(TopK(3), y, theta), [4.0, 5.0])
    np.testing.assert_array_equal(value(WithOwnTerm(3), y, theta), [14.0, 5.0])
    np.testing.assert_array_equal(value(WithOwnTerm(3), y, theta, [100.0, 200.0]), [114.0, 205.0])


def test_value_of_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"y has shape \(1, 3\), but theta \(2, 3\)"):
        value(TopK(3), np.zeros((1, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"a batch for a solver of shape \(3,\) is \(b, 3\)"):
        value(TopK(3), np.zeros((1, 4)), np.zeros((1, 4)))
    with pytest.raises(ValueError, match=r"TooFew\.value returned shape \(1,\)"):
        value(TooFew(3), np.zeros((2, 3)), np.zeros((2, 3)))

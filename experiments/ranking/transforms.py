"""What is made of the features of documents before a network sees them, fitted on the training documents alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from scipy.special import ndtri

Features = Float32[ndarray, "documents features"]


def normal_scores(train: Features) -> Callable[[Features], Features]:
    """Each value becomes the normal quantile of its rank among the training values; ties share their mean rank.

    Of n training values, of which b are below x and t equal it, x becomes Φ⁻¹((b + t/2 + 1/2) / (n + 1)). The order of
    values stays, so that trees lose nothing, and no scale or outlier is left.

    >>> normal_scores(np.float32([[1], [2], [1000]]))(np.float32([[2], [0], [5000]])).ravel().round(2)
    array([ 0.  , -1.15,  1.15], dtype=float32)
    """
    ordered = np.sort(train, axis=0)

    def transform(x: Features) -> Features:
        ranks = np.empty(x.shape)
        for feature, values in enumerate(ordered.T):
            below, until = (np.searchsorted(values, x[:, feature], side) for side in ("left", "right"))
            ranks[:, feature] = (below + until) / 2
        return ndtri((ranks + 0.5) / (len(ordered) + 1)).astype(np.float32)

    return transform


def logarithms(train: Features) -> Callable[[Features], Features]:
    """sign(x) · log(1 + |x|), less the training mean, over the training standard deviation (1 where that is 0)."""

    def signed(x: Features) -> Features:
        return np.sign(x) * np.log1p(np.abs(x))

    mean, scale = signed(train).mean(0), signed(train).std(0)
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return lambda x: (signed(x) - mean) / scale


TRANSFORMS = {"normal-scores": normal_scores, "logarithms": logarithms}

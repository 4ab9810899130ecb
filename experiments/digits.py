"""Handwritten digits in disjoint pools, so that a network meets other handwriting in the test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8
from numpy import ndarray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from experiments.harness.errors import InputError


@dataclass(frozen=True)
class Pool:
    """Some of the digits; `index` says which of the whole set."""

    images: UInt8[ndarray, "k side side"]
    labels: Int64[ndarray, " k"]
    index: Int64[ndarray, " k"]


def scans() -> tuple[UInt8[ndarray, "1797 8 8"], Int64[ndarray, " 1797"]]:
    """The scans that ship with scikit-learn: 1797 digits of 8×8 pixels."""
    pixels, labels = load_digits(return_X_y=True)
    return np.round(pixels.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), labels.astype(np.int64)


def read_mnist(path: Path) -> tuple[UInt8[ndarray, "k 28 28"], Int64[ndarray, " k"]]:
    """A table without a heading, 784 pixels and the label in each line (.csv or .csv.gz).

    Raises:
        InputError: for a file that is missing or holds anything else.
    """
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.int64, ndmin=2)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path}: {error}") from error
    if table.shape[1] != 785 or table.min() < 0 or table[:, :-1].max() > 255 or table[:, -1].max() > 9:
        raise InputError(f"{path}: each line must hold 784 pixels from 0 to 255 and a digit; got {table.shape}")
    return table[:, :-1].reshape(-1, 28, 28).astype(np.uint8), table[:, -1]


def pools(
    images: UInt8[ndarray, "k side side"],
    labels: Int64[ndarray, " k"],
    split: int,
    train_share: float = 1000 / 1797,
    test_share: float = 400 / 1797,
) -> tuple[Pool, Pool, Pool]:
    """Disjoint train, validation and test digits, each with about as many of every class.

    >>> [len(pool.labels) for pool in pools(*scans(), split=0)]
    [1000, 397, 400]
    """
    everything, count = np.arange(len(labels)), len(labels)
    rest, test = train_test_split(everything, test_size=round(test_share * count), stratify=labels, random_state=split)
    train, validation = train_test_split(
        rest, train_size=round(train_share * count), stratify=labels[rest], random_state=split + 1
    )
    first, second, third = (Pool(images[index], labels[index], index) for index in (train, validation, test))
    return first, second, third

"""Queries with judged documents: svmlight files with query ids (LETOR, MSLR), or with sizes of queries beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray

from experiments.harness.errors import InputError

MOST_RELEVANT, MOST_FEATURES = 30, 100_000
"""larger numbers are refused: gains are 2^relevance − 1, and features make a dense matrix"""


@dataclass(frozen=True)
class Queries:
    """Judged documents, query by query.

    Attributes:
        relevance: (documents,), from 0 to 30.
        sizes: (queries,), how many documents each query has.
        entries: the features that are not zero: for each its document, its number, its value.
    """

    relevance: Float32[ndarray, " documents"]
    sizes: Int64[ndarray, " queries"]
    entries: tuple[Int64[ndarray, " entries"], Int64[ndarray, " entries"], Float32[ndarray, " entries"]]


def read_queries(path: Path) -> Queries:
    """Read `relevance [qid:QUERY] feature:value ... [# comment]`, a line for each document of a query.

    Where a file of the same name with `.query` at the end exists, it has the number of documents of each query, one a
    line, and query ids are not needed (LightGBM's layout); where there are both, they have to agree. The lines of a
    query stand together. A query may have no relevant document.

    Raises:
        InputError: for a file that is missing or damaged, with the number of the line.
    """
    documents, relevance, ids = list[int](), list[float](), list[str]()
    features, values, lines = list[int](), list[float](), list[int]()
    sizes_file = path.with_name(f"{path.name}.query")
    for number, words in _lines(path):
        try:
            relevance.append(_number(words[0], "relevance", 0, MOST_RELEVANT))
            named = words[1].removeprefix("qid:") if len(words) > 1 and words[1].startswith("qid:") else ""
            if not named and not sizes_file.exists():
                raise ValueError(f"no qid after the relevance, and no file {sizes_file.name} with the sizes of queries")
            seen = set[int]()
            for word in words[2 if named else 1 :]:
                feature, colon, value = word.partition(":")
                if not colon or not feature.isdecimal():
                    raise ValueError(f"{word!r} is no FEATURE:VALUE")
                if int(feature) > MOST_FEATURES:
                    raise ValueError(f"feature {feature} is too large a number: {MOST_FEATURES} is the largest")
                if int(feature) in seen:
                    raise ValueError(f"feature {feature} is given twice")
                seen.add(int(feature))
                features.append(int(feature))
                values.append(_number(value, f"feature {feature}"))
                documents.append(len(relevance) - 1)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
        ids.append(named)
        lines.append(number)
    if not relevance:
        raise InputError(f"{path} has no documents")
    if sizes_file.exists():
        sizes = _read_sizes(sizes_file, len(ids))
        _refuse_mixed_queries(path, sizes_file, sizes, ids, lines)
    else:
        sizes = _sizes_of_runs(path, ids, lines)
    entries = np.array(documents), np.array(features, dtype=np.int64), np.array(values, dtype=np.float32)
    return Queries(np.array(relevance, dtype=np.float32), np.array(sizes), entries)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The words of each line that has any, without comments."""
    number = 0
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                words = line.decode("utf-8").partition("#")[0].split()
                if words:
                    yield number, words
    except UnicodeDecodeError as error:
        raise InputError(f"{path}, line {number}, is no text ({error}): is the copy complete?") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error}): is the copy complete?") from error


def _number(text: str, what: str, least: float = -math.inf, most: float = math.inf) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and least <= value <= most):
        limits = f" from {least:g} to {most:g}" if math.isfinite(most) else ""
        raise ValueError(f"{what} is {text!r}, but must be a number{limits}")
    return value


def _read_sizes(path: Path, documents: int) -> list[int]:
    sizes = []
    for number, words in _lines(path):
        if len(words) > 1 or not words[0].isdecimal() or int(words[0]) < 1:
            raise InputError(f"{path}, line {number}: {' '.join(words)!r} is no number of documents")
        sizes.append(int(words[0]))
    if sum(sizes) != documents:
        raise InputError(
            f"{path}: the sizes of the queries add up to {sum(sizes)}, but there are {documents} documents"
        )
    return sizes


def _refuse_mixed_queries(path: Path, sizes_file: Path, sizes: list[int], ids: list[str], lines: list[int]) -> None:
    first = 0
    for query, size in enumerate(sizes, 1):
        for place in range(first, first + size):
            if ids[place] != ids[first]:
                raise InputError(
                    f"{path}, line {lines[place]}: qid {ids[place] or 'none'}, but by {sizes_file.name} it is in query "
                    f"{query} with line {lines[first]}, of qid {ids[first] or 'none'}"
                )
        first += size


def _sizes_of_runs(path: Path, ids: list[str], lines: list[int]) -> list[int]:
    sizes, seen = list[int](), set[str]()
    for place, name in enumerate(ids):
        if place and name == ids[place - 1]:
            sizes[-1] += 1
        elif name in seen:
            raise InputError(
                f"{path}, line {lines[place]}: query {name} was left before: its lines must stand together"
            )
        else:
            seen.add(name)
            sizes.append(1)
    return sizes

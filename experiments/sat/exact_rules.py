"""Rules that SATNet has learned, made exact: clauses for a SAT solver, and how often these leave the right board alone.

  python -m experiments sat --data rules4 --boards 50 --epochs 100 --splits 3 --out results/sat/50
  python -m experiments.sat.exact_rules results/sat/50 results/sat/1000
  python -m experiments.sat.exact_rules --mine rules9:FOLDER --boards 300 1000 9000

takes the networks of each run of `--data rules4` or `rules9` (of their last epoch, which no label of a validation board
has chosen), and makes clauses in four ways:

- couplings: S itself, rounded: the pairs of digits with the largest ⟨s_i, s_j⟩ do not stand together, down to the first
  pair that a training board has;
- answers: what the network does, rounded: pairs that stand together in its own solutions of puzzles whose solutions it
  was not shown (the validation puzzles) at most a quarter as often as chance would have it;
- mined, without the network: pairs that no training board has;
- mined + answers: pairs of which both is true;

and of the largest sets of exclusive digits those of which every training board has one: one of them stands there.
`--mine` needs no run: clauses mined from the first so many training boards of each of three splits.

A row says how many pairs are false or missing (beside the true rules, which nothing learns from), and for how many test
puzzles the clauses leave the one right board, none, or anything else; means over the splits. `exact_rules.csv` of each
folder has the rows of all splits.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from experiments.harness.errors import InputError
from experiments.harness.run import Run
from experiments.harness.run_folder import RunFolder
from experiments.harness.table import Column, Row, log_console, mean_rows, print_table
from experiments.sat.mining import Pairs, coupled, never_together, outcome, supported, with_groups
from experiments.sat.rules import RuleNetwork, Symbols
from experiments.sat.rules import Rules as RuleSource
from experiments.sat.task import Satisfiability

COLUMNS = (
    Column("boards", "boards"),
    Column("network", "SATNet", "{:.1%}"),
    Column("way", "clauses"),
    Column("pairs", "pairs", "{:.0f}"),
    Column("false", "false", "{:.0f}"),
    Column("missing", "missing", "{:.0f}"),
    Column("right", "right", "{:.1%}"),
    Column("none", "none", "{:.1%}"),
    Column("else", "other", "{:.1%}"),
)


def true_pairs(n: int) -> Pairs:
    """Pairs that the rules exclude: in the same cell, or of the same digit in a common line or box."""
    box = round(n**0.5)
    row, column, digit = torch.meshgrid(*[torch.arange(n)] * 3, indexing="ij")
    within = row // box * box + column // box
    row, column, digit, within = (axis.flatten() for axis in (row, column, digit, within))

    def same(axis: Tensor) -> Pairs:
        return axis[:, None] == axis

    line = same(row) | same(column) | same(within)
    return ((same(digit) & line) | (same(row) & same(column))).fill_diagonal_(False)


def rows_of(folder: RunFolder) -> list[Row]:
    """The rows of one run.

    Raises:
        InputError: for the folder of another task, or without a checkpoint.
    """
    config = folder.config()
    run = Run(str(config.pop("task", "")), config)
    source: Any = getattr(run.task, "source", None)
    if not isinstance(source, RuleSource):
        raise InputError(f"{folder.path} is no run of --data rules4 or rules9")
    rows = [row for split in run.settings.splits for row in rows_of_split(folder, run, source, split)]
    folder.write_csv("exact_rules.csv", rows)
    return rows


def rows_of_split(folder: RunFolder, run: Run, source: RuleSource, split: int) -> list[Row]:
    """A row for each way to make clauses."""
    data, job = run.load(split), run.jobs(split)[0]
    state = folder.load_checkpoint(job.checkpoint(), run.as_json())
    if state is None:
        raise InputError(f"{folder.path} has no checkpoint of {job.title()}: train it first")
    network = source.network(data.train)
    assert isinstance(network, RuleNetwork)
    network.load_state_dict(state["network"])
    truth = data.train.completion.flatten(1)
    with torch.no_grad():
        completed = source.solve(network(data.validation.inputs), data.validation).flatten(1)
        answers = source.solve(network(data.test.inputs), data.test)
        ways = {"couplings": coupled(network.rules.clauses, truth)}
    ways["answers"] = supported(torch.ones_like(ways["couplings"]).fill_diagonal_(False), completed)
    ways["mined"], known = never_together(truth), true_pairs(source.n)
    ways["mined + answers"] = ways["mined"] & ways["answers"]
    common = {"split": split, "boards": len(truth), "network": source.score(answers, data.test, None)["boards"]}
    return [{**common, "way": way, **judged(pairs, truth, known, data.test)} for way, pairs in ways.items()]


def judged(pairs: Pairs, truth: Tensor, known: Pairs, test: Symbols) -> Row:
    """How good the clauses are that these pairs make."""
    return {
        "pairs": int(pairs.sum()) / 2,
        "false": int((pairs & ~known).sum()) / 2,
        "missing": int((known & ~pairs).sum()) / 2,
        **outcome(with_groups(pairs, truth), test.inputs.flatten(1), test.completion.flatten(1)),
    }


def rows_of_mining(data: str, counts: Sequence[int]) -> list[list[Row]]:
    """The rows of clauses that are mined from so many boards, each on three splits.

    Raises:
        InputError: for data that are no Sudokus as symbols, or too few of them.
    """
    task = Satisfiability(data=data, boards=max(counts))
    source = task.source
    if not isinstance(source, RuleSource):
        raise InputError(f"data={data!r} must be rules4 or rules9:PATH")
    groups: list[list[Row]] = [[] for _ in counts]
    for split in range(3):
        part = source.load(split)
        for rows, count in zip(groups, counts, strict=True):
            truth = part.train.completion[:count].flatten(1)
            found = judged(never_together(truth), truth, true_pairs(source.n), part.test)
            rows.append({"split": split, "boards": count, "way": "mined", **found})
    return groups


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return the exit status (0 fine, 2 bad input)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, metavar="FOLDER", help="results of runs")
    parser.add_argument("--mine", metavar="DATA", help="rules4 or rules9:PATH: without a run")
    parser.add_argument("--boards", type=int, nargs="+", default=[1000], help="so many training boards (default 1000)")
    given = parser.parse_args(arguments)
    try:
        found = [rows_of(RunFolder(path)) for path in given.folders]
        found += rows_of_mining(given.mine, given.boards) if given.mine else []
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    groups = [mean_rows(rows, ("boards", "way"), "split") for rows in found]
    print_table(log_console(), "Learned rules made exact: test boards", list(COLUMNS), groups)
    return 0


if __name__ == "__main__":
    sys.exit(main())

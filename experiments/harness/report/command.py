"""One page of any runs: the verdict, tables, figures, settings and commands.

Reads results folders, of one task or several, and writes a page that needs no other file. The best method and
temperature are those of the best mean score on the validation examples. Runs that have not ended, or are damaged, are
listed with what is missing. A folder that holds runs stands for all of them.

examples:
  python -m experiments report results/ranking/001
  python -m experiments report results/top-k/* --out top-k.html
  python -m experiments report results
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.harness.report.page import write_report
from experiments.harness.report.read import find_runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="results folders, or what holds them")
    parser.add_argument("--out", type=Path, help="the page (default: report.html in the folder, if there is but one)")


def run(given: Mapping[str, Any], parse: object = None) -> None:
    """Write the page.

    Raises:
        InputError: for a folder that is no run, or a page that cannot be written.
    """
    folders, out = given["folders"], given["out"]
    runs = find_runs(folders)
    out = out or (folders[0] if len(folders) == 1 else Path()) / "report.html"
    write_report(runs, out)
    print(out)

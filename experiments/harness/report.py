"""One self-contained HTML page about a run: the table, the pictures and the settings."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from experiments.harness.run_folder import RunFolder
from experiments.harness.table import Column, Row

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_report(
    folder: RunFolder,
    title: str,
    columns: Sequence[Column],
    groups: Sequence[Sequence[Row]],
    pictures: Sequence[str],
    config: Mapping[str, Any],
) -> None:
    """Write `report.html`; the pictures are PNG files of the folder, and go into the page itself."""
    images = {name: base64.b64encode((folder.path / name).read_bytes()).decode("ascii") for name in pictures}
    page = TEMPLATES.get_template("report.html").render(
        title=title, columns=columns, groups=groups, images=images, config=config
    )
    folder.write_text("report.html", page + "\n")

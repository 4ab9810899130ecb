"""One self-contained HTML page about a run: the table, the pictures and the settings."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from experiments.run_folder import RunFolder
from experiments.table import Column, Row

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; } img { max-width: 100%; margin: 1rem 0; }
th, td { padding: .25rem .8rem; text-align: right; } th { border-bottom: 2px solid #222; }
td.text, th.text { text-align: left; } tbody { border-bottom: 1px solid #999; }
"""


def write_report(
    folder: RunFolder,
    title: str,
    columns: Sequence[Column],
    groups: Sequence[Sequence[Row]],
    pictures: Sequence[str],
    config: Mapping[str, Any],
) -> None:
    """Write `report.html`; the pictures are PNG files of the folder, and go into the page itself."""
    parts = [f"<h1>{escape(title)}</h1>", html_table(columns, groups)]
    for name in pictures:
        content = base64.b64encode((folder.path / name).read_bytes()).decode("ascii")
        parts.append(f'<img alt="{escape(name)}" src="data:image/png;base64,{content}">')
    settings = "".join(
        f'<tr><td class="text">{escape(key)}</td><td class="text">{escape(str(value))}</td></tr>'
        for key, value in config.items()
    )
    parts.append(f"<h2>Settings</h2><table><tbody>{settings}</tbody></table>")
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
    folder.write_text("report.html", f"{head}<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</html>\n")


def html_table(columns: Sequence[Column], groups: Sequence[Sequence[Row]]) -> str:
    """A table with one body for each group.

    >>> html_table([Column("x", "share", "{:.0%}")], [[{"x": 0.5}]])
    '<table><thead><tr><th>share</th></tr></thead><tbody><tr><td>50%</td></tr></tbody></table>'
    """
    kinds = [' class="text"' if column.form == "{}" else "" for column in columns]
    head = "".join(f"<th{kind}>{escape(c.heading)}</th>" for c, kind in zip(columns, kinds, strict=True))
    bodies = ""
    for group in groups:
        lines = (
            "".join(f"<td{kind}>{escape(c.show(row))}</td>" for c, kind in zip(columns, kinds, strict=True))
            for row in group
        )
        bodies += "<tbody>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</tbody>"
    return f"<table><thead><tr>{head}</tr></thead>{bodies}</table>"

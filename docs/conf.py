"""The site: `make docs`."""

import os
import re
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert

project = "combdiff"
author = copyright = "the combdiff developers"
version = release = installed("combdiff")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery", "sg_execution_times.rst"]
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"  # the prompts and answers of doctests

default_role = "code"
autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings give shapes; jaxtyping's strings are none to read
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_use_ivar = True
napoleon_attr_annotations = False

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "built_gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "furo"
html_title = "combdiff"
html_show_sphinx = False


DOCS = Path(__file__).parent
ELSEWHERE = {  # pages of the site whose text is kept where readers of the repository look for it
    "benchmarks": DOCS.parent / "experiments/benchmarks/README.md",
    "changelog": DOCS.parent / "CHANGELOG.md",
    "contributing": DOCS.parent / "CONTRIBUTING.md",
    "results": DOCS.parent / "experiments/README.md",
    "solvers": DOCS.parent / "solvers/README.md",
}
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def read_page(app: Any, docname: str, source: list[str]) -> None:
    """Take the text from where it is kept, and turn links between files into links between pages."""
    page = DOCS / f"{docname}.md"
    if not page.exists():  # generated
        return
    kept = ELSEWHERE.get(docname, page)

    def link(match: re.Match[str]) -> str:
        target = (kept.parent / match[1]).resolve()
        target = next((DOCS / f"{name}.md" for name, path in ELSEWHERE.items() if path == target), target)
        return f"]({os.path.relpath(target, page.parent)}"

    source[0] = LINK.sub(link, kept.read_text(encoding="utf-8"))


def plain_text(app: Any, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text, in which * and | are no markup, and what is set in after a blank line is a formula."""
    text, formula = list[str](), False
    for line in lines:
        inside = line.startswith(" ") or not line
        before = next((one for one in reversed(text) if one), " ")
        if line.startswith(" ") and text and not text[-1] and not before.startswith(" ") and not formula:
            formula = True
            text += ["::", ""]
        formula = formula and inside
        if not formula and not line.lstrip().startswith((">>>", "...")):
            parts = re.split("(`[^`]*`)", line)
            line = "".join(part if part.startswith("`") else re.sub(r"([*|]|_\b)", r"\\\1", part) for part in parts)
        text.append(line)
    lines[:] = text


def as_mathml(self: Any, node: Any, display: str) -> None:
    """Mathematics as MathML: no script, and no request to another host."""
    self.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def setup(app: Any) -> None:
    """Register what is above."""
    app.connect("source-read", read_page)
    app.connect("autodoc-process-docstring", plain_text, priority=400)  # before napoleon
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(lambda self, node: as_mathml(self, node, "inline"), None),
        block_renderers=(lambda self, node: as_mathml(self, node, "block"), None),
    )
    app.config.html_math_renderer = "mathml"

"""The files that CONTRIBUTING.md shows."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"
FILES = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE.read_text(), flags=re.DOTALL))
"""texts by the paths in their first lines"""


def load(path: str) -> ModuleType:
    """One of them as a module of its name, which other code may import then."""
    module = ModuleType(path.removeprefix("solvers/").removesuffix(".py").replace("/", "."))
    sys.modules[module.__name__] = module
    exec(compile(FILES[path], path, "exec"), vars(module))
    return module

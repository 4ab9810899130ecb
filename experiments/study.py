"""Make the results of docs/study.md again: `python -m experiments.study` (make study), about 20 minutes on two cores.

The page holds each command. This runs them, puts the tables that they write in the page, copies their pictures beside
it, draws the page's own, and makes docs/study.pdf where pandoc and Typst are installed (`pip install -e '.[site]'`). A
run that is there already is not repeated, one that was broken off goes on: delete results/study to begin anew.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from experiments.figures import study as figures
from experiments.harness.errors import InputError
from experiments.harness.run_folder import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "study.md"
LAYOUT = [f"--variable={name}" for name in ("fontsize=10pt", "margin.x=2cm", "margin.y=2cm")]
STYLE = """
#show table: set text(size: 7.5pt, hyphenate: false)
#show figure.where(kind: table): set block(breakable: true)
#show raw: set text(size: 8pt)
"""
CODE = r"(?P<code>```sh\n(?P<command>.*?)\n```\n\n)?"
BLOCK = re.compile(rf"<!-- results: (?P<files>.*?) -->\n{CODE}(?P<table>.*?)<!-- end -->", re.DOTALL)


def make(page: Path, results: Path) -> str:
    """The text of the page with the results of its commands.

    Args:
        page: a page with blocks, each a comment `results: RUN/FILE, ...`, the command of RUN (in its first block), a
            table and a comment `end`. A table of Markdown takes the table's place; a picture RUN/NAME is copied to
            `study_RUN_NAME` beside the page.
        results: the folder of all runs.

    Raises:
        InputError: for a block without a command, of a run that none before it has made.
        subprocess.CalledProcessError: for a command that fails.
    """
    ran: set[str] = set()

    def fill(block: re.Match[str]) -> str:
        files = [Path(name.strip()) for name in block["files"].split(",")]
        name = files[0].parts[0]
        if block["command"]:
            run(block["command"], results / name)
            ran.add(name)
        elif name not in ran:
            raise InputError(f"{page} asks for {files[0]}, and no command before it makes {name}")
        table = block["table"]
        for file in files:
            if file.suffix == ".md":
                table = (results / file).read_text(encoding="utf-8") + "\n"
            else:
                shutil.copyfile(results / file, page.parent / "_".join(("study", *file.parts)))
        return f"<!-- results: {block['files']} -->\n{block['code'] or ''}{table}<!-- end -->"

    return BLOCK.sub(fill, page.read_text(encoding="utf-8"))


def run(command: str, folder: Path) -> None:
    """Run `python -m experiments ...` in a folder, or go on with it."""
    python, *words = shlex.split(command.replace("\\\n", " "))
    if python != "python" or words[:2] != ["-m", "experiments"]:
        raise InputError(f"{command!r} is no command of the experiments")
    where = ["--resume" if (folder / "config.json").exists() else "--out", str(folder)]
    words = [words[2], *where] if where[0] == "--resume" else [*words[2:], *where]
    subprocess.run([sys.executable, "-m", "experiments", *words], check=True)


def main() -> int:
    """Make the page, its pictures and its PDF; return the exit status."""
    try:
        text = make(PAGE, RESULTS / "study")
    except (InputError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    PAGE.write_text(text, encoding="utf-8")
    figures.main()
    try:
        import pypandoc
        import typst
    except ModuleNotFoundError as error:
        print(f"no PDF: {error}; pip install -e '.[site]'")
        return 0
    source = PAGE.with_suffix(".typ")
    body = pypandoc.convert_file(str(PAGE), "typst", extra_args=["--standalone", *LAYOUT])
    body = body.replace("dot.circle", "dot.o")  # pandoc 3.9 has Typst's old name of ⊙
    source.write_text(body.replace("\n= ", f"{STYLE}\n= ", 1), encoding="utf-8")
    typst.compile(str(source), output=str(PAGE.with_suffix(".pdf")))
    source.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The report: what is best, what is missing, and that it is one page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from scipy import stats

from experiments.__main__ import main
from experiments.harness.errors import InputError
from experiments.harness.report.compare import compare
from experiments.harness.report.figures import Line, Point, chart
from experiments.harness.report.page import render
from experiments.harness.report.read import find_runs, read_run
from tests.experiments.recorded import Scores, write_run

SWEEP: Scores = {
    ("top-k-kl", 0.1): [(0.50, 0.99), (0.52, 0.98)],
    ("top-k-kl", 1.0): [(0.70, 0.80), (0.72, 0.84)],
    ("top-k-l2", 0.1): [(0.60, 0.90), (0.60, 0.91)],
    ("top-k-l2", 1.0): [(0.60, 0.70), (0.60, 0.71)],
    ("cross-entropy", None): [(0.65, 0.95), (0.65, 0.95)],
}
SMALL: Scores = {("top-k-kl", 0.1): [(0.5, 0.6)], ("top-k-kl", 1.0): [(0.4, 0.7)]}
METHODS = '"methods": ["top-k-kl"], "solvers": ["kernel"]'
VOID = {"meta", "img", "path", "circle"}


class Page(HTMLParser):
    """The words and tags of a page, which have to close one another."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.attributes, self.words = list[str](), list[str](), list[str](), list[str]()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(word for word in self.words if word)


def page_of(*folders: Path) -> Page:
    page = Page(render([read_run(folder) for folder in folders]))
    assert not page.open
    return page


def test_validation_chooses_and_test_scores_do_not(tmp_path: Path) -> None:
    (comparison,) = compare([read_run(write_run(tmp_path / "run", SWEEP))])
    ranked = [(one.method, one.temperature) for one in comparison.ranked]
    assert ranked == [("top-k-kl", 1.0), ("cross-entropy", None), ("top-k-l2", 0.1)]
    best, second, _ = comparison.ranked
    test, gap = comparison.test(best), comparison.difference(best, second)
    assert test is not None
    assert gap is not None
    expected = stats.t.interval(0.95, 1, loc=0.82, scale=stats.sem([0.80, 0.84]))
    assert (test.low, test.high) == pytest.approx(expected)
    assert gap.mean == pytest.approx(-0.13)
    text = page_of(tmp_path / "run").text
    assert "Best on validation (2 splits) top-k-kl, epsilon = 1 Validation top-1 71.0%; learns from classes" in text
    assert "top-1 82.0% 95 % interval 56.6% to 107.4% over the splits" in text
    assert "The next one cross-entropy Test top-1 95.0%. The best is 13.0 points below it" in text
    assert "the two are not told apart" in text


def test_single_runs_are_compared_as_one_sweep_is(tmp_path: Path) -> None:
    folders = []
    for heat in (0.1, 1.0):
        own: Scores = {(method, None): scores for (method, at), scores in SWEEP.items() if at in (heat, None)}
        folders.append(write_run(tmp_path / str(heat), own, epsilon=heat))
    (comparison,) = compare([read_run(folder) for folder in folders])
    ranked = [(one.method, one.temperature) for one in comparison.ranked]
    assert ranked == [("top-k-kl", 1.0), ("cross-entropy", None), ("top-k-l2", 0.1)]
    assert "against temperature" in page_of(*folders).text


def test_methods_are_ranked_on_the_splits_that_all_have(tmp_path: Path) -> None:
    first = write_run(tmp_path / "1", {("top-k-kl", None): [(0.5, 0.5), (0.9, 0.9)]})
    second = write_run(tmp_path / "2", {("top-k-l2", None): [(0.6, 0.6)]})
    (comparison,) = compare([read_run(first), read_run(second)])
    assert [one.method for one in comparison.ranked] == ["top-k-l2", "top-k-kl"]


def test_other_data_are_another_comparison_and_other_training_is_remarked(tmp_path: Path) -> None:
    scores: Scores = {("top-k-kl", None): [(0.5, 0.5)]}
    folders = [write_run(tmp_path / str(k), scores, k=k, batch=50 * k) for k in (2, 3)]
    folders.append(write_run(tmp_path / "4", scores, k=3, batch=10))
    comparisons = compare([read_run(folder) for folder in folders])
    assert [len(comparison.records) for comparison in comparisons] == [1, 2]
    assert comparisons[1].remarks == ["The runs differ in batch: 10, 150."]


def test_a_choice_at_the_end_of_the_temperatures_is_remarked(tmp_path: Path) -> None:
    scores = {"top-k-kl": (0.5, 0.6, 0.7), "top-k-l2": (0.5, 0.7, 0.6)}
    sweep: Scores = {(m, h): [(v, v)] for m, own in scores.items() for h, v in zip((0.1, 1.0, 10.0), own, strict=True)}
    (comparison,) = compare([read_run(write_run(tmp_path / "run", sweep))])
    assert comparison.remarks == ["The chosen temperature is the least or largest that was tried: top-k-kl."]


def test_figures_have_every_point_and_mark_the_chosen_one(tmp_path: Path) -> None:
    html = render([read_run(write_run(tmp_path / "run", SWEEP))])
    heat, validation, loss = re.findall(r'<svg class="chart".*?</svg>', html, re.DOTALL)
    assert [figure.count('class="dot"') for figure in (heat, validation, loss)] == [4, 6, 6]
    assert heat.count('class="chosen"') == 2
    assert 'data-tip="top-k-l2, epsilon = 0.1: 90.5% (84.1% to 96.9%, 2 splits), chosen on validation"' in heat
    points = {tip: float(x) for x, tip in re.findall(r'class="dot" cx="([\d.]+)".*?data-tip="([^:]*)', heat)}
    assert points["top-k-l2, epsilon = 1"] == points["top-k-kl, epsilon = 1"] > points["top-k-l2, epsilon = 0.1"]


def test_temperatures_are_on_a_logarithmic_axis() -> None:
    points = [Point(heat, 1.0, 0.5, 1.5, f"{heat:g}") for heat in (0.01, 0.1, 1.0, 100.0)]
    svg = chart("name", "temperature", "score", [Line("a", 0, points)], "{:g}", log_x=True)
    first, *others = (float(x) for x in re.findall(r'class="dot" cx="([\d.]+)"', svg))
    assert [x - first for x in others] == pytest.approx([(others[0] - first) * k for k in (1, 2, 4)], abs=0.2)
    ticks = {text: float(x) for x, text in re.findall(r'<text x="([\d.]+)" y="270".*?>(.*?)<', svg)}
    assert ticks["0.1"] == others[0]


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    write_run(tmp_path / "run", SWEEP)
    (tmp_path / "run" / "picture.png").write_bytes(b"png")
    html = render([read_run(tmp_path / "run")])
    assert re.findall(r'(?:src|href)="([^"]*?)[,"]', html) == ["data:image/png;base64"]
    assert "default-src 'none'" in html
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp", html)


def test_names_are_escaped(tmp_path: Path) -> None:
    name = "\"><script>alert('x')</script>"
    folder = write_run(tmp_path / "<i>run", SWEEP)
    rows = json.loads((folder / "summary.json").read_text())
    (folder / "summary.json").write_text(json.dumps([*rows, {"split": 0, "method": name, "solver": name, "top_1": 1}]))
    with (folder / "metrics.csv").open("a") as stream:
        stream.write('0,"<b onclick=x>",<u>,0.1,2,0.5,0.9\n')
    page = page_of(folder)
    assert not {"i", "b", "u"} & set(page.tags)
    assert page.tags.count("script") == 1
    assert "onclick" not in page.attributes
    assert name in page.text
    assert "<b onclick=x>" in page.text


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", "{", "config.json is damaged"),
        ("config.json", '{"task": "top-k", "methods": 3}', "methods=3 must be a list of str"),
        ("config.json", '{"task": "top-k", "epochs": "two"}', "epochs='two' must be of type int"),
        ("config.json", f'{{"task": "top-k", "k": 99, {METHODS}}}', "the task top-k cannot be made"),
        ("config.json", f'{{"task": "nowhere", {METHODS}}}', "unknown task 'nowhere'"),
        ("metrics.csv", None, "metrics.csv is missing"),
        ("metrics.csv", "split,method\nx,y\n", "metrics.csv is damaged"),
        ("metrics.csv", "a,b\n1,2\n", "metrics.csv is damaged"),
        ("temperatures.csv", None, "temperatures.csv is missing"),
        ("summary.json", None, "summary.json is missing: the run has not ended"),
        ("summary.json", "[{}]", "summary.json is damaged"),
        ("summary.json", '{"a": 1}', "summary.json is damaged"),
        ("summary.json", "[]", "summary.json is empty"),
    ],
)
def test_what_is_missing_is_named(file: str, content: str | None, message: str, tmp_path: Path) -> None:
    whole, broken = (write_run(tmp_path / name, SMALL) for name in ("whole", "broken"))
    if content is None:
        (broken / file).unlink()
    else:
        (broken / file).write_text(content)
    assert main(["report", str(tmp_path)]) == 0
    page = Page((tmp_path / "report.html").read_text())
    assert f"{broken} is not complete" in page.text
    assert message in page.text
    assert f"{whole} Complete." in page.text
    assert page_of(broken).text.count(message) >= 2  # alone, too: in the verdict and in the run


def test_an_unfinished_run_says_how_far_it_is(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {("top-k-kl", None): [(0.5, 0.5), (0.9, 0.9)]})
    (folder / "summary.json").unlink()
    lines = (folder / "metrics.csv").read_text().splitlines()
    config = json.loads((folder / "config.json").read_text())
    config["methods"].append("cross-entropy")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.csv").write_text("\n".join(lines[:4]) + "\n")
    text = page_of(folder).text
    assert "1 of 2 trainings that were begun have all 2 epochs" in text
    assert "no training yet of method cross-entropy" in text
    assert "Best on validation (1 split) top-k-kl, epsilon = 1 Validation top-1 50.0%" in text
    assert "the test score is known when the run has ended" in text
    (folder / "metrics.csv").write_text("\n".join(lines[:2]) + "\n")
    assert "No training has ended: there is no verdict." in page_of(folder).text


def test_folders_that_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "config.json").write_text('{"trials": 8}')
    run = write_run(tmp_path / "runs" / "001", SWEEP)
    for name, why in (("empty", "no folder in it"), ("study", "names no task"), ("nowhere", "there is no folder")):
        assert main(["report", str(run), str(tmp_path / name), "--out", str(tmp_path / "page.html")]) == 2
        error = capsys.readouterr().err
        assert f"{tmp_path / name} is no run of an experiment" in error
        assert why in error
    assert not (tmp_path / "page.html").exists()
    assert find_runs([tmp_path, run]) == [run]
    with pytest.raises(InputError, match="study is no run"):
        find_runs([tmp_path / "study"])


def test_the_page_goes_where_it_is_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(tmp_path / "001", SWEEP)
    for arguments, page in (
        ([], run / "report.html"),
        (["--out", str(tmp_path / "a" / "b.html")], tmp_path / "a" / "b.html"),
    ):
        assert main(["report", str(run), *arguments]) == 0
        assert capsys.readouterr().out == f"{page}\n"
        assert page.read_text().startswith("<!doctype html>")


def test_help_lists_the_report_beside_the_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--help"], ["report", "--help"]):
        with pytest.raises(SystemExit):
            main(words)
    out = capsys.readouterr().out
    assert "top-k " in out
    assert "report  " in out
    assert "python -m experiments report results/ranking/001" in out

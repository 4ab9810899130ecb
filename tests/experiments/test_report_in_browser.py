"""The report in headless Chromium: no error, no scroll sideways, sorted tables, values under the pointer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.harness.report.page import write_report
from tests.experiments.recorded import Scores, write_run

WIDTHS = 390, 1400
PROGRAMS = "chromium", "chromedriver"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed (pip install selenium)")
    found = {name: shutil.which(name) for name in PROGRAMS}
    if None in found.values():
        pytest.skip(f"{' and '.join(PROGRAMS)} are not on the PATH (Debian: apt install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = found["chromium"]
    for argument in ("--headless", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.chrome.service.Service(found["chromedriver"])
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a sweep with long names, beside a run of other data and one that has not ended."""
    folder = tmp_path_factory.mktemp("results")
    long = "experiments.methods.top_k_kl:TopKKL"
    sweep: Scores = {
        (method, heat): [(0.5 + 0.01 * rank + 0.1 * place, 0.6 + 0.1 * (rank % 3) + 0.02 * place), (0.5, 0.7)]
        for rank, method in enumerate(("top-k-kl", "top-k-l2", "top-k-lapsum", long))
        for place, heat in enumerate((0.01, 0.1, 1.0))
    }
    runs = [
        write_run(folder / ("sweep" * 20), sweep),
        write_run(folder / "other", {("cross-entropy", None): [(0.5, 0.5)]}, k=3),
        write_run(folder / "broken", {("cross-entropy", None): [(0.5, 0.5)]}),
    ]
    (runs[2] / "summary.json").unlink()
    picture = Path(__file__).parents[2] / "docs"
    for file in sorted(picture.rglob("*.png"))[:1]:
        shutil.copy(file, runs[0])
    write_report(runs, folder / "report.html")
    return (folder / "report.html").as_uri()


def show(browser: Any, page: str, width: int, scheme: str = "light") -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_error_and_no_scroll_sideways(browser: Any, page: str, width: int, scheme: str) -> None:
    show(browser, page, width, scheme)
    browser.execute_script("for (const one of document.querySelectorAll('details')) one.open = true")
    assert browser.execute_script("return innerWidth") == width
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return performance.getEntriesByType('resource').map((r) => r.name)") == []
    assert browser.get_log("browser") == []


def test_the_verdict_is_on_the_first_screen(browser: Any, page: str) -> None:
    for width in WIDTHS:
        show(browser, page, width)
        card = "return document.querySelector('.card.best').getBoundingClientRect().bottom"
        assert browser.execute_script(card) < 900


def test_a_click_on_a_heading_sorts(browser: Any, page: str) -> None:
    show(browser, page, 1400)
    table = browser.find_element("css selector", ".comparison table")
    headings = [one.text.split(" ")[0] for one in table.find_elements("css selector", "thead th")]
    for name, is_number in (("top-1", True), ("method", False)):
        at = headings.index(name)
        button = table.find_elements("css selector", "thead button")[at]
        read = "return [...arguments[0].tBodies[0].rows].map((row) => row.cells[arguments[1]].dataset.value)"
        for falling in (False, True):
            button.click()
            values = browser.execute_script(read, table, at)
            assert len(values) == 5
            if is_number:
                assert values.pop() == ""  # of the run that has not ended
            assert len(set(values)) > 2
            assert values == sorted(values, key=float if is_number else str, reverse=falling)
            heading = table.find_elements("css selector", "thead th")[at]
            assert heading.get_attribute("aria-sort") == ("descending" if falling else "ascending")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_pointer_and_the_keys_show_a_value(browser: Any, page: str, width: int) -> None:
    actions = pytest.importorskip("selenium.webdriver").ActionChains
    show(browser, page, width)
    chart, tip = browser.find_element("css selector", ".chart"), browser.find_element("id", "tip")
    assert not tip.is_displayed()
    dot = chart.find_element("css selector", ".dot")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    actions(browser).move_to_element(dot).perform()
    assert tip.is_displayed()
    assert tip.text.startswith("top-k-") or "TopKKL" in tip.text
    assert "epsilon = 0.01: " in tip.text
    before = tip.text
    chart.send_keys("\ue014\ue014")  # two arrows to the right
    assert tip.text != before
    assert "epsilon = 0.1: " in tip.text


def test_the_switch_and_the_legend(browser: Any, page: str) -> None:
    show(browser, page, 1400, "dark")
    colour = "return getComputedStyle(document.body).backgroundColor"
    dark = browser.execute_script(colour)
    browser.find_element("id", "theme").click()
    light = browser.execute_script(colour)
    assert (dark, light) == ("rgb(20, 23, 26)", "rgb(255, 255, 255)")
    lines = browser.find_elements("css selector", ".comparison .chart .series")
    button = browser.find_element("css selector", ".legend button")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    name = button.get_attribute("data-line")
    own = [line for line in lines if line.get_attribute("data-line") == name]
    assert own
    assert not any(line.is_displayed() for line in own)
    assert any(line.is_displayed() for line in lines)


def test_text_has_contrast(browser: Any, page: str) -> None:
    """At least 4.5 to 1 for text, 3 to 1 for lines, on the page and on its panels (WCAG 2.2, AA)."""
    script = """
        const probe = document.createElement("span"); document.body.append(probe);
        const colour = (name) => {
          probe.style.color = `var(--${name})`;
          return getComputedStyle(probe).color.match(/[0-9.]+/g).slice(0, 3).map(Number);
        };
        const found = Object.fromEntries(arguments[0].map((name) => [name, colour(name)]));
        for (let k = 0; k < 8; k++) { probe.className = "c" + k; found["line" + k] = colour("line"); }
        return found;
    """
    names = ["ink", "muted", "link", "good", "warn", "page", "panel"]
    for scheme in ("light", "dark"):
        show(browser, page, 1400, scheme)
        colours = browser.execute_script(script, names)
        for name in set(colours) - {"page", "panel"}:
            for ground in ("page", "panel"):
                ratio = contrast(colours[name], colours[ground])
                assert ratio >= (3 if name.startswith("line") else 4.5), (scheme, name, ground, ratio)


def contrast(first: list[float], second: list[float]) -> float:
    """The contrast ratio of two colours in sRGB, 0 to 255."""
    lights = []
    for colour in (first, second):
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (part / 255 for part in colour)]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)

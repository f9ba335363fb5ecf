"""The page in a real browser: Chromium, opened from the file, its network and console watched."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from hcft_jax.evaluation.metrics import SUCCESS_THRESHOLDS
from hcft_jax.evaluation.report import Pictures
from tests.evaluation.report.conftest import CELL, GRID, HOSTILE, OURS, SIZE, Setting, map_peak

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")  # the system's: Selenium is never asked to fetch one
YELLOW = [253, 231, 37, 255]  # viridis at its end

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no chromium and chromedriver (Debian: chromium-driver)"
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """A headless browser."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    arguments = ["headless=new", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"]
    arguments += ["no-sandbox"] if os.geteuid() == 0 else []
    arguments += [f"user-data-dir={tmp_path_factory.mktemp('profile')}"]
    for argument in arguments:
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


class Browser:
    """A page that is open."""

    def __init__(self, driver: webdriver.Chrome, path: Path, width: int = 1400) -> None:
        self.driver, self.path = driver, path
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        for log in ("browser", "performance"):
            driver.get_log(log)  # forgets what other pages did
        driver.get(path.as_uri())
        self.until(lambda: self.all(".boxes .truth"))

    def until(self, condition: Any) -> None:
        WebDriverWait(self.driver, 20, poll_frequency=0.05).until(lambda _: condition())

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(f"return {script}", *arguments)

    def centred(self, selector: str) -> WebElement:
        """An element that the sticky bar does not cover."""
        element = self.one(selector)
        self.run("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
        return element

    def choose(self, selector: str, text: str) -> None:
        Select(self.one(selector)).select_by_visible_text(text)

    def column(self, table: str, place: int) -> list[str]:
        rows = self.all(f"{table} tbody tr")
        return [str(self.run("arguments[0].cells[arguments[1]].innerText", r, place)) for r in rows]

    def sort(self, table: str, title: str) -> None:
        (button,) = (b for b in self.all(f"{table} thead button") if b.text.strip() == title)
        button.click()

    def tracker(self, name: str) -> int:
        return next(i for i, n in enumerate(self.names) if n == name)

    @property
    def names(self) -> list[str]:
        content = self.run("document.getElementById('content').textContent")
        return [tracker["name"] for tracker in json.loads(content)["trackers"]]

    def rectangle(self, which: str) -> list[float]:
        box = self.one(f".boxes rect{which}")
        return [float(box.get_attribute(name) or "nan") for name in ("x", "y", "width", "height")]

    def problems(self) -> tuple[list[str], list[str]]:
        """What the console said, and which addresses were asked for beside the page's own."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        messages = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        own = self.path.as_uri()
        asked = [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
            # the browser's own new tab may still be loading
            and message["params"]["documentURL"].split("#")[0] == own
        ]
        return said, [u for u in asked if u.split("#")[0] != own and not u.startswith("data:")]


@pytest.fixture
def page(chromium: webdriver.Chrome, setting: Setting, tmp_path: Path) -> Browser:
    """The page with frames of some sequences; One is open."""
    setting.page(tmp_path / "report.html")
    return Browser(chromium, tmp_path / "report.html")


def test_it_opens_silently_and_asks_for_nothing(page: Browser) -> None:
    page.choose("#subset", "shared by all trackers (4)")
    page.one("#sequences tbody tr:nth-child(3) button").click()
    page.until(lambda: "picture" not in page.one(".remark").text)
    assert page.problems() == ([], [])
    assert page.driver.title == "Tracking report"
    assert not page.all("img[onerror]")
    assert HOSTILE in page.column("#scores", 0)


def test_the_policy_stops_what_a_name_might_smuggle_in(page: Browser) -> None:
    page.run("document.body.insertAdjacentHTML('beforeend', arguments[0])", HOSTILE)
    image = "document.body.append(Object.assign(new Image(), {src: 'http://localhost:9/x.png'}))"
    page.run(image)
    page.until(lambda: any("Content Security Policy" in line for line in page.problems()[0]))
    assert page.driver.title == "Tracking report"


def test_every_tracker_with_all_targets_has_its_curves(page: Browser) -> None:
    for subset, count in (("OTB-100 (5)", 3), ("shared by all trackers (4)", 4)):
        page.choose("#subset", subset)
        for plot in ("success", "precision", "normalised"):
            paths = page.all(f'[data-plot="{plot}"] path.curve')
            assert len(paths) == count
            assert all((path.get_attribute("d") or "").count("L") >= 20 for path in paths)


def test_hovering_shows_the_values(page: Browser, setting: Setting) -> None:
    chart = page.centred('[data-plot="success"] svg.chart')
    ActionChains(page.driver).move_to_element(chart).perform()
    page.until(lambda: page.one("#tip").is_displayed())
    title, *lines = page.one("#tip").text.splitlines()
    threshold = float(title.removeprefix("Overlap threshold: "))
    place = int(np.argmin(np.abs(SUCCESS_THRESHOLDS - threshold)))
    assert 0.3 < SUCCESS_THRESHOLDS[place] < 0.7
    expected = []
    for tracker in ("good", OURS, HOSTILE):
        mean = setting.evaluation.mean(tracker, setting.evaluation.subsets["OTB100"])
        assert mean is not None
        expected.append(f"{tracker} {mean.success[place]:.3f}")
    assert lines == expected
    assert page.all(".emphasis path.curve.strong")


def test_an_attribute_selects_targets_everywhere(page: Browser) -> None:
    page.choose("#attribute", "LR – low resolution (2)")
    assert "low resolution (2 targets)" in page.one("#scores caption").text
    assert page.column("#sequences", 0) == ["Tiger1", "Two-2"]
    assert sorted(page.column("#scores", 1)) == ["1", "2", "2", "2"]


def test_a_click_on_a_header_sorts(page: Browser) -> None:
    page.sort("#scores", "CLE (px)")
    assert page.column("#scores", 0) == ["good", OURS, HOSTILE, "part"]
    page.sort("#scores", "CLE (px)")
    assert page.column("#scores", 0) == [HOSTILE, OURS, "good", "part"]  # no value: last
    (head,) = page.all('#scores [aria-sort="descending"]')
    assert head.text.strip() == "CLE (px)"
    page.sort("#scores", "Tracker")
    assert page.column("#scores", 0) == sorted(page.names, key=str.lower)


def test_scores_are_shown_as_in_the_tables(page: Browser, setting: Setting) -> None:
    mean = setting.evaluation.mean(OURS, setting.evaluation.subsets["OTB100"])
    assert mean is not None
    row = page.one(f'#scores tr[data-key="{page.tracker(OURS)}"]').text
    assert f"{100 * mean.os50:.2f}" in row
    assert f"{mean.auc:.4f}" in row
    low, high = setting.intervals["means"]["OTB100"][OURS]["auc"]
    assert f"{low:.3f} to {high:.3f}" in row


def test_differences_to_a_tracker(page: Browser, setting: Setting) -> None:
    page.choose("#baseline", "good")
    mean, low, high = setting.intervals["differences"]["OTB100"]["good"][OURS]["cle"]
    cell = page.one(f'#scores tr[data-key="{page.tracker(OURS)}"] td:nth-child(7) small')
    assert cell.text == f"+{-mean:.1f} (+{-high:.1f} to +{-low:.1f})"
    assert cell.get_attribute("class") == "worse"


def test_a_tracker_that_is_switched_off_disappears(page: Browser) -> None:
    number = page.tracker(HOSTILE)
    page.one(f'[data-toggle="{number}"]').click()
    for place in ("path.curve", ".boxes rect", ".bar"):
        assert page.all(place)
        assert not page.all(f'{place}[data-tracker="{number}"]')
    assert HOSTILE not in page.one("#sequences thead").text
    page.one("#show-none").click()
    assert not page.all("path.curve")
    page.one("#show-all").click()
    assert page.all(f'path.curve[data-tracker="{number}"]')


def test_attributes_have_bars_the_best_first(page: Browser) -> None:
    panel = '[data-attribute="OCC"] .bar'
    assert len(page.all(panel)) == 4
    widths = [bar.find_element(By.CSS_SELECTOR, ".fill").size["width"] for bar in page.all(panel)]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1]
    page.choose("#attributes .measure", "CLE (px)")
    values = [float(str(bar.get_attribute("data-value"))) for bar in page.all(panel)]
    assert values == sorted(values)


@pytest.mark.parametrize("with_pictures", [True, False])
def test_the_scrubber_moves_the_boxes(
    with_pictures: bool, chromium: webdriver.Chrome, setting: Setting, tmp_path: Path
) -> None:
    setting.page(tmp_path / "r.html", Pictures(setting.frames if with_pictures else None))
    page = Browser(chromium, tmp_path / "r.html")
    assert page.one(".viewer img").is_displayed() == with_pictures
    number = page.tracker(HOSTILE)
    slider = page.one('input[type="range"]')
    # files count from 1: the box 20, 30 begins at 19, 29
    assert page.rectangle(".truth") == [19, 29, 10, 20]
    slider.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.one("output").text == "3 / 4"
    assert page.rectangle(".truth") == [25, 29, 10, 20]
    assert page.rectangle(f'[data-tracker="{number}"]') == [30, 29, 10, 20]
    slider.send_keys(Keys.END)
    assert page.rectangle(".truth")[0] == 28
    page.centred(".frame-plots [data-plot='overlap']").click()  # its middle: frame 2 or 3
    assert page.one("output").text in ("2 / 4", "3 / 4")
    cursors = page.all(".frame-plots .cursor[visibility='visible']")
    assert len(cursors) == len(page.all(".frame-plots .chart")) == 3


def test_boxes_lie_where_they_are_in_the_picture(page: Browser) -> None:
    stage, box = page.one(".stage").rect, page.one(".boxes .truth").rect
    scale = stage["width"] / SIZE[1]
    assert stage["height"] == pytest.approx(SIZE[0] * scale, abs=1)
    assert box["x"] - stage["x"] == pytest.approx(19 * scale, abs=2)
    assert box["y"] - stage["y"] == pytest.approx(29 * scale, abs=2)
    loaded = page.run("document.querySelector('.stage img').naturalWidth")
    assert loaded == SIZE[1]


def test_frames_without_a_picture_can_be_reached(
    chromium: webdriver.Chrome, setting: Setting, tmp_path: Path
) -> None:
    setting.page(tmp_path / "r.html", Pictures(setting.frames, max_frames=2))
    page = Browser(chromium, tmp_path / "r.html")
    slider = page.one('input[type="range"]')
    slider.send_keys(Keys.ARROW_RIGHT)
    assert page.one("output").text == "4 / 4"
    page.one("#only-shown").click()
    slider.send_keys(Keys.ARROW_LEFT)
    assert page.one("output").text == "3 / 4"
    assert page.one(".remark").text == "picture of frame 1"
    assert page.rectangle(".truth")[0] == 25


def pixel(page: Browser, canvas: str, row: int, column: int) -> Any:
    script = "[...document.querySelector(arguments[0]).getContext('2d')"
    script += ".getImageData(arguments[1], arguments[2], 1, 1).data]"
    return page.run(script, canvas, column, row)


def test_response_maps_are_drawn_over_the_frame(page: Browser) -> None:
    assert "no response" in page.one(".tiles").text  # the first frame is given
    page.one('input[type="range"]').send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert [f.get_attribute("data-layer") for f in page.all(".tiles canvas")] == [
        "sum",
        "conv5_4",
        "conv4_4",
    ]
    for layer, name in enumerate(("conv5_4", "conv4_4")):
        row, column = map_peak(2, layer)
        assert pixel(page, f'canvas[data-layer="{name}"]', row, column) == YELLOW
        assert pixel(page, f'canvas[data-layer="{name}"]', row, column - 1) != YELLOW
    assert "max 3.000" in page.all(".tiles figcaption")[1].text
    # the sum is f5 + 0.5 f4: its maximum is the deeper layer's
    assert pixel(page, 'canvas[data-layer="sum"]', *map_peak(2, 0)) == YELLOW
    assert f"max {3 + 0.5 * 0.125:.3f}" in page.all(".tiles figcaption")[0].text
    # the cell of no displacement lies on the centre (row 40, column 25 + 3 t)
    stage, heat = page.one(".stage").rect, page.one("canvas.heat").rect
    scale = stage["width"] / SIZE[1]
    left = 31 - CELL * (GRID[1] // 2 + 0.5)
    assert heat["x"] - stage["x"] == pytest.approx(left * scale, abs=1)
    assert heat["width"] == pytest.approx(CELL * GRID[1] * scale, abs=1)
    assert page.rectangle(".window") == [18, 31, 28, 20]
    page.choose("#map-overlay", "none")
    assert not page.one("canvas.heat").is_displayed()


def test_psr_is_plotted(page: Browser) -> None:
    (path,) = page.all('.frame-plots [data-plot="psr"] path.curve')
    assert path.get_attribute("data-tracker") == str(page.tracker(OURS))
    assert (path.get_attribute("d") or "").count("L") == 2  # of four frames, the first has none


def test_a_sequence_opens_from_the_table(page: Browser) -> None:
    (button,) = (b for b in page.all("#sequences button.open") if b.text == "Two-1")
    button.click()
    page.until(lambda: page.one("output").text == "1 / 6")
    assert page.one("#viewer .about").text == "6 frames, OCC"
    assert not page.one(".maps").is_displayed()
    page.one(".split").send_keys("n")
    page.until(lambda: page.one("#viewer select").get_attribute("value") == "2")


def test_a_link_opens_its_frame_in_this_and_in_another_window(
    page: Browser, chromium: webdriver.Chrome, tmp_path: Path
) -> None:
    page.one('#viewer input[type="range"]').send_keys(Keys.ARROW_RIGHT)
    assert str(page.one("#viewer a.link").get_attribute("href")).endswith("#frame=One:2")
    page.run("location.hash = '#frame=Two-1:4'")
    page.until(lambda: page.one("output").text == "4 / 6")
    assert str(page.one("#viewer a.link").get_attribute("href")).endswith("#frame=Two-1:4")
    chromium.get("about:blank")
    chromium.get(f"{(tmp_path / 'report.html').as_uri()}#frame=Two-1:3")
    page.until(lambda: page.one("output").text == "3 / 6")
    assert page.problems() == ([], [])


def test_the_frames_in_which_two_trackers_differ_most_are_listed(page: Browser) -> None:
    page.one("#viewer .differences button").click()
    page.until(lambda: page.all("#viewer .differences li"))
    entries = page.all("#viewer .differences li a")
    assert len(entries) >= 1
    name, number = entries[0].text.split(", frame ")
    entries[0].click()
    page.until(lambda: page.one("output").text.startswith(f"{number} / "))
    assert str(page.one("#viewer a.link").get_attribute("href")).endswith(f"{name}:{number}")
    shown = {r.get_attribute("data-tracker") for r in page.all(".boxes [data-tracker]")}
    assert shown <= {"0", "1"}
    assert page.problems() == ([], [])


def test_the_source_of_a_row_is_shown(page: Browser) -> None:
    row = page.one(f'#scores tr[data-key="{page.tracker(OURS)}"]')
    row.find_element(By.LINK_TEXT, "command").click()
    source = f"#source-{page.tracker(OURS)}"
    page.until(lambda: page.one(f"{source} .command").is_displayed())
    command = "python -m hcft_jax.main --config=cf2 '--data_dir=my videos'"
    assert page.one(f"{source} .command").text == command
    settings = page.one(f"{source} .settings").text
    assert "experiment.tracker.eta\n0.01" in settings.replace(" ", "\n")
    assert "conv5_4, conv4_4" in settings


def test_it_fits_a_narrow_window(
    chromium: webdriver.Chrome, setting: Setting, tmp_path: Path
) -> None:
    setting.page(tmp_path / "r.html")
    page = Browser(chromium, tmp_path / "r.html", width=390)
    assert page.run("document.documentElement.scrollWidth") <= 390
    places = [chart.rect for chart in page.all(".plots svg.chart")]
    assert len({place["x"] for place in places}) == 1  # one below the other
    assert all(300 < place["width"] <= 390 for place in places)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_colour_scheme(page: Browser, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    colours = [
        page.run(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color")
    ]
    ground, ink = (sum(map(float, c[c.index("(") + 1 : -1].split(",")[:3])) for c in colours)
    assert (ground > ink) == (scheme == "light")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_on_paper_there_are_no_controls(page: Browser) -> None:
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not page.one("nav").is_displayed()
    assert page.one(".plots").is_displayed()
    assert page.run("getComputedStyle(document.querySelector('.tall')).maxHeight") == "none"
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})

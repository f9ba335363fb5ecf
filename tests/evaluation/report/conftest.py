"""Results of four trackers on the benchmark of five targets, frames of some, and their page."""

import json
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hcft_jax.evaluation import report, responses, result_folders, summary
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.evaluation.result_folders import Results
from hcft_jax.evaluation.summary import Evaluation

# A folder may be called so, and then the tracker is.
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><!--<script>"
OURS = "cf2-0badcafe"
SHIFTS = {"good": 0.0, OURS: 2.0, HOSTILE: 5.0, "part": 8.0}  # pixels to the right
SIZE = (60, 90)  # height, width of the frames
GRID, WINDOW, CELL = (5, 7), (20, 28), 4
COMMAND = ["/somewhere/hcft_jax/main.py", "--config=cf2", "--data_dir=my videos"]


def map_peak(frame: int, layer: int) -> tuple[int, int]:
    """Where the response map of a frame and layer has its maximum: (row, column)."""
    return (1 + layer, 1 + frame)


@dataclass
class Setting:
    """What a page is made of."""

    benchmark: Benchmark
    results: Results
    evaluation: Evaluation
    intervals: dict[str, Any]
    folder: Path  # of results
    frames: Path

    def page(self, path: Path, pictures: report.Pictures | None = None) -> "Page":
        pictures = pictures or report.Pictures(self.frames)
        size = report.write(path, self.evaluation, self.results, self.intervals, pictures)
        assert size == path.stat().st_size
        return Page(path)


class Page(HTMLParser):
    """A page's elements and the data in it, as a browser finds them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.text = path, path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.contents: dict[str, str] = {}
        self._inside = ""
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = dict(attrs)
        self.elements.append((tag, of))
        if tag in ("script", "style"):
            self._inside = of.get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.contents[self._inside] = self.contents.get(self._inside, "") + data

    @property
    def content(self) -> Any:
        return json.loads(self.contents["content"])

    def sequence(self, name: str) -> Any:
        names = [sequence["name"] for sequence in self.content["sequences"]]
        return json.loads(self.contents[f"sequence-{names.index(name)}"])

    def tracker(self, name: str) -> int:
        return [tracker["name"] for tracker in self.content["trackers"]].index(name)


def write_frames(folder: Path, benchmark: Benchmark) -> None:
    """Frames of One and of both targets of Two, each with its number as its brightness."""
    for video, targets in {"One": ["One"], "Two": ["Two-1", "Two-2"]}.items():
        (folder / video / "img").mkdir(parents=True)
        for number, target in enumerate(targets, 1):
            suffix = f".{number}" if len(targets) > 1 else ""
            truth = benchmark.targets[target].truth
            np.savetxt(folder / video / f"groundtruth_rect{suffix}.txt", truth, "%d")
        for frame in range(1, len(truth) + 1):
            image = Image.new("RGB", SIZE[::-1], (30 * frame, 60, 90))
            image.save(folder / video / "img" / f"{frame:04d}.png")


def write_responses(path: Path, frames: int) -> None:
    """Two layers whose maps have one high cell each."""
    maps = np.full((frames - 1, 2, *GRID), 0.125)
    for frame in range(1, frames):
        for layer in range(2):
            maps[(frame - 1, layer, *map_peak(frame, layer))] = 1.0 + frame + layer
    centres = np.stack([np.full(frames, 40.0), 25.0 + 3 * np.arange(frames)], axis=1)
    with responses.writing(
        path,
        frames,
        layers=("conv5_4", "conv4_4"),
        gamma=(1.0, 0.5),
        grid=GRID,
        window=WINDOW,
        cell=(CELL, CELL),
    ) as writer:
        writer.write(None, centres[:1], np.array([np.nan]))
        writer.write(maps, centres[1:], 10.0 + np.arange(1, frames))


@pytest.fixture
def setting(small: Benchmark, tmp_path: Path) -> Setting:
    """Everything but the page."""
    folder, frames = tmp_path / "results", tmp_path / "frames"
    for tracker, shift in SHIFTS.items():
        place = folder / tracker / ("ope" if tracker == OURS else "")
        place.mkdir(parents=True)
        for name, target in small.targets.items():
            if tracker != "part" or name != "Tiger1":
                rows = target.truth + np.array([shift, 0, 0, 0])
                np.savetxt(place / f"{name}.txt", rows, "%g", delimiter=",")
    ours = {
        "command": COMMAND,
        "experiment": {"tracker": {"eta": 0.01, "layers": ["conv5_4", "conv4_4"]}, "weights": None},
        "versions": {"jax": "0.10"},
        "sequences": {"One": {"auc": 0.123456}},
    }
    (folder / OURS / "summary.json").write_text(json.dumps(ours))
    write_responses(folder / OURS / "responses" / "One.npz", len(small.targets["One"].truth))
    write_frames(frames, small)
    results = result_folders.load([folder], small)
    assert not results.problems
    evaluation = summary.evaluate(results, small)
    return Setting(small, results, evaluation, summary.intervals(evaluation, 50, 3), folder, frames)


@pytest.fixture
def page(setting: Setting, tmp_path: Path) -> Page:
    """The page of all that."""
    return setting.page(tmp_path / "report.html")

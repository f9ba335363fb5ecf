"""The growth of the cost with lanes, with the length of a video, with its image, with layers."""

import dataclasses
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.sequence import Frame, FrameSource, Sequence
from hcft_jax.evaluation import plots

from . import contenders, workload
from .contenders import ContenderPrograms
from .workload import Workload

IMAGES = ((240, 320), (480, 640), (720, 1280), (1080, 1920), (2160, 3840))  # height, width
TITLES = {
    "lanes": ("lanes", "lanes"),
    "length": ("frames of the video", "video length"),
    "image": ("megapixels of the image", "image size"),
    "layers": ("layers", "number of layers"),
}


@dataclass(frozen=True)
class Axes:
    """The points that are measured."""

    lanes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    lengths: tuple[int, ...] = (100, 300, 1000, 3000, 10000)
    images: tuple[tuple[int, int], ...] = IMAGES
    frames: int = 33  # of each sequence, except on the axis of lengths
    clip: int = 100  # drawn frames that a long video repeats
    at: int = 1  # lanes on the other axes


@dataclass(frozen=True)
class Looped:
    """A FrameSource that shows a clip forwards and backwards again and again."""

    clip: FrameSource
    length: int

    def __len__(self) -> int:
        return self.length

    def read(self, index: int) -> Frame:
        """Decode the clip's frame that is shown at ``index``."""
        return self.clip.read(self.shown(index))

    def label(self, index: int) -> str:
        """Return the label of the clip's frame."""
        return self.clip.label(self.shown(index))

    def shown(self, index: int) -> int:
        """Return the clip's frame number that is shown at ``index``."""
        period = max(1, 2 * (len(self.clip) - 1))
        return min(index % period, period - index % period)


def looped(clip: Sequence, length: int) -> Sequence:
    """Return a sequence of any length, whose target never jumps."""
    frames = Looped(clip.frames, length)
    boxes = clip.boxes[[frames.shown(index) for index in range(length)]]
    return Sequence(f"{clip.name}-{length}", frames, boxes)


class Growth:
    """Measures point by point; a point that would take too long is left out with a note."""

    def __init__(
        self,
        programs: Callable[[TrackerConfig], ContenderPrograms],
        config: TrackerConfig,
        axes: Axes,
        repeats: int,
        budget: float,
    ) -> None:
        """Take the settings.

        Args:
            programs: returns the contenders of a configuration.
            config: the tracker's constants, with the largest set of ``layers``.
            axes: the points.
            repeats: the number of rounds of each point.
            budget: seconds for each point, whose time is estimated from a short run.
        """
        self._programs, self._config, self._axes = programs, config, axes
        self._repeats, self._budget = repeats, budget
        self.notes: list[str] = []

    def rows(self) -> Iterable[dict[str, Any]]:
        """Yield one row per point, with ``axis`` and ``value``."""
        with tempfile.TemporaryDirectory() as folder:
            yield from self._lanes(Path(folder) / "lanes")
            yield from self._lengths(Path(folder) / "length")
            yield from self._images(Path(folder) / "image")
            yield from self._layers(Path(folder) / "layers")

    def _lanes(self, folder: Path) -> Iterable[dict[str, Any]]:
        drawn = workload.jpeg(folder, (480, 640), self._axes.frames)
        programs = self._programs(self._config)
        for lanes in self._axes.lanes:
            yield from self._point("lanes", lanes, programs, drawn, lanes)

    def _lengths(self, folder: Path) -> Iterable[dict[str, Any]]:
        clip = workload.jpeg(folder, (240, 320), self._axes.clip, target=40.0)
        programs = self._programs(self._config)
        for length in self._axes.lengths:
            yield from self._point("length", length, programs, looped(clip, length))

    def _images(self, folder: Path) -> Iterable[dict[str, Any]]:
        programs = self._programs(self._config)
        for height, width in self._axes.images:
            place = folder / f"{width}x{height}"
            drawn = workload.jpeg(place, (height, width), self._axes.frames)
            yield from self._point("image", height * width / 1e6, programs, drawn)

    def _layers(self, folder: Path) -> Iterable[dict[str, Any]]:
        drawn = workload.jpeg(folder, (480, 640), self._axes.frames)
        for count in range(1, len(self._config.layers) + 1):
            config = dataclasses.replace(
                self._config, layers=self._config.layers[:count], gamma=self._config.gamma[:count]
            )
            yield from self._point("layers", count, self._programs(config), drawn)

    def _point(
        self,
        axis: str,
        value: float,
        programs: ContenderPrograms,
        sequence: Sequence,
        lanes: int | None = None,
    ) -> Iterable[dict[str, Any]]:
        lanes = lanes or self._axes.at
        what = f"{TITLES[axis][1]} {value:g}"
        whole = workload.gather([sequence], self._config, 1).repeated(lanes)
        contender = programs.laned(lanes, self._config.precision)
        if reason := programs.fits(whole, lanes):
            self.notes.append(f"{what}: {reason}")
            return
        least = whole.shortened(9)
        if not (tried := self._timed(contender, least, 1)):
            return
        expected = tried[0].seconds[0] * whole.frames / least.frames
        if expected > self._budget:
            self.notes.append(f"{what}: left out, it would take about {expected:.0f} s")
            return
        repeats = max(1, min(self._repeats, int(self._budget / max(expected, 1e-9))))
        for measured in self._timed(contender, whole, repeats):
            compiled = {
                "executables": tried[0].compilations.executables,
                "compile_seconds": tried[0].compilations.seconds,
            }
            yield {"axis": axis, "value": value, **measured.row(), **compiled}

    def _timed(
        self, contender: contenders.Contender, work: Workload, repeats: int
    ) -> list[contenders.TimedContender]:
        return list(contenders.compete([(contender, work)], repeats, self._budget, self.notes))


def plot(rows: list[dict[str, Any]], folder: Path) -> list[Path]:
    """Plot frames per second with their spread, and the host's memory; return one file per axis."""
    written = []
    for axis, (label, title) in TITLES.items():
        points = sorted((r for r in rows if r["axis"] == axis), key=lambda r: float(r["value"]))
        if not points:
            continue
        figure = Figure(figsize=(5.0, 3.4), layout="constrained")
        axes = figure.subplots()
        x = [float(p["value"]) for p in points]
        fps = [float(p["fps"]) for p in points]
        below = [p["fps"] - p["fps_least"] for p in points]
        above = [p["fps_most"] - p["fps"] for p in points]
        axes.errorbar(x, fps, [below, above], marker="o", capsize=3, color="#1f77b4")
        axes.set(xlabel=label, ylabel="frames / s", title=f"{title} ({points[0]['device']})")
        axes.set_ylim(bottom=0)
        if axis != "layers":
            axes.set_xscale("log", base=2 if axis == "lanes" else 10)
        axes.grid(alpha=0.3)
        if all(p["host_peak_bytes"] for p in points):
            memory = axes.twinx()
            memory.plot(x, [p["host_peak_bytes"] / 2**30 for p in points], "x--", color="#d62728")
            memory.set_ylabel("peak memory of the host, GiB", color="#d62728")
            memory.set_ylim(bottom=0)
        path = folder / f"{axis}.png"
        plots.save(figure, path)
        written.append(path)
    return written

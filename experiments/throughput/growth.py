"""How the cost grows: with lanes, with a video's length, with the image, with layers."""

import dataclasses
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.sequence import Frame, FrameSource, Sequence
from hcft_jax.util.files import replacing

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
    """The points to be measured."""

    lanes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    lengths: tuple[int, ...] = (100, 300, 1000, 3000, 10000)
    images: tuple[tuple[int, int], ...] = IMAGES
    frames: int = 33  # of a sequence, but for the length
    clip: int = 100  # drawn frames that a long video repeats
    at: int = 1  # lanes, on the other axes


@dataclass(frozen=True)
class Looped:
    """A FrameSource that shows a clip forwards and backwards again and again."""

    clip: FrameSource
    length: int

    def __len__(self) -> int:
        return self.length

    def read(self, index: int) -> Frame:
        """Frame ``index`` of the clip that goes to and fro."""
        return self.clip.read(self._at(index))

    def label(self, index: int) -> str:
        """That of the clip's frame."""
        return self.clip.label(self._at(index))

    def _at(self, index: int) -> int:
        period = max(1, 2 * (len(self.clip) - 1))
        return min(index % period, period - index % period)


def looped(clip: Sequence, length: int) -> Sequence:
    """A sequence of any length, whose target never jumps."""
    frames = Looped(clip.frames, length)
    boxes = clip.boxes[[frames._at(index) for index in range(length)]]
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
        """Takes the settings.

        Args:
            programs: of a configuration.
            config: the tracker's constants; ``layers`` the most that are used.
            axes: the points.
            repeats: of a point.
            budget: seconds for a point, by the speed of the one before it.
        """
        self._programs, self._config, self._axes = programs, config, axes
        self._repeats, self._budget = repeats, budget
        self.notes: list[str] = []

    def rows(self) -> Iterable[dict[str, Any]]:
        """One row a point, with ``axis`` and ``value``."""
        with tempfile.TemporaryDirectory() as folder:
            yield from self._lanes(Path(folder) / "lanes")
            yield from self._lengths(Path(folder) / "length")
            yield from self._images(Path(folder) / "image")
            yield from self._layers(Path(folder) / "layers")

    def _lanes(self, folder: Path) -> Iterable[dict[str, Any]]:
        drawn = workload.jpeg(folder, (480, 640), self._axes.frames)
        one = workload.gather([drawn], self._config, 1)
        programs = self._programs(self._config)
        for lanes in self._axes.lanes:
            yield from self._point("lanes", lanes, programs, lanes, one)

    def _lengths(self, folder: Path) -> Iterable[dict[str, Any]]:
        clip = workload.jpeg(folder, (240, 320), self._axes.clip, target=40.0)
        programs = self._programs(self._config)
        for length in self._axes.lengths:
            whole = workload.gather([looped(clip, length)], self._config, 1)
            yield from self._point("length", length, programs, self._axes.at, whole)

    def _images(self, folder: Path) -> Iterable[dict[str, Any]]:
        programs = self._programs(self._config)
        for height, width in self._axes.images:
            place = folder / f"{width}x{height}"
            drawn = workload.jpeg(place, (height, width), self._axes.frames)
            whole = workload.gather([drawn], self._config, 1)
            yield from self._point("image", height * width / 1e6, programs, self._axes.at, whole)

    def _layers(self, folder: Path) -> Iterable[dict[str, Any]]:
        drawn = workload.jpeg(folder, (480, 640), self._axes.frames)
        for count in range(1, len(self._config.layers) + 1):
            config = dataclasses.replace(
                self._config, layers=self._config.layers[:count], gamma=self._config.gamma[:count]
            )
            programs, whole = self._programs(config), workload.gather([drawn], config, 1)
            yield from self._point("layers", count, programs, self._axes.at, whole)

    def _point(
        self, axis: str, value: float, programs: ContenderPrograms, lanes: int, work: Workload
    ) -> Iterable[dict[str, Any]]:
        what, whole = f"{TITLES[axis][1]} {value:g}", work.repeated(lanes)
        contender = programs.laned(lanes, self._config.precision)
        if reason := programs.fits(whole, lanes):
            self.notes.append(f"{what}: {reason}")
            return
        least = Workload(
            tuple(s.part(0, min(8, len(s) - 1)) for s in whole.sequences),
            whole.geometries,
            whole.buckets,
        )
        tried = list(contenders.compete([(contender, least)], 1, self._budget, self.notes))
        if not tried:
            return
        expected = tried[0].seconds[0] * whole.frames / least.frames
        if expected > self._budget:
            self.notes.append(f"{what}: left out, it would take about {expected:.0f} s")
            return
        left = self._budget / max(expected, 1e-9)
        repeats = max(1, min(self._repeats, int(left)))
        for measured in contenders.compete([(contender, whole)], repeats, self._budget, self.notes):
            compiled = {
                "executables": tried[0].compilations.executables,
                "compile_seconds": tried[0].compilations.seconds,
            }
            yield {"axis": axis, "value": value, **measured.row(), **compiled}


def plot(rows: list[dict[str, Any]], folder: Path) -> list[Path]:
    """A figure an axis, frames a second with their spread and the host's memory; their files."""
    written = []
    for axis, (label, title) in TITLES.items():
        points = sorted((r for r in rows if r["axis"] == axis), key=lambda r: float(r["value"]))
        if not points:
            continue
        figure = Figure(figsize=(5.0, 3.4), layout="constrained")
        FigureCanvasAgg(figure)
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
        with replacing(path) as temporary:
            figure.savefig(temporary, dpi=150)
        written.append(path)
    return written

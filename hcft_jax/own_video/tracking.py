"""The main job on a video of one's own: boxes, scores and an overlay video.

Below ``OUTPUT_DIR/<label>-<hash>/video/<name>-<hash>/``: ``boxes.csv`` (``boxes-1.csv``, ... for
several targets), ``overlay.mp4`` and ``summary.json``. The second hash covers the video and the
first boxes; present means done. What Ctrl-C or a bad frame leaves is in ``partial/`` there.
"""

import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

import jax
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hcft_jax import api
from hcft_jax.api import Result, Tracker
from hcft_jax.benchmark import outcome
from hcft_jax.core.target import place
from hcft_jax.data import video
from hcft_jax.data.sequence import Frame
from hcft_jax.data.video import Moment, Video
from hcft_jax.evaluation import results
from hcft_jax.experiment.settings import METHOD, Experiment, OwnVideo, folders
from hcft_jax.own_video.gui import Window
from hcft_jax.run.several import Several
from hcft_jax.util import boxes
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import replacing
from hcft_jax.visual import visualize
from hcft_jax.visual.film import Film, codec
from hcft_jax.visual.layers_view import LayersView
from hcft_jax.visual.visualize import Outline
from hcft_jax.weights import lookup

Box = tuple[float, float, float, float]

HEADER = "frame,time,x,y,w,h,score,lost"


def run(experiment: Experiment) -> str:
    """Tracks the targets of ``experiment.own`` and writes its files; what to tell the user.

    A live source is tracked until it ends, Ctrl-C or, in a window, q. Elsewhere these interrupt.

    Raises:
        InputError: the video, a box, the window or the output folder is at fault.
        KeyboardInterrupt: it was interrupted; what there is has been kept.
    """
    own = experiment.own
    assert own is not None
    if experiment.method != METHOD:
        raise InputError(f"--tracker={experiment.method}: only {METHOD} tracks one's own video")
    with contextlib.ExitStack() as stack:
        window = None
        if own.select or own.show:
            window = Window("hcft_jax", "--select" if own.select else "--show")
            stack.callback(window.close)
        opened = stack.enter_context(video.opened(own.video or ""))
        moments = iter(opened)
        first = next(moments)
        starts = _starts(own, first.image, window)
        weights = lookup.find(experiment.weights, experiment.tracker.backbone)
        job = _Job(experiment, opened, starts, weights.digest)
        if job.finished:
            return f"kept, it is there: {job.folder}"
        if experiment.overlay and codec() == "mpeg4":
            print(
                f"note: {job.overlay} is MPEG-4, not H.264, which this FFmpeg lacks: browsers do "
                "not play it",
                file=sys.stderr,
            )
        targets = _targets(experiment, weights, starts)
        if window is not None and not own.show:
            window.close()
            window = None
        return job.track(targets, first, moments, window)


class Targets(Protocol):
    """What follows one target or several."""

    def init(self, image: Frame) -> list[Result]:
        """The first frame."""
        ...

    def update(self, image: Frame) -> list[Result]:
        """Each further one."""
        ...

    def panel(self, image: Frame) -> Frame | None:
        """To be drawn beside the frame that is tracked next."""
        ...


class _One:
    """One target, by the tracker that everybody has."""

    def __init__(self, tracker: Tracker, start: Box, layers_view: bool):
        self._tracker, self._start = tracker, start
        self._view = LayersView(tracker.params, tracker.config) if layers_view else None

    def init(self, image: Frame) -> list[Result]:
        return [self._tracker.init(image, self._start)]

    def update(self, image: Frame) -> list[Result]:
        return [self._tracker.update(image)]

    def panel(self, image: Frame) -> Frame | None:
        return self._view.panel(self._tracker.state, image) if self._view else None


class _Many:
    """Several, as one batch."""

    def __init__(self, tracker: Tracker, starts: Sequence[Box]):
        self._tracker, self._starts = tracker, starts
        self._several: Several | None = None

    def init(self, image: Frame) -> list[Result]:
        self._several = Several(self._tracker.params, self._tracker.config, image, self._starts)
        return [Result(box, float("nan"), False) for box in self._several.boxes]

    def update(self, image: Frame) -> list[Result]:
        assert self._several is not None
        output = self._several.update(image)
        rated = [api.rated(grid) for grid in self._several.grids]
        found = zip(output.box, output.psr, rated, strict=True)
        return [api.result(self._tracker.config, *of) for of in found]

    def panel(self, image: Frame) -> Frame | None:
        return None


def _targets(experiment: Experiment, weights: Any, starts: Sequence[Box]) -> Targets:
    assert experiment.own is not None
    tracker = Tracker(experiment, weights)
    if experiment.own.boxes is None:
        return _One(tracker, starts[0], experiment.own.layers_view)
    return _Many(tracker, starts)


def _starts(own: OwnVideo, image: Frame, window: Window | None) -> list[Box]:
    """The first boxes, 0-based.

    Raises:
        InputError: one is no target in this image; it names the flag or the file's line.
    """
    if window is not None and own.select:
        rows, titles = np.array([window.select(image)]), ["--select"]
    elif own.boxes is not None:
        rows = boxes.parse(own.boxes)
        titles = [f"{own.boxes}, line {n}" for n in range(1, len(rows) + 1)]
    else:
        rows, titles = np.array([own.box]), ["--box"]
    for title, row in zip(titles, rows, strict=True):
        try:
            place(row, image.shape[:2])
        except InputError as error:
            raise InputError(f"{title}: {error}") from error
    return [tuple(map(float, row)) for row in rows]  # type: ignore[misc]


class _Job:
    """Where the files of one video and its targets are, and the making of them."""

    def __init__(self, experiment: Experiment, opened: Video, starts: Sequence[Box], digest: str):
        assert experiment.own is not None
        self.experiment, self.video, self.own = experiment, opened, experiment.own
        text = json.dumps([opened.identity, opened.source if not opened.identity else "", starts])
        tag = hashlib.sha256(text.encode()).hexdigest()[:8]
        if opened.live:  # never the same twice
            tag = time.strftime("%Y%m%d-%H%M%S")
        (folder,) = folders([(experiment, digest)], "video")
        self.folder = folder / "video" / f"{opened.name}-{tag}"
        names = [""] if experiment.own.boxes is None else [f"-{n + 1}" for n in range(len(starts))]
        self.names = [name.lstrip("-") for name in names]
        self.tables = [self.folder / f"boxes{name}.csv" for name in names]
        self.overlay = self.folder / ("layers.mp4" if self.own.layers_view else "overlay.mp4")

    @property
    def finished(self) -> bool:
        """Whether this was tracked before."""
        wanted = [*self.tables, *([self.overlay] if self.experiment.overlay else [])]
        return self.video.identity is not None and all(path.exists() for path in wanted)

    def track(
        self, targets: Targets, first: Moment, rest: Iterator[Moment], window: Window | None
    ) -> str:
        """Tracks to the end and writes everything; what to tell the user."""
        count, lost, seconds = 0, 0, 0.0
        try:
            with self._written() as (tables, film):
                drawn = film is not None or window is not None
                found = targets.init(first.image)  # it compiles: only now does the clock run
                if self.video.live:
                    first = next(rest, first)  # the newest: that was seconds ago
                    found = targets.init(first.image)
                panel = targets.panel(first.image) if drawn else None
                bar = tqdm(total=self.video.count, desc=self.video.name, unit="frame")
                with bar, self._ended_by_ctrl_c():
                    started = time.perf_counter()
                    moment: Moment | None = first
                    while moment is not None:
                        count += 1
                        lost += any(result.lost for result in found)
                        self._row(tables, count, moment, found)
                        if drawn:
                            picture = self._picture(count, moment, found, panel)
                            if film:
                                film.write(picture, moment.time)
                            if window and not window.show(picture):
                                raise KeyboardInterrupt
                        bar.update()
                        seconds = time.perf_counter() - started
                        moment = next(rest, None)
                        if moment is not None:
                            panel = targets.panel(moment.image) if drawn else None
                            found = targets.update(moment.image)
        except (KeyboardInterrupt, InputError, jax.errors.JaxRuntimeError) as error:
            if count:
                print(f"note: {count} frames are in {self.folder / 'partial'}", file=sys.stderr)
            if isinstance(error, jax.errors.JaxRuntimeError):  # mostly: out of memory
                line = str(error).splitlines()[0]
                raise InputError(f"{self.video.source}: the device failed: {line}") from error
            raise
        if self.video.broken:
            print(f"note: {self.video.source} ended: {self.video.broken}", file=sys.stderr)
        summary = {"frames": count, "dropped": self.video.dropped, "lost": lost, "seconds": seconds}
        self._summarise(summary)
        rate = f"{(count - 1) / seconds:.1f} frames/s, " if count > 1 else ""
        dropped = f"{self.video.dropped} dropped, " if self.video.live else ""
        return f"{count} frames, {dropped}{rate}lost in {lost}: {self.folder}"

    @contextlib.contextmanager
    def _written(self) -> Iterator[tuple[list[IO[str]], Film | None]]:
        """The open tables and video; they get their names at the end, or go to ``partial/``."""
        partial = self.folder / "partial"
        with contextlib.ExitStack() as stack:
            tables: list[IO[str]] = []
            for path in self.tables:
                temporary = stack.enter_context(replacing(path, partial / path.name))
                file = stack.enter_context(temporary.open("w", encoding="utf-8", newline="\n"))
                tables.append(file)
            film = None
            if self.experiment.overlay:
                film = Film(self.overlay, partial=partial / self.overlay.name)
                stack.enter_context(film)
            yield tables, film
        with contextlib.suppress(OSError):
            partial.rmdir()

    @contextlib.contextmanager
    def _ended_by_ctrl_c(self) -> Iterator[None]:
        """Ctrl-C (and q in the window) is how the tracking of a live source ends."""
        try:
            yield
        except KeyboardInterrupt:
            if not self.video.live:
                raise

    def _row(self, tables: list[IO[str]], number: int, moment: Moment, found: list[Result]) -> None:
        for file, (box, score, lost) in zip(tables, found, strict=True):
            numbers = ",".join(f"{value:.4f}" for value in box)
            if number == 1:
                file.write(f"{HEADER}\n")
            shown = "" if np.isnan(score) else f"{score:.4f}"
            file.write(f"{number},{moment.time:.6f},{numbers},{shown},{int(lost)}\n")
            file.flush()

    def _picture(
        self, number: int, moment: Moment, found: list[Result], panel: Frame | None
    ) -> npt.NDArray[np.uint8]:
        outlines = [
            Outline(r.box, visualize.ORANGE if r.lost else visualize.RED, 2, name)
            for r, name in zip(found, self.names, strict=True)
        ]
        text = f"#{number}  {moment.time:.2f} s"
        if len(found) == 1 and not np.isnan(found[0].score):
            text += f"  PSR {found[0].score:.1f}{'  lost?' if found[0].lost else ''}"
        picture = visualize.outlined(moment.image, outlines, text)
        return picture if panel is None else np.concatenate([picture, panel], axis=1)

    def _summarise(self, summary: dict[str, Any]) -> None:
        results.write_json(
            self.folder / "summary.json",
            {
                "video": self.video.source,
                "config": self.experiment.label,
                "experiment": self.experiment.settings(),
                "lost_below": api.lost_below(self.experiment.tracker),
                "encoder": codec() if self.experiment.overlay else None,
                "versions": outcome.versions(),
                "device": outcome.device(),
                "command": sys.argv,
                **summary,
            },
        )

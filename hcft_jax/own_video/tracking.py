"""Tracking in one video of the user's own: read this module from top to bottom.

``run`` opens the video, finds the first boxes, makes the targets and tracks them. The files are in
``OUTPUT_DIR/<label>-<hash>/video/<name>-<hash>/``: ``boxes.csv`` (for several targets
``boxes-1.csv``, ...), ``overlay.mp4`` (or ``layers.mp4``) and ``summary.json``. The second hash is
that of the video and the first boxes. A video whose files exist is not tracked again, if they are
of its identity (``run.identity``, in ``summary.json``): a copy of it finds them, and another
content or method does not. Ctrl-C and a bad frame leave the frames before them in ``partial/`` in
that folder.
"""

import contextlib
import dataclasses
import glob
import hashlib
import itertools
import json
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import jax
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hcft_jax import api
from hcft_jax.api import Result, Tracker
from hcft_jax.core import long_term, target, verdict
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.sampling import PAPER, Layout
from hcft_jax.core.target import place
from hcft_jax.data import video
from hcft_jax.data.contents import Contents
from hcft_jax.data.sequence import Frame
from hcft_jax.data.video import Moment, Video
from hcft_jax.evaluation import results
from hcft_jax.experiment.settings import Experiment, OwnVideo, folders
from hcft_jax.own_video.gui import Gui
from hcft_jax.run.environment import device, versions
from hcft_jax.run.identity import Identity
from hcft_jax.run.several import Several
from hcft_jax.util import boxes, interrupts
from hcft_jax.util.errors import InputError, InputWarning, SettingError
from hcft_jax.util.files import exists, lines, reclaim
from hcft_jax.util.names import fitting
from hcft_jax.visual import overlay
from hcft_jax.visual.film import Film, codec
from hcft_jax.visual.layers_view import LayersView
from hcft_jax.visual.overlay import Outline
from hcft_jax.weights import lookup

Box = tuple[float, float, float, float]  # x, y, w, h in pixels, 0-based

_LONGEST = 254  # bytes of a folder's name, without a hyphen
HEADER = "frame,time,x,y,w,h,score,lost"  # the score is the PSR


def run(experiment: Experiment) -> str:
    """Track the targets of ``experiment.own`` and write their files; return a line for the user.

    Args:
        experiment: As ``Experiment.validate`` returns it.

    Raises:
        InputError: The video, a box, the GUI or the output folder cannot be used.
        KeyboardInterrupt: The user pressed Ctrl-C, or q in the GUI. In a live source these end the
            tracking; elsewhere they interrupt it.
    """
    own = experiment.own
    assert own is not None
    with contextlib.ExitStack() as stack:
        gui = None
        if own.select or own.show:
            gui = Gui("hcft_jax", "select" if own.select else "show")
            stack.callback(gui.close)
        source = stack.enter_context(video.opened(own.video or ""))
        moments = iter(source)
        first = next(moments)
        starts = first_boxes(own, first.image, gui, experiment.tracker.layout)
        weights = lookup.find(experiment.weights, experiment.tracker.backbone)
        files = VideoFiles.of(experiment, source, starts, weights.digest)
        reclaim(files.folder)
        identity = _identity(experiment, source, starts, weights.digest)
        if source.identity is not None and (there := files.found(identity)):
            return f"kept, it is there: {there}"
        tracker = Tracker(experiment, weights)
        targets: OneTarget | SeveralTargets = SeveralTargets(tracker, starts)
        if own.boxes is None:
            targets = OneTarget(tracker, starts[0], own.layers_view)
        if gui is not None and not own.show:
            gui.close()
            gui = None
        identity.begin()
        moments = itertools.chain([first], moments)
        return track(experiment, source, moments, targets, files, identity, gui)


def _identity(
    experiment: Experiment, source: Video, starts: Sequence[Box], digest: str
) -> Identity:
    """Return what the boxes depend on; a live source has no files."""
    settings = experiment.digest(digest)
    last = len(source.files) - 1
    return Identity(settings, tuple(starts), Contents(source.files), 0, last)


def first_boxes(own: OwnVideo, image: Frame, gui: Gui | None, layout: Layout = PAPER) -> list[Box]:
    """Return the boxes in the first frame: drawn in the GUI, read from a file, or as given.

    Raises:
        InputError: One cannot be tracked in this image. The message names its field, or its file
            and line.
    """
    if own.boxes is not None:
        rows = boxes.parse(own.boxes)
    else:
        rows = np.array([gui.select(image) if gui is not None and own.select else own.box])
    for number, row in enumerate(rows, 1):
        where = "--select" if own.select else "--box"
        where = where if own.boxes is None else f"{own.boxes}, line {number}"
        try:
            place(row, image.shape[:2], layout)
            if beyond := target.beyond(row, image.shape[:2]):
                _note(f"{where}: {beyond}")
        except InputError as error:
            if own.boxes is not None:
                raise InputError(f"{own.boxes}, line {number}: {error}") from error
            raise SettingError("select" if own.select else "box", str(error)) from error
    return [tuple(map(float, row)) for row in rows]  # type: ignore[misc]


class OneTarget:
    """One target, tracked by ``hcft_jax.Tracker``."""

    def __init__(self, tracker: Tracker, start: Box, layers_view: bool):
        self._tracker, self._start = tracker, start
        self._view = LayersView(tracker.params, tracker.config) if layers_view else None

    def init(self, image: Frame) -> list[Result]:
        """Start in the first frame, RGB uint8 ``[H, W, 3]``."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)  # ``first_boxes`` has said it
            return [self._tracker.init(image, self._start)]

    def update(self, image: Frame) -> list[Result]:
        """Find the target in the next frame."""
        return [self._tracker.update(image)]

    def panel(self, image: Frame) -> Frame | None:
        """Return what to draw beside the frame that is tracked next."""
        return self._view.panel(self._tracker.state, image) if self._view else None


class SeveralTargets:
    """Several targets, tracked as one batch; the methods are those of ``OneTarget``."""

    def __init__(self, tracker: Tracker, starts: Sequence[Box]):
        self._tracker, self._starts = tracker, starts

    def init(self, image: Frame) -> list[Result]:
        """Start in the first frame, RGB uint8 ``[H, W, 3]``."""
        self._several = Several(self._tracker.params, self._tracker.config, image, self._starts)
        self._grids = self._several.grids
        return [Result(box, float("nan"), False) for box in self._several.boxes]

    def update(self, image: Frame) -> list[Result]:
        """Find the targets in the next frame."""
        output = self._several.update(image)
        found = zip(self._grids, output.box, output.psr, output.lost, strict=True)
        return [api.result(*each) for each in found]

    def panel(self, image: Frame) -> None:
        """Return None: the layers of several targets are not drawn."""


@dataclass(frozen=True)
class VideoFiles:
    """The paths of the files of one video, of which ``names`` has a name for each target."""

    folder: Path
    names: tuple[str, ...]  # 1, 2, ... in a file of boxes; one target has the empty name
    overlay: Path | None

    @classmethod
    def of(
        cls, experiment: Experiment, source: Video, starts: Sequence[Box], digest: str
    ) -> "VideoFiles":
        """Return the paths for a video, its first boxes and the digest of the weights."""
        own = experiment.own
        assert own is not None
        text = json.dumps([source.identity, source.source if not source.identity else "", starts])
        tag = hashlib.sha256(text.encode()).hexdigest()[:8]
        if source.live:  # it is never the same twice
            tag = time.strftime("%Y%m%d-%H%M%S")
        (folder,) = folders([(experiment, digest)], "video")
        folder = folder / "video" / f"{fitting(source.name, _LONGEST - len(tag))}-{tag}"
        overlay = folder / ("layers.mp4" if own.layers_view else "overlay.mp4")
        names = [""] if own.boxes is None else [str(n) for n in range(1, len(starts) + 1)]
        return cls(folder, tuple(names), overlay if experiment.overlay else None)

    @property
    def tables(self) -> list[Path]:
        """The tables of the targets."""
        return [self.folder / (f"boxes-{n}.csv" if n else "boxes.csv") for n in self.names]

    @property
    def partial(self) -> Path:
        """The folder of what an interrupted command leaves."""
        return self.folder / "partial"

    @property
    def exist(self) -> bool:
        """Whether the video was tracked to its end before."""
        overlay = [self.overlay] if self.overlay else []
        return all(exists(p) for p in [*self.tables, *overlay, self.summary])

    @property
    def summary(self) -> Path:
        """What was tracked and how; written last."""
        return self.folder / "summary.json"

    def found(self, identity: Identity) -> Path | None:
        """Return the folder that has these files of an identity; None where none has.

        That is this folder, or one of a copy of the video by the same name. A line on stderr tells
        of files here that are of another identity, or of an unknown one, which are kept.
        """
        if self.exist:
            try:
                recorded = results.read_json(self.summary).get("identity")
            except InputError:
                _note(f"{self.folder}: tracked anew (its summary is damaged)")
                return None
            if recorded is None:
                _note(f"{self.folder}: no record of the version of the method; it is kept")
                return self.folder
            if not (difference := identity.differs(recorded)):
                return self.folder
            _note(f"{self.folder}: tracked anew ({difference})")
            return None
        name, _, _ = self.folder.name.rpartition("-")
        try:
            beside = sorted(self.folder.parent.glob(f"{glob.escape(name)}-????????"))
        except OSError:
            return None
        for folder in beside:
            overlay = self.overlay and folder / self.overlay.name
            other = dataclasses.replace(self, folder=folder, overlay=overlay)
            with contextlib.suppress(InputError):
                if other.exist:
                    recorded = results.read_json(other.summary).get("identity")
                    if recorded is not None and not identity.differs(recorded):
                        return folder
        return None

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[list[IO[str]], Film | None]]:
        """Open the tables and the film, which get their names at the end, or go to ``partial``."""
        with contextlib.ExitStack() as stack:
            tables: list[IO[str]] = []
            for path in self.tables:
                tables.append(stack.enter_context(lines(path, self.partial / path.name)))
            film = None
            if self.overlay:
                film = Film(self.overlay, partial=self.partial / self.overlay.name)
                stack.enter_context(film)
            yield tables, film
        with contextlib.suppress(OSError):
            self.partial.rmdir()


def track(
    experiment: Experiment,
    source: Video,
    moments: Iterator[Moment],
    targets: OneTarget | SeveralTargets,
    files: VideoFiles,
    identity: Identity,
    gui: Gui | None,
) -> str:
    """Track to the end of the video and write all files; return a line for the user."""
    if files.overlay and codec() == "mpeg4":
        _note(f"{files.overlay} is MPEG-4, which browsers do not play: this FFmpeg has no H.264")
    count, lost, seconds = 0, 0, 0.0
    try:
        with files.opened() as (tables, film):
            drawn = film is not None or gui is not None
            first = next(moments)
            found = targets.init(first.image)  # it compiles, so the clock starts later
            if source.live:
                first = next(moments, first)  # the newest frame: compiling took seconds
                found = targets.init(first.image)
            bar = tqdm(total=source.count, desc=source.name, unit="frame")
            with bar, _ended_by_ctrl_c(source):
                started = time.perf_counter()
                for moment in itertools.chain([first], moments):
                    interrupts.check()
                    panel = targets.panel(moment.image) if drawn else None
                    if count:
                        found = targets.update(moment.image)
                    count += 1
                    lost += any(result.lost for result in found)
                    _write_rows(tables, count, moment, found)
                    if drawn:
                        picture = _picture(count, moment, found, files.names, panel)
                        if film:
                            film.write(picture, moment.time)
                        if gui and not gui.show(picture):
                            raise KeyboardInterrupt
                    bar.update()
                    seconds = time.perf_counter() - started
            recorded = {} if source.identity is None else {"identity": identity.recorded()}
    except (KeyboardInterrupt, InputError, jax.errors.JaxRuntimeError) as error:
        if count:
            _note(f"{count} frames are in {files.partial}")
        if isinstance(error, jax.errors.JaxRuntimeError):  # mostly: out of memory
            interrupts.check()
            line = str(error).splitlines()[0]
            raise InputError(f"{source.source}: the device failed: {line}") from error
        raise
    if source.broken:
        _note(f"{source.source} ended: {source.broken}")
    summary = {"frames": count, "dropped": source.dropped, "lost": lost, "seconds": seconds}
    _write_summary(experiment, source, files, summary | recorded)
    rate = f"{(count - 1) / seconds:.1f} frames/s, " if count > 1 else ""
    dropped = f"{source.dropped} dropped, " if source.live else ""
    return f"{count} frames, {dropped}{rate}lost in {lost}: {files.folder}"


def _note(text: str) -> None:
    print(f"note: {text}", file=sys.stderr)


@contextlib.contextmanager
def _ended_by_ctrl_c(source: Video) -> Iterator[None]:
    """Let Ctrl-C, and q in the GUI, end the tracking of a live source without an error."""
    try:
        yield
    except KeyboardInterrupt:
        if not source.live:
            raise
        interrupts.answered()


def _write_rows(tables: list[IO[str]], number: int, moment: Moment, found: list[Result]) -> None:
    for file, (box, psr, lost) in zip(tables, found, strict=True):
        numbers = ",".join(f"{value:.4f}" for value in box)
        if number == 1:
            file.write(f"{HEADER}\n")
        score = "" if np.isnan(psr) else f"{psr:.4f}"
        file.write(f"{number},{moment.time:.6f},{numbers},{score},{int(lost)}\n")
        file.flush()


def _picture(
    number: int, moment: Moment, found: list[Result], names: Sequence[str], panel: Frame | None
) -> npt.NDArray[np.uint8]:
    """Return a frame with the boxes and the text, and the panel beside it."""
    outlines = [
        Outline(r.box, overlay.ORANGE if r.lost else overlay.RED, 2, name)
        for r, name in zip(found, names, strict=True)
    ]
    text = f"#{number}  {moment.time:.2f} s"
    if len(found) == 1 and not np.isnan(found[0].score):
        text += f"  PSR {found[0].score:.1f}{'  lost?' if found[0].lost else ''}"
    picture = overlay.outlined(moment.image, outlines, text)
    return picture if panel is None else np.concatenate([picture, panel], axis=1)


def _thresholds(config: TrackerConfig) -> dict[str, float]:
    """Return what says in this video whether the target is lost."""
    if not config.redetect:
        return {"lost_below": verdict.lost_below(config)}
    doubted, found = long_term.thresholds(config)
    return {"doubted_below": float(doubted), "found_above": float(found)}


def _write_summary(
    experiment: Experiment, source: Video, files: VideoFiles, counts: dict[str, Any]
) -> None:
    content = {
        "video": source.source,
        "config": experiment.label,
        "experiment": experiment.settings(),
        **_thresholds(experiment.tracker),
        "encoder": codec() if experiment.overlay else None,
        "versions": versions(),
        "device": device(),
        "command": sys.argv,
        **counts,
    }
    results.write_json(files.summary, content)

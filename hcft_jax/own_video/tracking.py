"""Tracking in videos of the user's own: read this module from top to bottom.

``run`` finds the videos that are named and tracks in one after the other. ``track_one`` opens a
video, finds the first boxes, makes the targets and tracks them: forwards, backwards, or both ways
from a frame. The files are in ``OUTPUT_DIR/<label>-<hash>/video/<name>-<hash>/``: tables
(``box_tables``), films (``video_films``) and ``summary.json``. The second hash is that of the
video, its part and the first boxes. A video whose files exist is not tracked again, if they are of
its identity (``run.identity``, in ``summary.json``): a copy of it finds them, and another content
or method does not. Ctrl-C and a bad frame leave the frames before them in ``partial/`` in that
folder.
"""

import contextlib
import functools
import itertools
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
from tqdm.auto import tqdm

from hcft_jax.api import Tracker
from hcft_jax.core import long_term, verdict
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import video, wanted
from hcft_jax.data.contents import Contents
from hcft_jax.data.moments import Moment, Video
from hcft_jax.data.part import Part, Point
from hcft_jax.data.wanted import Source
from hcft_jax.evaluation import results
from hcft_jax.experiment.settings import Experiment
from hcft_jax.own_video import box_files, box_tables, first_frame, video_films
from hcft_jax.own_video.box_files import Start
from hcft_jax.own_video.box_tables import About, BoxRow, BoxTables
from hcft_jax.own_video.followed import Found, OneTarget, SeveralTargets, Targets
from hcft_jax.own_video.gui import Gui
from hcft_jax.own_video.video_files import VideoFiles, note
from hcft_jax.own_video.video_films import Films
from hcft_jax.own_video.way import Way, first_boxes
from hcft_jax.run.environment import device, versions
from hcft_jax.run.identity import Identity
from hcft_jax.util import interrupts
from hcft_jax.util.errors import InputError, SettingError, StorageError, report
from hcft_jax.util.files import reclaim
from hcft_jax.visual.film import codec
from hcft_jax.weights import lookup
from hcft_jax.weights.native import Weights


def run(experiment: Experiment) -> str:
    """Track the targets of ``experiment.own`` and write their files; return a line for the user.

    Of several videos each is tracked, whatever happens to the others.

    Args:
        experiment: As ``Experiment.validate`` returns it.

    Raises:
        InputError: A video, a box, the GUI or the output folder cannot be used.
        KeyboardInterrupt: The user pressed Ctrl-C, or q in the GUI. In a live source these end the
            tracking; elsewhere they interrupt it.
    """
    own = experiment.own
    assert own is not None
    sources = wanted.find(own.video or "")
    trackers = Trackers(experiment)
    if len(sources) == 1:
        return track_one(experiment, sources[0], trackers)
    failed = []
    for number, source in enumerate(sources, 1):
        try:
            done = track_one(experiment, source, trackers)
        except StorageError:
            raise
        except InputError as error:
            report(error)
            failed.append(str(source))
        else:
            print(f"{number} of {len(sources)}, {source}: {done}", flush=True)
    if failed:
        raise InputError(
            f"{len(failed)} of {len(sources)} videos failed: {', '.join(failed)}; the same command "
            "tries them again and keeps the others"
        )
    return f"{len(sources)} videos are tracked"


class Trackers:
    """The weights and the tracker of an experiment, which are there when they are first needed."""

    def __init__(self, experiment: Experiment):
        """Take the experiment."""
        self._experiment = experiment

    @functools.cached_property
    def weights(self) -> Weights:
        """The weights."""
        return lookup.find(self._experiment.weights, self._experiment.tracker.backbone)

    @functools.cached_property
    def tracker(self) -> Tracker:
        """The tracker."""
        return Tracker(self._experiment, self.weights)


def track_one(experiment: Experiment, source: Source, trackers: Trackers) -> str:
    """Track in one video and write its files; return a line for the user.

    Args:
        experiment: As for ``run``.
        source: The video.
        trackers: What tracks.

    Raises:
        InputError: As for ``run``.
        KeyboardInterrupt: As for ``run``.
    """
    own = experiment.own
    assert own is not None
    way = Way.of(own, source)
    with contextlib.ExitStack() as stack:
        gui = None
        if (own.select or own.show) and not own.preview:
            gui = Gui("hcft_jax", "select" if own.select else "show")
            stack.callback(gui.close)
        opened = stack.enter_context(video.opened(source, way.part, reconnect=own.reconnect))
        if way.back and opened.live:
            raise SettingError("at", f"{source} is live: it cannot be tracked backwards")
        moments = iter(opened)
        first = next(moments)
        if own.preview:
            return first_frame.write(own.preview, first.image, way.known(own))
        begun = first_boxes(own, way, first, gui, experiment.tracker.layout)
        number = box_files.outermost(begun, way.part.backwards) or first.number
        while first.number != number:
            if (later := next(moments, None)) is None:
                raise InputError(f"{begun[0].where}: {source} ends before frame {number}")
            first = later
        weights = trackers.weights
        said = way.described(own, begun)
        files = VideoFiles.of(experiment, opened, begun, weights.digest, said)
        reclaim(files.folder)
        identity = _identity(experiment, opened, begun, weights.digest, said)
        if opened.identity is not None:
            if left := files.left(identity, own.box_format):
                return complete(source, opened, first, way, *left)
            if there := files.found(identity):
                return f"kept, it is there: {there}"
        targets: Targets = SeveralTargets(trackers.tracker, begun)
        if own.boxes is None and len(begun) == 1:
            targets = OneTarget(trackers.tracker, begun[0], own.layers_view)
        if gui is not None and not own.show:
            gui.close()
            gui = None
        identity.begin()
        job = Job(experiment, source, way, opened, files, targets, gui)
        return job.track(itertools.chain([first], moments), identity)


def _identity(
    experiment: Experiment,
    source: Video,
    begun: Sequence[Start],
    digest: str,
    part: dict[str, Any],
) -> Identity:
    """Return what the boxes depend on; a live source has no files."""
    settings = experiment.digest(digest)
    last = len(source.files) - 1
    boxes = tuple(start.box for start in begun)
    return Identity(settings, boxes, Contents(source.files), 0, last, part=part)


class Job:
    """The tracking in one video, of which everything is open."""

    def __init__(
        self,
        experiment: Experiment,
        source: Source,
        way: Way,
        opened: Video,
        files: VideoFiles,
        targets: Targets,
        gui: Gui | None,
    ):
        """Take what is needed; nothing is written yet."""
        own = experiment.own
        assert own is not None
        self._experiment, self._own, self._source, self._way = experiment, own, source, way
        self._opened, self._files, self._targets, self._gui = opened, files, targets, gui
        self._count, self._lost, self._seconds = 0, 0, 0.0
        self._rows: dict[int, list[BoxRow]] = {}  # by frame: of films that are drawn later
        self._begun: set[int] = set()

    def track(self, moments: Iterator[Moment], identity: Identity) -> str:
        """Track to the end and write all files; return a line for the user.

        Args:
            moments: The frames, from the first box on.
            identity: What the boxes depend on.

        Raises:
            InputError: As for ``run``.
            KeyboardInterrupt: As for ``run``.
        """
        opened, files = self._opened, self._files
        if files.films and codec() == "mpeg4":
            note(f"{files.folder}: films are MPEG-4 there, which browsers do not play: no H.264")
        tables, films = files.writers(self._own.box_format)
        try:
            with tables.opened(), films.opened():
                self._track(moments, tables, films)
            recorded = {} if opened.identity is None else {"identity": identity.recorded()}
        except (KeyboardInterrupt, InputError, jax.errors.JaxRuntimeError) as error:
            if self._count:
                note(f"{self._count} frames are in {files.partial}")
            if isinstance(error, jax.errors.JaxRuntimeError):  # mostly: out of memory
                interrupts.check()
                line = str(error).splitlines()[0]
                raise InputError(f"{opened.source}: the device failed: {line}") from error
            raise
        with contextlib.suppress(OSError):
            files.partial.rmdir()
        for found in opened.breaks:
            note(
                f"{opened.source} broke off for {found['seconds']:.1f} s before frame "
                f"{found['frame']} ({found['reason']})"
            )
        if opened.broken:
            note(f"{opened.source} ended: {opened.broken}")
        if late := [n for i, n in enumerate(files.names) if i not in self._begun]:
            note(f"{files.folder}: {opened.source} ends before the targets {', '.join(late)} start")
        self._write_summary(recorded)
        count, seconds = self._count, self._seconds
        rate = f"{(count - 1) / seconds:.1f} frames/s, " if count > 1 else ""
        dropped = f"{opened.dropped} dropped, " if opened.live else ""
        return f"{count} frames, {dropped}{rate}lost in {self._lost}: {files.folder}"

    def _track(self, moments: Iterator[Moment], tables: BoxTables, films: Films) -> None:
        """Track all ways, then draw what could not be drawn meanwhile."""
        opened, way = self._opened, self._way
        later = way.back or way.part.backwards
        first = next(moments)
        tables.begin(_about(opened, first, self._files), opened.live)
        found = self._targets.init(first.image, first.number)  # it compiles: the clock starts later
        if opened.live:
            first = next(moments, first)  # the newest frame: compiling took seconds
            found = self._targets.init(first.image, first.number)
        bar = tqdm(total=opened.count, desc=opened.name, unit="frame")
        with bar, _ended_by_ctrl_c(opened):
            moments = itertools.chain([first], moments)
            self._follow(moments, found, bar, tables, None if later else films)
            if way.back:
                part = replace(self._own.part, end=Point(first.number), backwards=True)
                with video.opened(self._source, part) as again:
                    bar.total = bar.total and bar.total + (again.count or 1) - 1
                    moments = iter(again)
                    first = next(moments)
                    self._targets.init(first.image, first.number)
                    self._follow(moments, None, bar, tables, None)
        if later and films.wanted:
            draw(self._source, self._way, self._rows, films, self._files.names)

    def _follow(
        self,
        moments: Iterator[Moment],
        found: Found | None,
        bar: Any,
        tables: BoxTables,
        films: Films | None,
    ) -> None:
        """Track in frames; ``found`` is what there is in the first, where that is known."""
        gui, before = self._gui, self._seconds
        drawn = gui is not None or (films is not None and films.drawn)
        started = time.perf_counter()
        for moment in moments:
            interrupts.check()
            panel = self._targets.panel(moment.image) if drawn else None
            if found is None:
                found = self._targets.update(moment.image, moment.number)
            self._count += 1
            self._lost += any(result.lost for result in found.values())
            self._begun |= found.keys()
            rows = box_tables.rows(moment, found)
            tables.write(rows)
            picture = None
            if drawn:
                picture = video_films.picture(moment, rows, self._files.names, panel)
            if films is None:
                self._rows[moment.number] = rows
            else:
                films.write(moment, rows, picture)
            if gui and picture is not None and not gui.show(picture):
                raise KeyboardInterrupt
            found = None
            bar.update()
            self._seconds = before + time.perf_counter() - started

    def _write_summary(self, recorded: dict[str, Any]) -> None:
        experiment, opened = self._experiment, self._opened
        content = {
            "video": opened.source,
            "config": experiment.label,
            "experiment": experiment.settings(),
            **_thresholds(experiment.tracker),
            "encoder": codec() if self._files.films else None,
            "versions": versions(),
            "device": device(),
            "command": sys.argv,
            "frames": self._count,
            "dropped": opened.dropped,
            "lost": self._lost,
            "seconds": self._seconds,
            **({"breaks": opened.breaks} if opened.live else {}),
            **recorded,
        }
        results.write_json(self._files.summary, content)


def draw(
    source: Source,
    way: Way,
    rows: Mapping[int, Sequence[BoxRow]],
    films: Films,
    names: Sequence[str],
) -> None:
    """Draw the films of a video from the boxes of its frames.

    Args:
        source: The video.
        way: Which frames have boxes.
        rows: These, by the number of the frame.
        films: What is drawn.
        names: A name for each target.
    """
    part = Part(Point(min(rows)), Point(max(rows)), way.part.every)
    with video.opened(source, part) as again:
        for moment in tqdm(again, total=len(rows), desc="drawing", unit="frame"):
            interrupts.check()
            own = rows.get(moment.number, ())
            drawn = video_films.picture(moment, own, names, None) if films.drawn else None
            films.write(moment, own, drawn)


def complete(
    source: Source, opened: Video, first: Moment, way: Way, rows: list[BoxRow], files: VideoFiles
) -> str:
    """Make files from the boxes of a video that was tracked; return a line for the user.

    Args:
        source: The video.
        opened: The video, of which the first frame has been read.
        first: That frame.
        way: Which frames were tracked.
        rows: The boxes.
        files: Those that are not there.
    """
    if not files.films and not files.formats:
        return f"kept, it is there: {files.folder}"
    frames = {n: list(of) for n, of in itertools.groupby(rows, lambda row: row.frame)}
    tables, films = files.writers(way.form)
    with tables.opened(), films.opened():
        tables.begin(_about(opened, first, files), gaps=False)
        for own in frames.values():
            tables.write(own)
        if films.wanted:
            draw(source, way, frames, films, files.names)
    with contextlib.suppress(OSError):
        files.partial.rmdir()
    made = ", ".join([*files.formats, *files.films])
    return f"kept, {made} made of its boxes: {files.folder}"


def _about(opened: Video, first: Moment, files: VideoFiles) -> About:
    pictures = opened.files if len(opened.files) > 1 else ()
    size = first.image.shape[0], first.image.shape[1]
    return About(opened.source, size, files.names, pictures)


@contextlib.contextmanager
def _ended_by_ctrl_c(source: Video) -> Iterator[None]:
    """Let Ctrl-C, and q in the GUI, end the tracking of a live source without an error."""
    try:
        yield
    except KeyboardInterrupt:
        if not source.live:
            raise
        interrupts.answered()


def _thresholds(config: TrackerConfig) -> dict[str, float]:
    """Return what says in this video whether the target is lost."""
    if not config.redetect:
        return {"lost_below": verdict.lost_below(config)}
    doubted, found = long_term.thresholds(config)
    return {"doubted_below": float(doubted), "found_above": float(found)}

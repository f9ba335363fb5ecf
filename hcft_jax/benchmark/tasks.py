"""The unit of work: one run of a protocol on one sequence under one experiment, with its files.

A result appears whole or not at all. Present, and of this identity (``run.identity``), means done:
an interrupted experiment continues where it stopped, and what was tracked in other frames, or by
another version of the method, is tracked anew. One-pass evaluation is the protocol with one run.
"""

import contextlib
import dataclasses
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from hcft_jax.data.contents import Contents
from hcft_jax.data.sequence import Sequence
from hcft_jax.evaluation import results
from hcft_jax.evaluation.protocols import Run
from hcft_jax.experiment.settings import METHOD, Experiment
from hcft_jax.run import together
from hcft_jax.run.identity import Identity
from hcft_jax.util.boxes import Boxes, from_file
from hcft_jax.util.errors import InputError
from hcft_jax.util.version import METHOD_VERSION

UNRECORDED = "no record of the frames and the version of the method that they are of"
_DAMAGED = "the record of what they are of is damaged"
_LONGEST = 1e12  # frames or seconds


@dataclasses.dataclass(frozen=True)
class Speed:
    """How fast one or more runs were tracked."""

    frames: int  # after the first
    seconds: float  # wall time: decoding is included, compilation is not
    compile_seconds: float

    @property
    def fps(self) -> float:
        """Frames per second; 0 where there was one frame only."""
        return self.frames / self.seconds if self.frames and self.seconds else 0.0

    @staticmethod
    def recorded(record: Mapping[str, Any], path: Path) -> "Speed":
        """Return the speed in the record of a run; no frames where it has none at all.

        Raises:
            InputError: it is damaged; ``path`` is its name.
        """
        numbers = [
            record.get(field.name, 0 if not record else None) for field in dataclasses.fields(Speed)
        ]
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise InputError(f"{path}: it has no frames and seconds")
            if not 0 <= number <= _LONGEST:  # NaN, too
                raise InputError(f"{path}: {number} is no number of frames or seconds")
        return Speed(int(numbers[0]), float(numbers[1]), float(numbers[2]))

    @staticmethod
    def total(speeds: "list[Speed]") -> "Speed":
        """Return the speed of all of them, one after the other."""
        return Speed(*(sum(part) for part in zip(*map(dataclasses.astuple, speeds), strict=True)))


class Standing(NamedTuple):
    """How it stands with the files of a run.

    Attributes:
        done: Whether they are there, all that the experiment asks for, and of this identity.
        note: What the user should know of them: why they are not taken, or what is not known.
    """

    done: bool
    note: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """What is tracked, where its files are and what they are judged by.

    It is plain data, without the network's parameters: it can be sent to another machine. Results
    are in ``<protocol>/``, everything else is in a folder named for its kind; below both there is
    ``<Sequence>.*``, or ``<Sequence>/<label>.*`` where a protocol has several runs.

    Attributes:
        experiment: Whose run it is.
        number: The number of the experiment among those that are planned together.
        setting: What lines on the terminal call the experiment; empty where it is the only one.
        weights: The digest of the network's weights.
        settings: The digest of the settings and weights (``Experiment.digest``).
        folder: The folder of the experiment's results.
        whole: The sequence with its ground truth.
        run: The run of a protocol on it.
        equal: The experiment's other runs on the sequence that track the same frames from the same
            box, so that their results will be the same.
        contents: The files of the sequence's frames; None where it has none.
    """

    experiment: Experiment
    number: int
    setting: str
    weights: str
    settings: str
    folder: Path
    whole: Sequence
    run: Run
    equal: tuple[Run, ...] = ()
    contents: Contents | None = None

    @property
    def sequence(self) -> Sequence:
        """The frames of this run and their ground truth."""
        return self.whole.part(self.run.first, self.run.last)

    @property
    def given(self) -> Sequence:
        """The frames of this run, with the box that it starts from: not the truth in SRE."""
        sequence = self.sequence
        boxes = np.concatenate([self.box[None], sequence.boxes[1:]])
        return dataclasses.replace(sequence, boxes=boxes)

    @property
    def box(self) -> Boxes:
        """What the tracker starts with: (x, y, w, h), 0-based pixels."""
        return from_file(self.run.box)

    @property
    def frames(self) -> int:
        """The number of frames."""
        return self.run.frames

    @property
    def name(self) -> str:
        """What messages about the experiment call it: ``Deer tre/01``."""
        run = self.run
        return f"{self.whole.name} {run.protocol}/{run.label}" if run.label else self.whole.name

    @property
    def title(self) -> str:
        """What progress calls it: ``Deer tre/01 hcft,eta=0.02``."""
        return f"{self.name} {self.setting}".rstrip()

    @property
    def group(self) -> tuple[int, str, str]:
        """Equal for the runs of a protocol on a sequence, which are scored when all are there."""
        return self.number, self.whole.name, self.run.protocol

    @property
    def result(self) -> Path:
        """The boxes."""
        return self._file(self.run.protocol, ".txt")

    @property
    def speed(self) -> Path:
        """The record of the run: how fast it was tracked, the result's identity, who made it."""
        return self._file("speed", ".json")

    @property
    def record(self) -> dict[str, Any]:
        """What the record of the run holds; nothing where there is none.

        Raises:
            InputError: it cannot be read, or is none.
        """
        if not self.speed.exists():
            return {}
        record = results.read_json(self.speed)
        Speed.recorded(record, self.speed)
        return record

    @property
    def partial(self) -> Path:
        """The boxes up to a frame that could not be read."""
        return self._file("partial", ".txt")

    @property
    def overlay(self) -> Path:
        """The video of boxes and responses."""
        return self._file("overlay", ".mp4")

    @property
    def plot(self) -> Path:
        """Error, overlap and PSR over the frames."""
        return self._file("overlay", ".png")

    @property
    def responses(self) -> Path:
        """The response maps of all frames (``evaluation.responses``)."""
        return self._file("responses", ".npz")

    @property
    def extras(self) -> list[Path]:
        """The files beside the boxes that the experiment asks for."""
        overlay = [self.overlay, self.plot] if self.experiment.overlay else []
        return [*overlay, *([self.responses] if self.experiment.responses else [])]

    @property
    def possible(self) -> list[Path]:
        """The files beside the boxes that an experiment can ask for."""
        return [self.overlay, self.plot, self.responses]

    def _file(self, kind: str, suffix: str) -> Path:
        *folders, stem = filter(None, (kind, self.whole.name, self.run.label))
        return self.folder.joinpath(*folders, stem + suffix)

    @property
    def shareable(self) -> bool:
        """Whether it may be tracked beside others: it leaves no more than our tracker's boxes."""
        return self.experiment.method == METHOD and not self.extras

    @property
    def laned(self) -> bool:
        """Whether it goes through lanes."""
        return self.experiment.lanes > 1 and self.shareable

    @property
    def patches(self) -> Hashable:
        """Equal for tasks that look at the same patches of the same network, and may share them."""
        if not self.shareable:
            return id(self)
        frames = id(self.whole), self.run.protocol, self.run.label
        return *frames, self.weights, together.patches(self.experiment.tracker)

    @property
    def reader(self) -> Hashable:
        """Equal for tasks on one run whose frames are read once for all of them."""
        if self.laned or not self.shareable:
            return self.number
        return self.weights, together.patches(self.experiment.tracker)

    @property
    def executable(self) -> Hashable:
        """Equal for tasks that share compiled programs: image, size of the box, static settings."""
        _, _, w, h = self.run.box
        return self.whole.name, w, h, jax.tree.structure(self.experiment.tracker)

    @property
    def identity(self) -> Identity:
        """What its boxes depend on."""
        run = self.run
        box = tuple(float(value) for value in run.box)
        method = METHOD_VERSION if self.experiment.method == METHOD else None
        return Identity(self.settings, (box,), self.contents, run.first, run.last, method)

    @property
    def standing(self) -> Standing:
        """How it stands with its files.

        Raises:
            InputError: a file cannot be read, the result is not that of this run, or it is not what
                was written.
        """
        path = self.result
        if not path.exists():
            return Standing(False)
        boxes = results.read_boxes(path, empty=self.experiment.method != METHOD)
        # the tracker rounds half of each side down: by less than a pixel
        same_start = np.allclose(boxes[0], self.run.box, rtol=0, atol=1.001)
        if len(boxes) != self.run.frames or not same_start:
            raise InputError(
                f"{path}: holds another sequence of this name ({len(boxes)} boxes for "
                f"{self.run.frames} frames, or another first box); give another --output_dir"
            )
        there = all(file.exists() for file in self.extras)
        try:
            record = self.record
        except InputError:
            return Standing(False, _DAMAGED)
        recorded = record.get("identity")
        if recorded is None:
            return Standing(there, UNRECORDED if there else "")
        if difference := self.identity.differs(recorded):
            return Standing(False, difference)
        written = results.digest(path)
        if written != record.get("result"):
            if written == record.get("replaces"):  # killed between the record and the boxes
                return Standing(False)
            raise InputError(
                f"{path}: these are not the boxes that were written; put them back, or remove the "
                "file to have them tracked anew"
            )
        if renewed := self.identity.renewed(recorded):  # so that the next start need not read
            with contextlib.suppress(InputError):
                results.write_json(self.speed, {**record, "identity": renewed})
        vouched = record.get("extras")
        vouched = vouched if isinstance(vouched, list) else []
        return Standing(there and all(self.named(file) in vouched for file in self.extras))

    @property
    def finished(self) -> bool:
        """Whether its files are there; raises what ``standing`` raises."""
        return self.standing.done

    def named(self, file: Path) -> str:
        """Return what the record calls a file beside the boxes: ``overlay/Deer.mp4``."""
        return file.relative_to(self.folder).as_posix()

    def others(self) -> Iterator["Task"]:
        """Yield the tasks of the equal runs."""
        for run in self.equal:
            yield dataclasses.replace(self, run=run, equal=())


class Done(NamedTuple):
    """What has become of a task that was taken on."""

    task: Task
    error: InputError | None  # why it failed
    device: dict[str, Any] | None = None  # of the worker that did it; None: this process

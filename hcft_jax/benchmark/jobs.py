"""What an experiment has to do: its sequences, the protocols' runs on them, and their files.

The unit of work is one run of a protocol on one sequence under one configuration, and it has one
result file. One-pass evaluation is the protocol with one run.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hcft_jax.data import datasets, otb
from hcft_jax.data.sequence import Sequence
from hcft_jax.data.synthetic import synthetic
from hcft_jax.evaluation import protocols
from hcft_jax.evaluation.protocols import Run
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util import boxes as conventions
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import replacing


@dataclass(frozen=True)
class Job:
    """A sequence to be tracked: its name now, its ground truth and frames when their turn comes."""

    name: str
    load: Callable[[], Sequence]


@dataclass(frozen=True, eq=False)
class Unit:
    """One run of a protocol on one sequence, and where its files are.

    Results are in ``<protocol>/``, everything else in a folder named for its kind; below both,
    ``<Sequence>.*``, or ``<Sequence>/<label>.*`` where a protocol has several runs.
    """

    whole: Sequence
    run: Run
    folder: Path  # of the results

    @property
    def sequence(self) -> Sequence:
        """The frames of this run and their ground truth."""
        return self.whole.part(self.run.first, self.run.last)

    @property
    def box(self) -> Boxes:
        """What the tracker starts with: (x, y, w, h), 0-based."""
        return conventions.from_file(self.run.box)

    @property
    def title(self) -> str:
        """What messages call it."""
        run = self.run
        return f"{self.whole.name} {run.protocol}/{run.label}" if run.label else self.whole.name

    @property
    def result(self) -> Path:
        """The boxes; present means done."""
        return self._file(self.run.protocol, ".txt")

    @property
    def speed(self) -> Path:
        """How fast that was."""
        return self._file("speed", ".json")

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

    def extras(self, experiment: Experiment) -> list[Path]:
        """The files beside the boxes that an experiment asks for."""
        overlay = [self.overlay, self.plot] if experiment.overlay else []
        return [*overlay, *([self.responses] if experiment.responses else [])]

    def _file(self, kind: str, suffix: str) -> Path:
        *folders, stem = filter(None, (kind, self.whole.name, self.run.label))
        return self.folder.joinpath(*folders, stem + suffix)

    def finished(self, experiment: Experiment) -> bool:
        """Whether its result is there, with the other files that the experiment asks for.

        Raises:
            InputError: the result cannot be read or is not that of this run.
        """
        path = self.result
        if not all(file.exists() for file in (path, *self.extras(experiment))):
            return False
        boxes = conventions.parse(path)
        # the tracker rounds half of each side down: by less than a pixel
        same_start = np.allclose(boxes[0], self.run.box, rtol=0, atol=1.001)
        if len(boxes) != self.run.frames or not same_start:
            raise InputError(
                f"{path}: holds another sequence of this name ({len(boxes)} boxes for "
                f"{self.run.frames} frames, or another first box); give another --output_dir"
            )
        return True

    def equals(self, other: "Unit") -> bool:
        """Whether both track the same frames from the same box: so will their results be."""
        return (self.run.first, self.run.last, self.run.box) == (
            other.run.first,
            other.run.last,
            other.run.box,
        )

    def take(self, other: "Unit", experiment: Experiment) -> None:
        """Copies the files of a finished equal run, the result last.

        Copies, not links: each result then stands for itself, also on file systems without links
        and when one of the two is deleted to be tracked anew.

        Raises:
            InputError: a file is missing or cannot be written.
        """
        sources = [*other.extras(experiment), other.speed, other.result]
        targets = [*self.extras(experiment), self.speed, self.result]
        for source, target in zip(sources, targets, strict=True):
            with replacing(target) as temporary:
                shutil.copyfile(source, temporary)


@dataclass(frozen=True, eq=False)
class Group:
    """A protocol's runs on one sequence: scored when all of them are there."""

    protocol: str
    sequence: str
    units: list[Unit]


def find(experiment: Experiment) -> list[Job]:
    """The sequences of an experiment, none of them read yet.

    Raises:
        InputError: a video of one's own; no data folder, nothing in it, or an unknown name; or one
            for a drawn sequence; or no folder of annotations where one is named.
    """
    if experiment.own is not None:
        raise InputError("--video: hcft_jax.main tracks in one's own video, one at a time")
    if experiment.annotations is not None:
        otb.omitted_folder(experiment.annotations)
    if experiment.synthetic is not None:
        if experiment.data_dir is not None or experiment.sequences:
            raise InputError(
                f"--config={experiment.name} draws its own sequence: leave out --data_dir and "
                "--sequences, or take --config=otb"
            )
        sequence = synthetic(experiment.synthetic)
        return [Job(sequence.name, lambda: sequence)]
    if experiment.data_dir is None:
        raise InputError("--data_dir: name the folder that holds the sequences")
    targets = datasets.find(experiment.data_dir, experiment.dataset, experiment.sequences or None)
    return [Job(target.name, target.load) for target in targets]


def runs(experiment: Experiment, sequence: Sequence, protocol: str) -> list[Run]:
    """The runs of a protocol on a sequence; SRE decodes the first frame for its size.

    Raises:
        InputError: TRE has no frame to start in, a list of omitted frames or the first frame
            cannot be read.
    """
    omitted: list[tuple[int, int]] = []
    size = None
    if protocol == "tre" and experiment.annotations is not None:
        omitted = otb.omitted(experiment.annotations, sequence)
    if protocol == "sre":
        size = sequence.frames.read(0).shape[:2]
    truth = conventions.to_file(sequence.boxes)
    return protocols.plan(protocol, truth, omitted=omitted, size=size)

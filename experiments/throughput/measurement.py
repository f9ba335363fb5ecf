"""One run of the benchmark, which measures part by part into one result."""

import dataclasses
import functools
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.sampling import geometry
from hcft_jax.core.target import Bucket
from hcft_jax.data.sequence import Sequence
from hcft_jax.data.synthetic import Synthetic
from hcft_jax.util.boxes import Boxes
from hcft_jax.util.errors import InputError
from hcft_jax.weights.native import Weights

from . import (
    ceilings,
    contenders,
    feeding,
    frame_cost,
    networks,
    stages,
    torch_hcft,
    video_cost,
    workload,
)
from .contenders import Contender, ContenderPrograms, TimedContender
from .workload import Workload

STAGED = (480, 640)  # height and width of the images that stages are timed on, pixels
STAGED_TARGET = 123.0  # side of the target on them: its grid is about that of MotorRolling


@dataclass(frozen=True)
class Plan:
    """The amount that is measured."""

    sequences: int  # that are drawn
    frames: int  # of each
    least: int  # frames of each sequence where there are many lanes
    lanes: tuple[int, ...]
    staged: tuple[int, ...]  # lanes of the stages
    batches: tuple[int, ...]  # of the bare network
    repeats: int  # rounds of the contenders
    calls: int  # repeats of short things
    budget: float  # seconds after which no new round begins
    fed: int  # frames of each lane in a run of the feed
    modes_at: int | None = None  # lanes with which each precision is timed; None: with all


QUICK = Plan(2, 9, 5, (1, 4), (4,), (1, 4), 3, 5, 40.0, 100, 4)
FULL = Plan(10, 25, 9, (1, 2, 4, 8, 16, 32, 64, 128), (1, 8), (1, 2, 4, 8), 5, 9, 3600.0, 30, 8)
# where a frame takes a tenth of a millisecond
GPU = dataclasses.replace(FULL, frames=513, least=257, staged=(1, 8, 64, 128), modes_at=None)


class Measurement:
    """One run, which measures part by part into ``result``."""

    def __init__(
        self,
        config: TrackerConfig,
        weights: Weights,
        plan: Plan,
        precisions: Iterable[str],
        result: dict[str, Any],
    ) -> None:
        """Take the settings.

        Args:
            config: the tracker's constants; its precision is replaced.
            weights: the network's, as they were read.
            plan: the amount that is measured.
            precisions: the tracker's modes that are measured.
            result: receives the parts; ``rows`` and ``notes`` are lists.
        """
        self._config, self._weights, self._plan = config, weights, plan
        self._network = weights.params
        self._precisions = list(precisions)
        self.result = result

    @functools.cached_property
    def _competitors(self) -> list[torch_hcft.Plain]:
        """The trackers in PyTorch; none, and a note, where there cannot be any."""
        try:
            return [
                torch_hcft.build(self._network, self._config, tuned=tuned, precision=precision)
                for precision in torch_hcft.precisions()
                for tuned in (False, True)
            ]
        except InputError:
            raise
        except (ImportError, ValueError) as error:
            self.result["notes"].append(f"no PyTorch: {error}")
            return []

    def ceilings(self) -> None:
        """Measure the machine's limits."""
        self.result["ceilings"] = ceilings.measure(self._plan.calls)

    def network(self) -> None:
        """Measure the bare network pass."""
        self.result["network"] = networks.measure(
            self._network,
            self._config,
            self._plan.batches,
            max(7, self._plan.calls),
            self._plan.budget,
            [other for other in self._competitors if other.precision == "float32"],
        )

    def stages(self) -> None:
        """Measure the stages of a frame on a drawn sequence of 640 x 480 px."""
        with tempfile.TemporaryDirectory() as folder:
            drawn = workload.jpeg(Path(folder), STAGED, 8, target=STAGED_TARGET)
            _, _, w, h = drawn.boxes[0]
            own = geometry((h, w), STAGED, self._config.layout)
            bucket = Bucket(own.image, own.grid, own.window)
            batches = [
                {
                    "lanes": lanes,
                    "precision": precision,
                    "stages": stages.measure(
                        self._network,
                        dataclasses.replace(self._config, precision=precision),
                        drawn,
                        bucket,
                        lanes,
                        self._plan.calls,
                    ),
                }
                for precision in self._precisions
                for lanes in self._plan.staged
            ]
            decoded = stages.decode(drawn, self._plan.calls)
            decoded["file_bytes"] = float(np.mean(workload.sizes(drawn)))
        self.result["stages"] = {
            "batches": batches,
            "decode": decoded,
            "target": [h, w],
            "grid": own.grid,
        }

    def frame(self, drawn: Synthetic) -> None:
        """Measure a frame next to its network passes, or note that the tracker does not move."""
        params = self._config.network.placed(self._network, self._config.precision)
        try:
            self.result["frame"] = frame_cost.measure(params, self._config, drawn, self._plan.calls)
        except InputError as error:
            self.result["notes"].append(str(error))

    def video(self, sequence: Sequence, starts: Boxes) -> None:
        """Measure the tracker as an object, and several targets of a video."""
        self.result["video"] = video_cost.measure(self._config, self._weights, sequence, starts)

    def feed(self) -> None:
        """Measure the frames per second that the host delivers to a device that does nothing."""
        lanes = max(self._plan.lanes)
        with tempfile.TemporaryDirectory() as folder:
            self.result["feed"] = feeding.measure(
                Path(folder), lanes, self._plan.fed * lanes, self._plan.calls, feeding.IMAGES
            )

    def rows(self, whole: Workload, devices: list[jax.Device]) -> None:
        """Measure all contenders on a workload."""
        programs = ContenderPrograms(self._network, self._config, devices=devices)
        entries: list[tuple[Contender, Workload]] = [(programs.plain(), whole)]
        if len(devices) == 1:
            entries += [(programs.single(p), whole) for p in self._modes(1)]
        for lanes in self._plan.lanes:
            if lanes % len(devices):
                continue
            many = shaped(whole, lanes, self._plan.least)
            if reason := programs.fits(many, lanes):
                self.result["notes"].append(f"{lanes} lanes: {reason}")
                continue
            entries += [(programs.laned(lanes, p), many) for p in self._modes(lanes)]
            if lanes == self._plan.lanes[-1] and lanes > 1:
                held = many.in_memory()
                entries += [(programs.laned(lanes, self._precisions[0], "in memory"), held)]
        entries += [(programs.outside(other), whole) for other in self._competitors]
        plan, notes = self._plan, self.result["notes"]
        measured = list(contenders.compete(entries, plan.repeats, plan.budget, notes))
        self.result["rows"] = [compared(m, measured[0]) for m in measured]
        self.result["ratios"] = contenders.speed_ratios(measured)

    def _modes(self, lanes: int) -> list[str]:
        """Return the precisions timed with these lanes: not all of them where frames take long."""
        most = self._plan.modes_at
        if most is None:
            return self._precisions
        at = max((n for n in self._plan.lanes if n <= most), default=min(self._plan.lanes))
        return self._precisions if lanes == at else self._precisions[:1]


def shaped(whole: Workload, lanes: int, least: int) -> Workload:
    """Return enough sequences for the lanes in each bucket; they are shorter the more they are."""
    many = whole.repeated(lanes)
    if len(many.sequences) == len(whole.sequences):
        return whole
    return many.shortened(max(least, whole.frames // len(many.sequences)))


def compared(measured: TimedContender, plain: TimedContender) -> dict[str, Any]:
    """Return a contender's row, with the differences of its boxes from the plain tracker's."""
    count = len(plain.boxes)
    theirs = [plain.boxes[i % count][: len(boxes)] for i, boxes in enumerate(measured.boxes)]
    return measured.row() | {"against_plain": contenders.against(measured.boxes, theirs)}

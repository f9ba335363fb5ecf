"""From which peak-to-sidelobe ratio on a target counts as lost: a threshold calibrated on data.

    python -m hcft_jax.experiments.lost --data_dir=OTB100 --output_dir=lost

Every sequence is tracked as it is and with frames left out (``--steps``), which makes the tracker
lose targets that it would keep. A frame is *lost* where the centre of the tracked box is outside
the true box. (An overlap would not do: the tracker keeps its first size, so that the overlap falls
also where it follows a target that grows.) The threshold has the least balanced
error, the mean of the shares of lost frames that are missed and of kept frames that are called
lost; each sequence is also judged by the threshold that all others give. Runs are kept in
OUTPUT_DIR, and the same command goes on with what is missing.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from absl import app, flags
from tqdm import tqdm

from hcft_jax.backbones import registry
from hcft_jax.data import datasets
from hcft_jax.data.sequence import Frame, FrameSource, Sequence
from hcft_jax.evaluation import metrics
from hcft_jax.evaluation.results import write_json
from hcft_jax.experiment import settings
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util import boxes, files
from hcft_jax.util.errors import InputError, command
from hcft_jax.weights import lookup

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

THRESHOLDS = (
    5.0,
    10.0,
    15.0,
    18.0,
    21.2,
    25.0,
)  # for those who weigh the errors otherwise


@dataclasses.dataclass(frozen=True)
class Every:
    """A FrameSource with each ``step``-th frame of another one, at most ``most``."""

    whole: FrameSource
    step: int
    most: int

    def __len__(self) -> int:
        return min(self.most, -(-len(self.whole) // self.step))

    def read(self, index: int) -> Frame:
        """Decodes it."""
        return self.whole.read(self.step * index)

    def label(self, index: int) -> str:
        """As the other one has it."""
        return self.whole.label(self.step * index)


def every(sequence: Sequence, step: int, most: int) -> Sequence:
    """At most ``most`` frames of a sequence, each ``step``-th."""
    frames = Every(sequence.frames, step, most)
    return dataclasses.replace(sequence, frames=frames, boxes=sequence.boxes[::step][: len(frames)])


def lost(tracked: Floats, truth: Floats) -> tuple[Bools, Bools]:
    """Where the tracked box's centre is outside the true box, and where the truth is valid.

    Args:
        tracked: ``[T, 4]``, 1-based.
        truth: likewise.
    """
    known = metrics.valid(truth)
    centre = tracked[:, :2] + tracked[:, 2:] / 2
    inside = (centre >= truth[:, :2]) & (centre <= truth[:, :2] + truth[:, 2:])
    return np.asarray(~inside.all(axis=1)), known


def errors(psr: Floats, is_lost: Bools, threshold: float) -> tuple[float, float]:
    """Shares of the lost frames that are missed, and of the kept ones that are called lost."""
    called = psr < threshold
    return float(np.mean(~called[is_lost])), float(np.mean(called[~is_lost]))


def threshold(psr: Floats, is_lost: Bools) -> float:
    """The one with the least balanced error: the middle of the widest gap that has it.

    Where all values are equal nothing tells frames apart: the value itself, below which is none.
    """
    values = np.unique(psr)
    if len(values) == 1:
        return float(values[0])
    candidates = (values[:-1] + values[1:]) / 2
    balanced = np.array([sum(errors(psr, is_lost, c)) for c in candidates])
    best = balanced <= balanced.min() + 1e-12
    return float(candidates[np.argmax(np.where(best, np.diff(values), -1.0))])


def separation(psr: Floats, is_lost: Bools) -> float:
    """The probability that a kept frame has a larger value than a lost one (area under the ROC)."""
    order = np.sort(psr[is_lost])
    below = np.searchsorted(order, psr[~is_lost], "left")
    upto = np.searchsorted(order, psr[~is_lost], "right")
    return float(np.mean((below + upto) / 2) / len(order))


def analyse(runs: dict[str, tuple[Floats, Bools]]) -> dict[str, Any]:
    """The threshold, its errors, and those of each sequence by the threshold of the others.

    Args:
        runs: by sequence, the ratios of its frames and where it is lost.
    """
    psr = np.concatenate([values for values, _ in runs.values()])
    is_lost = np.concatenate([flags_ for _, flags_ in runs.values()])
    if not is_lost.any() or is_lost.all():
        raise InputError("no target was lost, or all were: take other sequences or --steps")
    for what in (True, False):  # each is judged by the others, which must have both
        if sum(bool((of == what).any()) for _, of in runs.values()) < 2:
            raise InputError(
                "only one sequence has frames that are lost, or that are not: add some"
            )
    chosen = threshold(psr, is_lost)
    missed, false = errors(psr, is_lost, chosen)
    rows, verdicts = {}, np.zeros(0, bool)
    for name, (values, flags_) in runs.items():
        rest = [pair for other, pair in runs.items() if other != name]
        others = threshold(
            np.concatenate([v for v, _ in rest]), np.concatenate([f for _, f in rest])
        )
        verdicts = np.concatenate([verdicts, values < others])
        rows[name] = {
            "frames": len(values),
            "lost": int(flags_.sum()),
            "called lost": int((values < chosen).sum()),
            "called lost, and lost": int(((values < chosen) & flags_).sum()),
            "threshold of the others": others,
            "PSR, quartiles": np.percentile(values, [25, 50, 75]).tolist(),
        }
    return {
        "threshold": chosen,
        "frames": len(psr),
        "lost": int(is_lost.sum()),
        "missed": missed,
        "false alarms": false,
        "balanced error": (missed + false) / 2,
        "area under the ROC": separation(psr, is_lost),
        "missed and false alarms below": {
            f"{value:g}": errors(psr, is_lost, value) for value in THRESHOLDS
        },
        "left out in turn": {
            "missed": float(np.mean(~verdicts[is_lost])),
            "false alarms": float(np.mean(verdicts[~is_lost])),
        },
        "sequences": rows,
    }


@command()
def main(argv: list[str]) -> int:
    """Tracks what is missing, prints and writes the analysis; the exit status."""
    values = flags.FLAGS
    experiment = settings.load(values.config).validate()
    targets = datasets.find(values.data_dir or "", names=values.sequences or None)
    params = None
    runs: dict[str, list[tuple[Floats, Bools]]] = {}
    bar = tqdm([(t, int(step)) for step in values.steps for t in targets], unit="run")
    for target, step in bar:
        path = Path(values.output_dir, experiment.name, f"{target.name}-every{step}.npz")
        if not path.exists():
            if params is None:
                found = lookup.find(values.weights, experiment.tracker.backbone)
                network = registry.get(experiment.tracker.backbone)
                params = network.placed(found.params, experiment.tracker.precision)
            sequence = every(target.load(), step, values.max_frames)
            seen = list(track_sequence(params, experiment.tracker, sequence))
            with files.replacing(path) as temporary:
                np.savez(
                    temporary,
                    boxes=boxes.to_file(np.concatenate([t.boxes for t in seen])),
                    truth=boxes.to_file(sequence.boxes),
                    psr=np.concatenate([t.psr for t in seen]).astype(np.float64),
                )
        with np.load(path) as run:
            outside, known = lost(run["boxes"], run["truth"])
            known[0] = False  # the first box is given
            runs.setdefault(target.name, []).append((run["psr"][known], outside[known]))
    result = analyse(
        {
            name: (np.concatenate([p for p, _ in of]), np.concatenate([f for _, f in of]))
            for name, of in runs.items()
        }
    )
    write_json(Path(values.output_dir, f"{experiment.name}.json"), result)
    for name, value in result.items():
        if name != "sequences":
            print(f"{name}: {value}")
    for name, row in result["sequences"].items():
        print(f"{name}: {row}")
    return 0


if __name__ == "__main__":
    flags.DEFINE_string("config", "hcft", "as for hcft_jax.main")
    flags.DEFINE_string("weights", None, "as for hcft_jax.main")
    flags.DEFINE_string("data_dir", None, "folder of sequences in the OTB layout")
    flags.DEFINE_list("sequences", [], "names to track; none: all that are found")
    flags.DEFINE_list("steps", ["1", "5"], "each of these: every how many-th frame is tracked")
    flags.DEFINE_integer("max_frames", 80, "of a run")
    flags.DEFINE_string("output_dir", "lost", "for the runs and the numbers")
    app.run(main)

"""The threshold of the PSR below which a target counts as lost, from tracks of sequences."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from absl import flags
from tqdm.auto import tqdm

from hcft_jax.data import datasets
from hcft_jax.data.sequence import Frame, FrameSource, Sequence
from hcft_jax.evaluation import metrics
from hcft_jax.evaluation.results import write_json
from hcft_jax.experiment import settings
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util import boxes, files, npz, opening
from hcft_jax.util.errors import InputError, command
from hcft_jax.weights import lookup

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Run = tuple[Floats, Bools]  # the PSR of each frame [T], and whether the target is lost in it [T]

# for users who weigh the two errors differently
THRESHOLDS = (5.0, 10.0, 15.0, 18.0, 21.2, 25.0)


@dataclasses.dataclass(frozen=True)
class Every:
    """A FrameSource with every ``step``-th frame of another one, at most ``most`` frames."""

    whole: FrameSource
    step: int
    most: int

    def __len__(self) -> int:
        return min(self.most, -(-len(self.whole) // self.step))

    def read(self, index: int) -> Frame:
        """Decode the frame."""
        return self.whole.read(self.step * index)

    def label(self, index: int) -> str:
        """Return the label that the other source gives to the frame."""
        return self.whole.label(self.step * index)


def every(sequence: Sequence, step: int, most: int) -> Sequence:
    """Return every ``step``-th frame of a sequence, at most ``most`` frames."""
    frames = Every(sequence.frames, step, most)
    return dataclasses.replace(sequence, frames=frames, boxes=sequence.boxes[::step][: len(frames)])


def lost(tracked: Floats, truth: Floats) -> tuple[Bools, Bools]:
    """Return where the tracked centre is outside the true box, and where the truth is valid.

    Args:
        tracked: ``[T, 4]``, 1-based.
        truth: ``[T, 4]``, 1-based.
    """
    known = metrics.valid(truth)
    centre = tracked[:, :2] + tracked[:, 2:] / 2
    inside = (centre >= truth[:, :2]) & (centre <= truth[:, :2] + truth[:, 2:])
    return np.asarray(~inside.all(axis=1)), known


def kept(path: Path) -> tuple[Floats, Floats, Floats]:
    """Read the tracked and the true boxes ``[T, 4]`` and the PSR ``[T]`` of a run that is there.

    Raises:
        InputError: it is damaged.
    """
    try:
        run = npz.read(path, opening.RESPONSES, names=("boxes", "truth", "psr"))
    except OSError as error:
        raise npz.damaged(path, error) from error
    tracked, truth, psr = run["boxes"], run["truth"], run["psr"]
    rows = (psr.size, 4)
    fits = (tracked.shape, truth.shape, psr.shape) == (rows, rows, rows[:1])
    if not fits or any(array.dtype.kind != "f" for array in run.values()):
        raise InputError(f"{path}: not a run that was written here; remove it")
    return tracked, truth, psr


def errors(psr: Floats, is_lost: Bools, threshold: float) -> tuple[float, float]:
    """Return the shares of lost frames that are missed, and of kept ones that are called lost."""
    called = psr < threshold
    return float(np.mean(~called[is_lost])), float(np.mean(called[~is_lost]))


def threshold(psr: Floats, is_lost: Bools) -> float:
    """Return the threshold of least balanced error, in the middle of the widest gap that has it.

    If all values are equal, nothing distinguishes the frames; the value itself is returned, below
    which there is none.
    """
    values = np.unique(psr)
    if len(values) == 1:
        return float(values[0])
    candidates = (values[:-1] + values[1:]) / 2
    balanced = np.array([sum(errors(psr, is_lost, c)) for c in candidates])
    best = balanced <= balanced.min() + 1e-12
    return float(candidates[np.argmax(np.where(best, np.diff(values), -1.0))])


def separation(psr: Floats, is_lost: Bools) -> float:
    """Return the probability that a kept frame's PSR exceeds a lost one's (area under the ROC)."""
    order = np.sort(psr[is_lost])
    below = np.searchsorted(order, psr[~is_lost], "left")
    upto = np.searchsorted(order, psr[~is_lost], "right")
    return float(np.mean((below + upto) / 2) / len(order))


def joined(runs: Iterable[Run]) -> Run:
    """Return the frames of several runs as one."""
    psr, is_lost = zip(*runs, strict=True)
    return np.concatenate(psr), np.concatenate(is_lost)


def analyse(runs: dict[str, Run]) -> dict[str, Any]:
    """Return the threshold, its errors, and each sequence's errors by the others' threshold.

    Args:
        runs: the frames by sequence.

    Raises:
        InputError: the frames cannot tell a threshold.
    """
    psr, is_lost = joined(runs.values())
    if not is_lost.any() or is_lost.all():
        raise InputError("no target was lost, or all were: use other sequences or --steps")
    for what in (True, False):  # each is judged by the others, which must have both kinds
        if sum(bool((of == what).any()) for _, of in runs.values()) < 2:
            raise InputError("only one sequence has lost frames, or frames that are not: add some")
    chosen = threshold(psr, is_lost)
    missed, false = errors(psr, is_lost, chosen)
    rows, verdicts = {}, np.zeros(0, bool)
    for name, (values, gone) in runs.items():
        rest = [pair for other, pair in runs.items() if other != name]
        others = threshold(*joined(rest))
        verdicts = np.concatenate([verdicts, values < others])
        rows[name] = {
            "frames": len(values),
            "lost": int(gone.sum()),
            "called lost": int((values < chosen).sum()),
            "called lost, and lost": int(((values < chosen) & gone).sum()),
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
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Track the missing runs, print and write the analysis; return the exit status."""
    experiment = settings.load(given.config).validate()
    targets = datasets.find(given.data_dir or "", names=given.sequences or None)
    params = None
    runs: dict[str, list[Run]] = {}
    bar = tqdm([(t, int(step)) for step in given.strides for t in targets], unit="run")
    for target, step in bar:
        path = Path(given.output_dir, experiment.name, f"{target.name}-every{step}.npz")
        if not path.exists():
            if params is None:
                config = experiment.tracker
                found = lookup.find(given.weights, config.backbone)
                params = config.network.placed(found.params, config.precision)
            sequence = every(target.load(), step, given.max_frames)
            seen = list(track_sequence(params, experiment.tracker, sequence))
            with files.replacing(path) as temporary:
                np.savez(
                    temporary,
                    boxes=boxes.to_file(np.concatenate([t.boxes for t in seen])),
                    truth=boxes.to_file(sequence.boxes),
                    psr=np.concatenate([t.psr for t in seen]).astype(np.float64),
                )
        tracked, truth, psr = kept(path)
        outside, known = lost(tracked, truth)
        known[0] = False  # the first box is given
        runs.setdefault(target.name, []).append((psr[known], outside[known]))
    result = analyse({name: joined(of) for name, of in runs.items()})
    write_json(Path(given.output_dir, f"{experiment.name}.json"), result)
    for name, value in result.items():
        if name != "sequences":
            print(f"{name}: {value}")
    for name, row in result["sequences"].items():
        print(f"{name}: {row}")
    return 0

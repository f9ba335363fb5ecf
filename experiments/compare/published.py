"""The comparison of result folders with each other and with published trackers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags

from hcft_jax.data import datasets
from hcft_jax.data.layout import ListedTarget
from hcft_jax.evaluation import metrics, tables, toolkit
from hcft_jax.evaluation.tables import Table
from hcft_jax.util.boxes import Boxes, parse, to_file
from hcft_jax.util.errors import InputError, command

Tracks = dict[str, Boxes]  # by source, 1-based [T, 4], all of the same frames


def targets_of(folders: Sequence[Path]) -> list[str]:
    """Return the names of the sequences that every result folder holds.

    Raises:
        InputError: a folder holds none, or others than the first folder.
    """
    held = [{path.stem for path in folder.glob("ope/[!.]*.txt")} for folder in folders]
    for folder, names in zip(folders, held, strict=True):
        if not names:
            raise InputError(f"{folder}: no results there, expected ope/<Sequence>.txt")
        if different := sorted(names ^ held[0]):
            raise InputError(f"{folder}: other sequences than {folders[0]}: {different[0]}")
    return sorted(held[0])


def label(folder: Path, folders: Sequence[Path]) -> str:
    """Return what tables call a result folder: its name, or its path where names repeat."""
    names = [other.name for other in folders]
    return folder.name if names.count(folder.name) == 1 else str(folder)


def load(
    target: ListedTarget, folders: Sequence[Path], published: Path, trackers: Sequence[str]
) -> tuple[Tracks, Boxes]:
    """Read all tracks of one target by source, and its ground truth, 1-based ``[T, 4]``.

    Raises:
        InputError: a file is missing or bad, or does not fit the ground truth.
    """
    sequence = target.load()
    truth = to_file(sequence.boxes)
    tracks: Tracks = {}
    for folder in folders:
        path = folder / "ope" / f"{target.name}.txt"
        tracks[label(folder, folders)] = boxes = parse(path)
        if len(boxes) != len(truth):
            raise InputError(f"{path}: {len(boxes)} boxes for {len(truth)} annotated frames")
    for tracker in trackers:
        path = toolkit.find(published, target.name, tracker)
        try:
            tracks[f"{tracker} (published)"] = toolkit.align(
                toolkit.read_mat(path), truth, sequence.first_frame
            )
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
    return tracks, truth


def distances(ours: Boxes, theirs: Boxes) -> metrics.Floats:
    """Return the centre distances ``[T]`` in pixels of 1-based boxes ``[T, 4]``, by frame."""
    difference = ours[:, :2] + ours[:, 2:] / 2 - theirs[:, :2] - theirs[:, 2:] / 2
    return np.asarray(np.linalg.norm(difference, axis=1))


def report(tracks: dict[str, tuple[Tracks, Boxes]], trackers: Sequence[str]) -> str:
    """Return two Markdown tables by target: everyone's measures, and distances to published."""
    sources = list(next(iter(tracks.values()))[0])
    scores = {
        name: {s: metrics.score(of[s], truth) for s in sources}
        for name, (of, truth) in tracks.items()
    }
    means = {s: metrics.mean([of[s] for of in scores.values()]) for s in sources}
    measures = [
        [name, str(of[sources[0]].frames), *(cell for s in sources for cell in _cells(of[s]))]
        for name, of in [*scores.items(), ("mean", means)]
    ]
    published = [f"{tracker} (published)" for tracker in trackers]
    pairs = [(s, tracker) for s in sources if s not in published for tracker in published]
    apart = {
        name: np.array(
            [
                _max_and_median(metrics.repair(of[s], truth), metrics.repair(of[t], truth))
                for s, t in pairs
            ]
        )
        for name, (of, truth) in tracks.items()
    }
    apart["mean"] = np.mean(list(apart.values()), axis=0)
    titles = [f"{source} {measure}" for source in sources for measure in ("DP", "OS", "AUC")]
    distance_titles = [f"{s} to {t}, {what}" for s, t in pairs for what in ("max", "median")]
    both = [
        Table("DP@20 px and OS@0.5 in %, AUC of success", ["Target", "frames", *titles], measures),
        Table(
            "Distance of the centres, px",
            ["Target", *distance_titles],
            [[name, *(f"{d:.2f}" for d in of.ravel())] for name, of in apart.items()],
        ),
    ]
    return "\n".join(map(tables.markdown, both))


def _cells(scores: metrics.Scores) -> list[str]:
    return [f"{100 * scores.dp20:.2f}", f"{100 * scores.os50:.2f}", f"{scores.auc:.4f}"]


def _max_and_median(ours: Boxes, theirs: Boxes) -> tuple[float, float]:
    apart = distances(ours, theirs)
    return float(np.max(apart)), float(np.median(apart))


@command()
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Print the comparison that the flags ask for; return the exit status."""
    for name in ("results", "data_dir", "published", "trackers"):
        if not given[name].value:
            raise InputError(f"--{name}: must be given")
    folders = [Path(folder) for folder in given.results]
    tracks = {
        target.name: load(target, folders, Path(given.published), given.trackers)
        for target in datasets.find(given.data_dir, names=targets_of(folders))
    }
    print(report(tracks, given.trackers))
    return 0

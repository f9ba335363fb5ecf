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
from hcft_jax.util.errors import InputError, SettingError, command

_APART = 10  # frames of one target that are shown are at least so far from each other

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
    target: ListedTarget, folders: Sequence[Path], published: Path | None, trackers: Sequence[str]
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
    if published is None:
        return tracks, truth
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


def most_different(
    tracks: dict[str, tuple[Tracks, Boxes]], pair: tuple[str, str], count: int
) -> list[tuple[str, int, float, float]]:
    """Return the frames in which two sources differ most, the most different first.

    As in the report: by the overlap of their boxes, then by the distance of the centres.

    Args:
        tracks: All tracks, and the ground truth, by target.
        pair: The two sources.
        count: How many frames, at most.

    Returns:
        The target's name, the frame's number from 1, the overlap in [0, 1], and the pixels.
    """
    found = []
    for name, (of, truth) in tracks.items():
        one, other = (metrics.repair(of[source], truth) for source in pair)
        overlaps, apart = metrics.overlap(one, other), distances(one, other)
        found += [(name, t + 1, float(overlaps[t]), float(apart[t])) for t in range(len(one))]
    chosen: list[tuple[str, int, float, float]] = []
    for each in sorted(found, key=lambda found: (found[2], -found[3])):
        if len(chosen) == count or each[2] == 1:
            break
        if all(each[0] != name or abs(each[1] - frame) >= _APART for name, frame, *_ in chosen):
            chosen.append(each)
    return chosen


def report(
    tracks: dict[str, tuple[Tracks, Boxes]], trackers: Sequence[str], frames: int = 0
) -> str:
    """Return Markdown tables: everyone's measures, differences, and distances to published.

    Args:
        tracks: All tracks, and the ground truth, by target.
        trackers: The published ones.
        frames: How many frames are listed in which the first two sources differ most.
    """
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
    titles = [f"{source} {measure}" for source in sources for measure in ("DP", "OS", "AUC")]
    shown = [
        Table("DP@20 px and OS@0.5 in %, AUC of success", ["Target", "frames", *titles], measures)
    ]
    if frames and len(sources) > 1:
        one, other = sources[:2]
        rows = [
            [name, str(frame), f"{overlap:.3f}", f"{pixels:.1f}"]
            for name, frame, overlap, pixels in most_different(tracks, (one, other), frames)
        ]
        title = f"Where {one} and {other} differ most"
        shown.append(Table(title, ["Target", "frame", "overlap", "centres apart, px"], rows))
    published = [f"{tracker} (published)" for tracker in trackers]
    pairs = [(s, tracker) for s in sources if s not in published for tracker in published]
    if not pairs:
        return "\n".join(map(tables.markdown, shown))
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
    distance_titles = [f"{s} to {t}, {what}" for s, t in pairs for what in ("max", "median")]
    cells = [[name, *(f"{d:.2f}" for d in of.ravel())] for name, of in apart.items()]
    shown.append(Table("Distance of the centres, px", ["Target", *distance_titles], cells))
    return "\n".join(map(tables.markdown, shown))


def _cells(scores: metrics.Scores) -> list[str]:
    return [f"{100 * scores.dp20:.2f}", f"{100 * scores.os50:.2f}", f"{scores.auc:.4f}"]


def _max_and_median(ours: Boxes, theirs: Boxes) -> tuple[float, float]:
    apart = distances(ours, theirs)
    return float(np.max(apart)), float(np.median(apart))


@command()
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Print the comparison that the flags ask for; return the exit status."""
    for name in ("results", "data_dir"):
        if not given[name].value:
            raise InputError(f"--{name}: must be given")
    if given.differences < 0:
        raise SettingError("differences", f"{given.differences} must be at least 0")
    folders = [Path(folder) for folder in given.results]
    published = Path(given.published) if given.published else None
    trackers = given.trackers if published else []
    if published and not trackers:
        raise SettingError("trackers", "name some of those in --published")
    tracks = {
        target.name: load(target, folders, published, trackers)
        for target in datasets.find(given.data_dir, names=targets_of(folders))
    }
    print(report(tracks, trackers, given.differences))
    return 0

"""The share of pairs of frames in which a filter of the one finds the target in the other."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm.auto import tqdm

from hcft_jax.data import datasets
from hcft_jax.evaluation import bootstrap
from hcft_jax.evaluation.results import write_json
from hcft_jax.experiment import options, settings
from hcft_jax.util.errors import SettingError, command
from hcft_jax.weights import lookup

from . import drawing, one_window

OWN = ("data_dir", "sequences", "output_dir")  # flags that are not about the tracker
LIMITS = (0.1, 0.15, 0.25, 0.5)
"""Distances that count as found in the table, in sizes of the target."""


def measure(given: flags.FlagValues) -> Path:
    """Measure the setting that the flags describe, unless it has been, and return its file.

    Raises:
        InputError: A flag, the data or the weights cannot be used.
    """
    changes = {name: v for name, v in options.changes(given).items() if name not in OWN}
    experiment = settings.override(settings.load(given.config), changes).validate()
    if not given.data_dir:
        raise SettingError("data_dir", "must be given: a folder of sequences with ground truth")
    gaps = _numbers("gaps", given.gaps)
    if given.count < 1:
        raise SettingError("count", f"{given.count} must be at least 1")
    config = experiment.tracker
    found = lookup.find(experiment.weights, config.backbone)
    asked = {"gaps": gaps, "count": given.count, "seed": given.seed, "weights": found.digest}
    path = Path(given.output_dir, f"{experiment.folder(found.digest)}.json")
    videos = [t.load() for t in datasets.find(given.data_dir, names=given.sequences or None)]
    names = [video.name for video in videos]
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["asked"] == asked and list(kept["errors"]) == names:
            return path
    pairs = drawing.draw(videos, config, gaps, given.count, given.seed)
    params = config.network.placed(found.params, config.precision)
    apart = tqdm(one_window.errors(params, config, pairs), path.stem, len(pairs), unit="pair")
    of: dict[str, list[float]] = {name: [] for name in names}
    for pair, value in zip(pairs, apart, strict=True):
        of[pair.video.name].append(round(value, 4))
    about = {"command": options.command(experiment), "setting": path.stem, "asked": asked}
    write_json(path, about | {"errors": of})
    return path


def table(kept: Sequence[dict[str, Any]], within: float) -> list[list[str]]:
    """Return a row for each setting: shares found, by distance and by gap, and a difference.

    Args:
        kept: The contents of the files, of equal sequences and pairs.
        within: The distance by which the gaps and the difference are judged.
    """
    gaps = kept[0]["asked"]["gaps"]
    rows = [
        ["setting", *(f"within {limit:g}" for limit in LIMITS)]
        + [f"{gap} later" for gap in gaps]
        + ["minus the first (95 %)"]
    ]
    errors = np.array([list(of["errors"].values()) for of in kept])  # [settings, sequences, pairs]
    of_sequences = (errors <= within).mean(axis=2)
    weight = bootstrap.weights(bootstrap.draws(errors.shape[1]))
    _, differences = bootstrap.intervals(of_sequences, weight)
    for i, of in enumerate(kept):
        by_gap = (errors[i] <= within).reshape(errors.shape[1], len(gaps), -1).mean(axis=(0, 2))
        low, high = 100 * differences[i, 0]
        apart = 100 * float(of_sequences[i].mean() - of_sequences[0].mean())
        rows.append(
            [of["setting"]]
            + [f"{100 * float((errors[i] <= limit).mean()):.1f}" for limit in LIMITS]
            + [f"{100 * value:.0f}" for value in by_gap]
            + [f"{apart:+.1f} ({low:+.1f} to {high:+.1f})" if i else ""]
        )
    return rows


def comparable(folder: Path, path: Path) -> list[dict[str, Any]]:
    """Return the files in a folder that have the pairs of one of them, oldest first.

    Args:
        folder: Where they lie.
        path: The one, whose network may be another than theirs.
    """
    own = json.loads(path.read_text(encoding="utf-8"))
    found = []
    for other in sorted(folder.glob("*.json"), key=lambda p: (p.stat().st_mtime, p.name)):
        kept = json.loads(other.read_text(encoding="utf-8"))
        drawn = [{**of["asked"], "weights": None} for of in (own, kept)]
        if drawn[0] == drawn[1] and list(own["errors"]) == list(kept["errors"]):
            found.append(kept)
    return found


def _numbers(name: str, texts: Sequence[str]) -> list[int]:
    if not texts or not all(text.isdecimal() and int(text) > 0 for text in texts):
        raise SettingError(name, f"{','.join(texts)!r}: give numbers of frames, at least 1")
    return [int(text) for text in texts]


@command("interrupted; settings that are measured are kept")
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Measure a setting, print all that are comparable; return the exit status."""
    path = measure(given)
    rows = table(comparable(path.parent, path), given.within)
    for i, row in enumerate(rows):
        print("| " + " | ".join(row) + " |")
        if not i:
            print("|---" * len(row) + "|")
    return 0

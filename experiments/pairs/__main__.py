"""Measure how often a filter of one frame finds the target in another one, without tracking.

    python -m hcft_jax.experiments.pairs --config=lite0 --data_dir=OTB100 --output_dir=pairs
    python -m hcft_jax.experiments.pairs --config=lite0 --layers=block8,block2 --gamma=1,0.5 \
        --data_dir=OTB100 --output_dir=pairs

A filter is trained on a target in one frame, and asked for it in a frame ``--gaps`` later, from a
search window whose centre is a random place near the target. *Found* means that the answer is
within a quarter of the target's size (``--within``). Tracks depend on single frames: one that a
tracker loses counts for the whole sequence. Pairs do not, so that a few hundred of them tell
settings apart that are equal by the scores of as many targets, and choosing a network's levels by
them is not choosing by the scores.

Any flag of the tracker works as with ``hcft_jax.main``. OUTPUT_DIR gets a file per setting; the
command prints all of them, and each one's difference to the first that was measured, with 95 %
bootstrap intervals over sequences. The same seed draws the same pairs for every setting.
"""

import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import datasets
from hcft_jax.evaluation import bootstrap
from hcft_jax.evaluation.results import write_json
from hcft_jax.experiment import options, settings
from hcft_jax.util import entry, startup
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
def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Measure a setting, print all that are comparable; return the exit status."""
    startup.quiet()
    path = measure(given)
    rows = table(comparable(path.parent, path), given.within)
    for i, row in enumerate(rows):
        print("| " + " | ".join(row) + " |")
        if not i:
            print("|---" * len(row) + "|")
    return 0


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags; not at import, where their names would clash with other programs'."""
    tracker = {of.metadata.get("flag", of.name) for of in dataclasses.fields(TrackerConfig)}
    options.define(into, {*tracker, "weights"})
    kinds = (flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_list, flags.DEFINE_float)
    text, number, many, real = (functools.partial(kind, flag_values=into) for kind in kinds)
    text("config", "hcft", "as for hcft_jax.main")
    text("data_dir", None, "sequences with ground truth, in any layout that hcft_jax.main reads")
    many("sequences", None, "only these sequences [all]")
    many("gaps", ["2", "8", "25", "60"], "numbers of frames between the two of a pair")
    number("count", 6, "pairs of each sequence and gap")
    number("seed", 0, "of the pairs")
    real("within", 0.25, "distance that counts as found, in sizes of the target")
    text("output_dir", "pairs", "folder for a file per setting")


if __name__ == "__main__":
    define_flags()
    entry.run(main)

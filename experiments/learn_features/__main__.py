"""Learn the projections of a network's levels through the filter.

    python -m hcft_jax.experiments.learn_features --photos=PHOTOS --output_dir=learned
    python -m hcft_jax.experiments.learn_features --data_dir=OTB --output_dir=learned --folds=4
    tensorboard --logdir=learned

The projections of the configuration's layers learn, from those that the weights have; those of
EfficientNet-Lite0 are in this package, ``experiments.project_levels`` makes them for any other
network, which stays as it is. Clips are cropped from photos, from sequences and from drawn ones;
each shows a target, or any other spot, in two or more frames. A filter that is trained on a clip's
first frame should find the target in the next one.

With --folds=N there are N more trainings. Each does without a part of the sequences (those with
the same frames stay together) and then tracks that part: OUTPUT_DIR/folds/ope/ holds the boxes of
a network that has never seen the sequence, for ``experiments.compare``. --only=0,2 runs some of the
trainings, for example on several machines; 0 is the one on all data. After an interruption the same
command continues to the same result.

OUTPUT_DIR holds ``all/BACKBONE.npz``, for ``--weights=``, ``all/BACKBONE.json`` (command, seed,
data, date), ``fold-1/`` ..., ``material/`` (clips, which may be deleted afterwards),
and ``checkpoints/`` and ``logs/`` in the folder of each training.
"""

import dataclasses
import datetime
import functools
import logging
import shlex
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from absl import flags

from hcft_jax.backbones.products import PRECISIONS
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import datasets, pictures
from hcft_jax.data.sequence import Sequence
from hcft_jax.evaluation.results import write_boxes, write_json
from hcft_jax.experiment import settings
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util import entry, startup
from hcft_jax.util.errors import InputError, SettingError, command
from hcft_jax.weights import lookup, native
from hcft_jax.weights.native import Weights

from . import clip_loss, crops, learnable, training
from .clip_loss import LearningTask
from .crops import ClipSettings
from .learnable import Learnable
from .training_set import Preparation


def run(given: flags.FlagValues, words: list[str]) -> None:
    """Run the trainings that the flags ask for and write their results.

    Raises:
        InputError: a flag, the data or the weights cannot be used.
    """
    checked(given)
    folder = Path(given.output_dir)
    real = sequences(given)
    photos = crops.photos(pictures.find(given.photos, given.most)) if given.photos else []
    moving = [*real, *crops.drawn(given.drawn, given.seed)]
    videos = [*moving, *photos]
    if not videos:
        raise InputError("nothing to learn from: give --photos, --data_dir or --drawn=N")
    trainings = [frozenset[str](), *folds(real, given.folds)]
    numbers = {str(number): number for number in range(len(trainings))}
    if unknown := [name for name in given.only or [] if name not in numbers]:
        raise InputError(f"--only: no {unknown[0]!r}; there are 0 to {len(trainings) - 1}")
    chosen = [numbers[name] for name in given.only or numbers]
    exact = tracker_of(given)
    network = exact.network
    config = dataclasses.replace(exact, precision=given.precision)
    learns = learnable.projections(network, config.layers, given.weights)
    patch = config.input_side(learns.rest | learns.first)

    how = ClipSettings(seed=given.seed, frames=given.frames, covered=given.covered)
    prepared = Preparation(folder / "material", videos, how, given.clips, patch, trainings)
    prepared.make()

    for number in chosen:
        own = folder / (f"fold-{number}" if number else "all")
        origin = {
            "command": f"python -m hcft_jax.experiments.learn_features {shlex.join(words)}",
            "seed": given.seed,
            "data": [video.name for video in moving if video.name not in trainings[number]],
            "photos": len(photos),
            "held_out": sorted(trainings[number]),
            "begun_with": learns.digest,
            "date": datetime.date.today().isoformat(),
        }
        made = learned(given, learns, own, prepared.of(number), config, origin)
        params = network.placed(made.params, exact.precision)
        for sequence in real:
            if sequence.name in trainings[number]:
                path = folder / "folds" / "ope" / f"{sequence.name}.txt"
                tracked = track_sequence(params, exact, sequence)
                write_boxes(path, np.concatenate([part.boxes for part in tracked]))


def learned(
    given: flags.FlagValues,
    learns: Learnable,
    folder: Path,
    regions: npt.NDArray[np.uint8],
    config: TrackerConfig,
    origin: dict[str, Any],
) -> Weights:
    """Run one training, from its newest checkpoint on, and write its network into its folder."""
    judged = dataclasses.replace(config, temperature=given.temperature)
    task = LearningTask(judged)
    fixed = clip_loss.geometry(config, learns.rest | learns.first)
    gradient = clip_loss.gradient(task, fixed)

    def step(params: Any, index: int) -> Any:
        rng = np.random.Generator(np.random.Philox(key=[given.seed, index]))
        clips = jnp.asarray(regions[rng.choice(len(regions), given.batch, replace=False)])
        key = jax.random.fold_in(jax.random.key(given.seed), index)
        return gradient(params, learns.rest, clips, key)

    optimiser = training.adam(given.learning_rate, given.steps)
    params = training.run(
        folder, learns.first, optimiser, step, given.steps, every=given.every, title=folder.name
    )
    arrays = learns.saved | native.halved(jax.device_get(params))
    made = lookup.made(arrays, config.backbone, origin)
    path = folder / f"{config.backbone}.npz"
    native.save(path, made)
    about = {
        **origin,
        "digest": made.digest,
        "parameters": sum(a.size for a in jax.tree.leaves(params)),
        "bytes": path.stat().st_size,
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }
    write_json(path.with_suffix(".json"), about)
    print(f"{path}: {about['parameters']} parameters, {about['bytes'] / 2**20:.2f} MiB")
    return made


def checked(given: flags.FlagValues) -> None:
    """Raise InputError where a flag has an impossible value."""
    if not given.output_dir:
        raise InputError("--output_dir: must be given: a folder")
    least = {"steps": 1, "batch": 1, "frames": 2, "every": 1, "folds": 0, "drawn": 0}
    for name, low in least.items():
        value = getattr(given, name)
        if value < low:
            raise InputError(f"--{name}: {value} must be at least {low}")
    if given.clips < 2 * given.batch:
        raise InputError(f"--clips: {given.clips} must be at least two batches of {given.batch}")
    if given.folds == 1:
        raise InputError("--folds: 1 leaves everything out; give 0, or at least 2")


def tracker_of(given: flags.FlagValues) -> TrackerConfig:
    """Return the tracker that the features are learned for.

    Raises:
        InputError: There is no such configuration or backbone, or it has no network.
    """
    changes = {"backbone": given.backbone} if given.backbone else {}
    config = settings.override(settings.load(given.config), changes).validate().tracker
    if config.network.cells:
        raise SettingError("backbone", f"{config.network.title} has nothing to learn")
    return config


def sequences(given: flags.FlagValues) -> list[Sequence]:
    """Return the sequences of --data_dir, which may be learned from."""
    if not given.data_dir:
        if given.sequences or given.folds:
            raise InputError("--data_dir: must be given together with --sequences or --folds")
        return []
    found = datasets.find(given.data_dir, datasets.AUTO, given.sequences or None)
    return [target.load() for target in found]


def folds(videos: list[Sequence], count: int) -> list[frozenset[str]]:
    """Return the names that each fold's training does without; targets of a video stay together.

    Raises:
        InputError: there are fewer videos than folds.
    """
    groups: dict[str, list[str]] = {}
    for video in videos:
        groups.setdefault(video.frames.label(0), []).append(video.name)
    if count > len(groups):
        raise InputError(f"--folds: {count}, but there are only {len(groups)} videos")
    dealt = list(groups.values())
    return [frozenset(n for names in dealt[i::count] for n in names) for i in range(count)]


@command("interrupted; the same command continues from the last checkpoint")
def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command and return its exit status."""
    startup.quiet()
    logging.getLogger("absl").setLevel(logging.WARNING)  # orbax reports every file
    run(given, sys.argv[1:])
    return 0


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the flags; not at import, where their names would clash with other programs'."""
    kinds = (flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_list, flags.DEFINE_float)
    text, number, many, real = (functools.partial(kind, flag_values=into) for kind in kinds)
    text("output_dir", None, "folder for everything that is written")
    text("data_dir", None, "sequences with ground truth, in any layout that hcft_jax.main reads")
    many("sequences", None, "only sequences of these names [all]")
    number("drawn", 6, "number of drawn sequences")
    number("folds", 0, "number of further trainings, each without a part of the sequences")
    many("only", None, "only these trainings; 0 is the one on all data")
    text("photos", None, "folder of photos, with its subfolders, to cut clips from as well")
    number("most", 1500, "photos that are used at most")
    text("config", "lite0", "the tracker, as for hcft_jax.main")
    text("backbone", None, "its network, which learns [the configuration's]")
    text("weights", None, "of a trained network, with projections, as for hcft_jax.main")
    number("clips", 3000, "number of clips")
    number("frames", 2, "frames per clip: a pair, or a short unroll")
    number("steps", 100, "steps of the optimiser")
    number("batch", 16, "clips per step")
    number("every", 25, "steps between checkpoints")
    real("learning_rate", 1e-4, "the highest rate of the schedule")
    real("covered", 0.3, "share of the later regions whose target is partly covered")
    real("temperature", 0.1, "temperature of the softmax of responses, whose peak is scaled to 1")
    modes = list(PRECISIONS)
    flags.DEFINE_enum("precision", modes[0], modes, "of the network's products", flag_values=into)
    number("seed", 0, "seed of everything random")


if __name__ == "__main__":
    define_flags()
    entry.run(main)

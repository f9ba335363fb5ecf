"""The trainings of a network's projections: on all data, and without a part of it."""

import dataclasses
import datetime
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

from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import datasets, pictures
from hcft_jax.data.sequence import Sequence
from hcft_jax.evaluation.results import write_boxes, write_json
from hcft_jax.experiment import settings
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util.errors import InputError, SettingError, command
from hcft_jax.weights import lookup, native
from hcft_jax.weights.native import Weights

from . import clip_loss, crops, learnable, training
from .clip_loss import LearningTask
from .crops import ClipSettings
from .learnable import Learnable
from .training_set import Preparation

PRECISION = "float32"  # of learning, without --precision; tracking is as the configuration says


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
    if unknown := [name for name in given.trainings or [] if name not in numbers]:
        raise InputError(f"--trainings: no {unknown[0]!r}; there are 0 to {len(trainings) - 1}")
    chosen = [numbers[name] for name in given.trainings or numbers]
    exact = tracker_of(given)
    network = exact.network
    config = dataclasses.replace(exact, precision=given.precision or PRECISION).validate()
    learns = learnable.projections(network, config.layers, given.weights)
    patch = config.input_side(learns.rest | learns.first)

    how = ClipSettings(seed=given.seed, frames=given.clip_frames, covered=given.covered)
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
    judged = dataclasses.replace(config, temperature=given.loss_temperature)
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
        folder,
        learns.first,
        optimiser,
        step,
        given.steps,
        every=given.checkpoint_every,
        title=folder.name,
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
    least = {
        "steps": 1,
        "batch": 1,
        "clip_frames": 2,
        "checkpoint_every": 1,
        "folds": 0,
        "drawn": 0,
    }
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
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Run the command and return its exit status."""
    logging.getLogger("absl").setLevel(logging.WARNING)  # orbax reports every file
    run(given, sys.argv[1:])
    return 0

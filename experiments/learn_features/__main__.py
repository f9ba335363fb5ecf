"""A small backbone learned through the filter, from a large one and from what is to be tracked.

    python -m hcft_jax.experiments.learn_features --data_dir=OTB --output_dir=learned
    python -m hcft_jax.experiments.learn_features --data_dir=OTB --output_dir=learned --folds=4
    tensorboard --logdir=learned

Clips are cut from the sequences and from drawn ones: targets, and any other spot, in two or more
frames. On them --backbone learns end to end: its levels are to be the principal components of
VGG-19's maps of the same names (--taught, the weight of that; 0 needs no VGG-19), and a filter
trained on a clip's first frame is to find the target in the next (--tracked).

With --folds=N there are N more trainings, each without a part of the sequences (those that show the
same frames stay together), which it then tracks: OUTPUT_DIR/folds/ope/ has boxes of a network that
has never seen the sequence, for ``experiments.compare``. --only=0,2 does some of the trainings, as
on several machines; 0 is the one on everything. The same command goes on with what was interrupted,
to the same end.

OUTPUT_DIR has ``all/compact.npz``, for ``--backbone=compact --weights=``, ``all/compact.json``
(command, seed, data, date, losses), ``fold-1/`` ..., ``material/`` (clips and lessons, which can be
deleted afterwards), and in each training's folder ``checkpoints/`` and ``logs/``.
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
from absl import app, flags

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import PRECISIONS, Backbone
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import datasets
from hcft_jax.data.sequence import Sequence
from hcft_jax.evaluation.results import write_boxes, write_json
from hcft_jax.run.streaming import track_sequence
from hcft_jax.util import startup
from hcft_jax.util.errors import InputError, command
from hcft_jax.weights import lookup, native
from hcft_jax.weights.native import Weights

from . import crops, features, training
from .crops import Setting
from .features import Batch, Task
from .material import Material, Preparation
from .teacher import Teacher

TEACHER = "vgg19"


def run(given: flags.FlagValues, words: list[str]) -> None:
    """Learns what the flags say, and writes it.

    Raises:
        InputError: a flag, the data or the weights cannot be used.
    """
    network = checked(given)
    folder = Path(given.output_dir)
    real = sequences(given)
    videos = [*real, *crops.drawn(given.drawn, given.seed)]
    if not videos:
        raise InputError("nothing to learn from: give --data_dir, or --drawn=N")
    trainings = [frozenset[str](), *folds(real, given.folds)]
    numbers = {str(number): number for number in range(len(trainings))}
    if unknown := [name for name in given.only or [] if name not in numbers]:
        raise InputError(f"--only: no {unknown[0]!r}; there are 0 to {len(trainings) - 1}")
    chosen = [numbers[name] for name in given.only or numbers]
    config = TrackerConfig(backbone=network.name, precision=given.precision).validate()
    first = network.initial(given.seed)
    patch = config.input_side(features.complete(first))

    setting = Setting(seed=given.seed, frames=given.frames)
    prepared = Preparation(folder / "material", videos, setting, given.clips, patch, trainings)
    found = lookup.find(given.weights, TEACHER) if given.taught > 0 else None
    digest = found.digest if found else None
    channels = {name: network.shapes(None)[name][3] for name in network.layers}
    tutor = Teacher(found.params, TEACHER, network.layers) if found else None
    prepared.make(tutor, channels, digest)
    del tutor, found

    for number in chosen:
        own = folder / (f"fold-{number}" if number else "all")
        origin = {
            "command": f"python -m hcft_jax.experiments.learn_features {shlex.join(words)}",
            "seed": given.seed,
            "data": [v.name for v in videos if v.name not in trainings[number]],
            "held_out": sorted(trainings[number]),
            "teacher": digest,
            "date": datetime.date.today().isoformat(),
        }
        made = learned(given, network, own, prepared.of(number), config, origin)
        params, exact = network.placed(made.params), TrackerConfig(backbone=network.name)
        for sequence in real:
            if sequence.name in trainings[number]:
                path = folder / "folds" / "ope" / f"{sequence.name}.txt"
                tracked = track_sequence(params, exact, sequence)
                write_boxes(path, np.concatenate([part.boxes for part in tracked]))


def learned(
    given: flags.FlagValues,
    network: Backbone,
    folder: Path,
    known: Material,
    config: TrackerConfig,
    origin: dict[str, Any],
) -> Weights:
    """One training, from its newest checkpoint on; what it learned is written into its folder."""
    task = Task(
        dataclasses.replace(config, temperature=given.temperature),
        given.taught,
        given.tracked,
    )
    first = jax.device_put(network.initial(given.seed))
    fixed = features.geometry(config, features.complete(first))
    gradient = features.gradient(task, fixed)

    def step(params: Any, index: int) -> Any:
        rng = np.random.Generator(np.random.Philox(key=[given.seed, index]))
        chosen = rng.choice(len(known.regions), given.batch, replace=False)
        lessons = {name: jnp.asarray(of[chosen]) for name, of in known.lessons.items()}
        batch = Batch(jnp.asarray(known.regions[chosen]), lessons)
        key = jax.random.fold_in(jax.random.key(given.seed), index)
        return gradient(params, batch, key)

    optimiser = training.adam(given.learning_rate, given.steps)
    params = training.run(
        folder, first, optimiser, step, given.steps, every=given.every, title=folder.name
    )
    arrays = features.complete(params)
    made = lookup.made(native.halved(jax.device_get(arrays)), network.name, origin)
    path = folder / f"{network.name}.npz"
    native.save(path, made)
    about = {
        **origin,
        "digest": made.digest,
        "parameters": sum(a.size for of in made.params.values() for a in of.values()),
        "bytes": path.stat().st_size,
        "kept_energy": {name: c.kept for name, c in known.components.items()},
        "jax": jax.__version__,
        "device": jax.devices()[0].device_kind,
    }
    write_json(path.with_suffix(".json"), about)
    print(f"{path}: {about['parameters']} parameters, {about['bytes'] / 2**20:.2f} MiB")
    return made


def checked(given: flags.FlagValues) -> Backbone:
    """The network that is to learn.

    Raises:
        InputError: a flag has an impossible value.
    """
    if not given.output_dir:
        raise InputError("--output_dir: must be given, a folder")
    network = registry.get(given.backbone)
    if network.shipped is None:
        small = ", ".join(b.name for b in registry.BACKBONES.values() if b.shipped)
        raise InputError(f"--backbone: {network.title} is a teacher; those that learn are {small}")
    least = {"steps": 1, "batch": 1, "frames": 2, "every": 1, "folds": 0, "drawn": 0}
    for name, low in least.items():
        value = getattr(given, name)
        if value < low:
            raise InputError(f"--{name}: {value} must be at least {low}")
    if given.clips < 2 * given.batch:
        raise InputError(f"--clips: {given.clips} must be at least two batches ({given.batch})")
    if given.folds == 1:
        raise InputError("--folds: 1 leaves everything out; give at least 2, or none")
    return network


def sequences(given: flags.FlagValues) -> list[Sequence]:
    """The real sequences that may be learned from."""
    if not given.data_dir:
        if given.sequences or given.folds:
            raise InputError("--data_dir: must be given where sequences are named or left out")
        return []
    found = datasets.find(given.data_dir, datasets.AUTO, given.sequences or None)
    return [target.load() for target in found]


def folds(videos: list[Sequence], count: int) -> list[frozenset[str]]:
    """The names that each of some trainings does without; targets of one video stay together.

    Raises:
        InputError: there are fewer videos than folds.
    """
    groups: dict[str, list[str]] = {}
    for video in videos:
        groups.setdefault(video.frames.label(0), []).append(video.name)
    if count > len(groups):
        raise InputError(f"--folds: {count} of {len(groups)} videos")
    dealt = list(groups.values())
    return [frozenset(n for names in dealt[i::count] for n in names) for i in range(count)]


@command("interrupted; the same command goes on from the last checkpoint")
def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """The command; the exit status."""
    startup.quiet()
    logging.getLogger("absl").setLevel(logging.WARNING)  # orbax tells of every file
    run(given, sys.argv[1:])
    return 0


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """The flags of the command line; not at import, where names would clash with other programs."""
    kinds = (flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_list, flags.DEFINE_float)
    text, number, many, real = (functools.partial(kind, flag_values=into) for kind in kinds)
    text("output_dir", None, "what is learned goes there")
    text("data_dir", None, "sequences with truth, in any layout that hcft_jax.main reads")
    many("sequences", None, "of these names only")
    number("drawn", 6, "drawn sequences")
    number("folds", 0, "further trainings, each without a part of the sequences")
    many("only", None, "only these trainings; 0 is the one on everything")
    text("backbone", "compact", "the network that learns")
    text("weights", None, "VGG-19's, as for hcft_jax.main")
    number("clips", 3000, "that are cut out")
    number("frames", 2, "of a clip: a pair, or a short unroll")
    number("steps", 100, "of the optimiser")
    number("batch", 16, "clips a step")
    number("every", 25, "steps between checkpoints")
    real("learning_rate", 1e-4, "at most")
    real("taught", 0.0, "weight of the teacher's part of the loss; above 0 VGG-19 is needed")
    real("tracked", 1.0, "weight of the filter's part")
    real("temperature", 0.1, "of the softmax of responses in it, whose peak is made 1")
    modes = list(PRECISIONS)
    flags.DEFINE_enum("precision", modes[0], modes, "of the network's products", flag_values=into)
    number("seed", 0, "of all that is random")


if __name__ == "__main__":
    define_flags()
    app.run(main)

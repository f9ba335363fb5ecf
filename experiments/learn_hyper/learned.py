"""The learning of the constants, and the comparison of those learned with those given."""

import dataclasses
import datetime
import functools
import math
import shlex
import shutil
import sys
from collections.abc import Sequence as Many
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax
from absl import flags
from matplotlib.figure import Figure
from tqdm.auto import tqdm

from hcft_jax.backbones import registry
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import datasets, otb
from hcft_jax.data.layout import ListedTarget
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation import bootstrap, comparison, plots, results, tables
from hcft_jax.evaluation.results import write_json
from hcft_jax.evaluation.tables import Table
from hcft_jax.experiment import options, settings
from hcft_jax.experiment.settings import Experiment
from hcft_jax.run.environment import versions
from hcft_jax.util import startup
from hcft_jax.util.errors import InputError, command
from hcft_jax.util.files import locked, replacing
from hcft_jax.weights import lookup, native

from . import constants, held_out
from .constants import Learner, LearnerState
from .snippets import Snippets

SETTABLE = ("backbone", "layers", "gamma", "eta", "lambda", "sigma", "input_size", "weights")
OWN = (
    "data_dir",
    "sequences",
    "output_dir",
)  # fields that this command uses differently
LAYERED = ("gamma", "eta")  # constants of one value per layer
TEMPERATURE = 0.1  # of the loss at the start: the best response is about the sum of gamma
EVERY = 3  # without --held_out, every third video is held out
DRAWN = Synthetic(frames=60, scale=0.2, rotation=15.0, illumination=0.3, noise=4.0, occlusion=0.2)
DRAWN_COUNT = 9
SMOOTH = 10  # steps of the running mean in the plot


def run(given: flags.FlagValues, words: list[str]) -> int:
    """Learn, then compare; return the exit status.

    Raises:
        InputError: a flag, the data, the weights or the output folder cannot be used.
    """
    _in_range(given)
    folder = Path(given.output_dir)
    set_ = {name: v for name, v in options.changes(given).items() if name not in OWN}
    base = settings.override(settings.load(given.config), set_).validate()
    root = Path(given.data_dir) if given.data_dir else drawn(folder / "drawn")
    training, held = divided(root, given.sequences or None, given.held_out or None)
    print(f"learned from {', '.join(t.name for t in training)}; held out: {', '.join(held)}")
    found = lookup.find(base.weights, base.tracker.backbone)

    start = dataclasses.replace(base.tracker, temperature=TEMPERATURE)
    params = registry.get(start.backbone).placed(found.params, start.precision)
    sequences = [target.load() for target in training]
    depends = {
        "constants": dataclasses.asdict(start),
        "weights": found.digest,
        "training sequences": {sequence.name: len(sequence) for sequence in sequences},
        "frames": given.snippet_frames,
        **{name: given[name].value for name in ("batch", "learning_rate", "seed")},
    }
    learner = Learner(params, start, given.learning_rate)
    snippets = Snippets(sequences, params, start, given.snippet_frames)
    waiting = f"note: {folder}: another process is learning there; this one waits for it"
    with locked(folder / "learning.lock", waiting):
        state = learned(learner, snippets, depends, folder / "state.npz", given)

    steps = [constants.values(state.config(start, step)) for step in range(state.step + 1)]
    final = {n: v if n in LAYERED else v[0] for n, v in steps[-1].items() if n != "temperature"}
    better = settings.override(base, final)
    content = depends | {
        "command": shlex.join(["python", "-m", "hcft_jax.experiments.learn_hyper", *words]),
        "use": options.command(better, given.config),
        "start": steps[0],
        "learned": steps[-1],
        "values": {name: [step[name] for step in steps] for name in constants.LEARNED},
        "loss": state.losses.tolist(),
        "held out": held,
        "date": datetime.date.today().isoformat(),
        "device": jax.devices()[0].device_kind,
        "versions": versions() | {"optax": optax.__version__},
    }
    write_json(folder / "learned.json", content)
    plot_loss(state, folder / "loss.png")
    plot_values(start, steps, folder / "values.png")

    names = ("layers", "gamma", "eta", "lambda_", "sigma")
    paper = all(getattr(base.tracker, name) == getattr(TrackerConfig(), name) for name in names)
    own = {"data_dir": str(root), "output_dir": str(folder / "held_out")}
    on_held = functools.partial(dataclasses.replace, sequences=tuple(held), **own)
    experiments = {"paper" if paper else "given": on_held(base), "learned": on_held(better)}
    return compared(experiments, found, content, folder)


def drawn(folder: Path) -> Path:
    """Write the drawn sequences that a folder lacks, in the OTB layout; return the folder."""
    with locked(folder / "drawing.lock"):
        for seed in range(DRAWN_COUNT):
            sequence = synthetic(dataclasses.replace(DRAWN, seed=seed))
            own = folder / sequence.name
            if not (own / "groundtruth_rect.txt").is_file():  # it is written last
                shutil.rmtree(own, ignore_errors=True)
                otb.write(sequence, folder, image_format="jpg")
    return folder


def divided(
    root: Path, names: Many[str] | None, held: Many[str] | None
) -> tuple[list[ListedTarget], list[str]]:
    """Return the targets to learn from, and the names of those held out; no video is in both.

    Raises:
        InputError: a name is unknown, nothing is left to learn from, or too few are held out.
    """
    targets = datasets.find(root, datasets.AUTO, names)
    if held is None:
        videos = list(dict.fromkeys(target.group for target in targets))[EVERY - 1 :: EVERY]
        kept = [target for target in targets if target.group in videos]
    else:
        kept = datasets.find(root, datasets.AUTO, held)
        videos = [target.group for target in kept]
    training = [target for target in targets if target.group not in videos]
    if len(kept) < 2:
        raise InputError(
            f"--held_out: an interval needs two targets or more, not {len(kept)}: name them, or "
            f"give more sequences (by default every {EVERY}rd video is held out)"
        )
    if not training:
        raise InputError("--held_out: it names every sequence and leaves nothing to learn from")
    return training, [target.name for target in kept]


def learned(
    learner: Learner,
    snippets: Snippets,
    depends: dict[str, Any],
    path: Path,
    given: flags.FlagValues,
) -> LearnerState:
    """Return the state after --steps steps, from the saved state if there is one.

    Raises:
        InputError: the saved state is of other settings or more steps, or a step fails.
    """
    state = learner.load(path, depends) if path.exists() else learner.begin()
    if state.step > given.steps:
        raise InputError(
            f"--steps: {given.steps}, but {path} has {state.step}; give another --output_dir"
        )
    with tqdm(total=given.steps, initial=state.step, desc="learning", unit="step") as bar:
        while state.step < given.steps:
            state = learner.step(state, snippets.draw(given.seed, state.step, given.batch))
            learner.save(path, state, depends)
            bar.set_postfix_str(f"loss {state.losses[-1]:.4f}", refresh=False)
            bar.update()
    return state


def compared(
    experiments: dict[str, Experiment],
    found: native.Weights,
    content: dict[str, Any],
    folder: Path,
) -> int:
    """Track the held-out sequences, write ``held_out.md`` and ``.json``; return the exit status."""
    scored, failed = held_out.track(experiments, found)
    first, last = scored
    layers = experiments[last].tracker.layers
    result = comparison.compare(scored)
    if not result.sequences:
        raise InputError("no held-out target was tracked to its end: see the lines above")
    said = held_out.verdict(result)
    table = comparison.table(result, "Held-out targets", len(content["held out"]))
    each = held_out.rows(scored, result.sequences)
    values = [
        [name.rstrip("_"), *(", ".join(map(str, content[at][name])) for at in ("start", "learned"))]
        for name in constants.LEARNED
        if name != "temperature"
    ]
    both = Table(f"Constants, in the order {', '.join(layers)}", ["", first, last], values)
    parts = [tables.markdown(table), "\n".join(f"* {line}" for line in said) + "\n"]
    parts += [tables.markdown(each), tables.markdown(both), f"`{content['use']}`\n"]
    with replacing(folder / "held_out.md") as temporary:
        temporary.write_text("\n".join(parts), encoding="utf-8")
    targets = {
        target: {name: dataclasses.asdict(of[target]) for name, of in scored.items()}
        for target in result.sequences
    }
    write_json(
        folder / "held_out.json",
        {
            "settings": {name: options.command(e) for name, e in experiments.items()},
            "comparison": result.content(),
            "targets": targets,
            "verdict": said,
            "failed": failed,
            "intervals": {"level": bootstrap.LEVEL, "resamples": bootstrap.RESAMPLES, "seed": 0},
            "command": content["command"],
        },
    )
    print(f"{table.title}\n\n{results.aligned([table.header, *table.rows])}\n")
    print("\n".join(said))
    print(f"learned.json, loss.png, values.png, held_out.md and held_out.json: {folder}")
    print(f"to use it: {content['use']}")
    return 1 if failed else 0


def plot_loss(state: LearnerState, path: Path) -> None:
    """Plot the loss of each step's snippets, and its running mean."""
    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    axes = figure.subplots()
    steps = np.arange(1, state.step + 1)
    axes.plot(steps, state.losses, ".", color="#9ecae1", label="snippets of a step")
    if state.step >= SMOOTH:
        mean = np.convolve(state.losses, np.full(SMOOTH, 1 / SMOOTH), "valid")
        axes.plot(steps[SMOOTH - 1 :], mean, color="#1f77b4", label=f"mean of the last {SMOOTH}")
    axes.set(xlabel="step", ylabel="divergence from the label, nats per frame")
    axes.set_ylim(bottom=0)
    axes.legend()
    axes.grid(alpha=0.3)
    plots.save(figure, path)


def plot_values(start: TrackerConfig, steps: list[dict[str, list[float]]], path: Path) -> None:
    """Plot each constant over the steps, one line per layer; dashed lines are the start."""
    figure = Figure(figsize=(11.0, 5.6), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    for axes, name in zip(panels, constants.LEARNED, strict=False):
        lines = np.array([step[name] for step in steps])
        for i, line in enumerate(lines.T):
            color = f"C{i}"
            axes.plot(line, color=color, label=start.layers[i] if name in LAYERED else None)
            axes.axhline(line[0], color=color, linestyle="--", linewidth=0.8)
        if (lines > 0).all():
            axes.set_yscale("log")
        axes.set(title=name.rstrip("_"), xlabel="step")
        axes.grid(alpha=0.3, which="both")
    panels[0].legend()
    for axes in panels[len(constants.LEARNED) :]:
        axes.axis("off")
    plots.save(figure, path)


def _in_range(given: flags.FlagValues) -> None:
    for name, least in (("snippet_frames", 1), ("steps", 1), ("batch", 1), ("seed", 0)):
        if getattr(given, name) < least:
            raise InputError(f"--{name}: {getattr(given, name)} must be at least {least}")
    if not 0 < given.learning_rate < math.inf:
        raise InputError(f"--learning_rate: {given.learning_rate} must be above 0 and finite")
    if given.data_dir is None and given.sequences:
        raise InputError("--sequences: it names sequences of --data_dir, which is not given")


@command("interrupted; finished steps are kept, and the same command continues")
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Run the command and return its exit status."""
    startup.keep_programs(given.compilation_cache)
    return run(given, sys.argv[1:])

"""Learns gamma, eta, lambda and sigma from tracks with truth, and says whether that helps.

    python -m hcft_jax.experiments.learn_hyper --data_dir=OTB100 --output_dir=learned
    python -m hcft_jax.experiments.learn_hyper --data_dir=OTB100 --held_out=Deer,Girl --steps=300
    python -m hcft_jax.experiments.learn_hyper --output_dir=drawn        # on drawn sequences

The tracker is unrolled over snippets of --frames frames, --batch of them a step, from random frames
of the training sequences. The gradient of the responses' loss with respect to the constants, one
eta a layer, goes through all of them, to Adam. Then the given constants (the paper's, unless flags
say otherwise) and the learned ones track the held-out sequences.

OUTPUT_DIR has ``learned.json`` (values and loss by step, and the command that uses the values),
``loss.png``, ``values.png``, ``held_out.md`` and ``.json`` (means, differences with paired 95 %
bootstrap intervals over targets, a row a target), and the boxes in ``held_out/``. The state is kept
after each step: the same command goes on after any interruption, to the same values, and more
--steps go on from fewer.
"""

import dataclasses
import datetime
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
from absl import app, flags
from matplotlib.figure import Figure
from tqdm import tqdm

from hcft_jax.backbones import registry
from hcft_jax.benchmark.outcome import versions
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data import datasets, otb
from hcft_jax.data.layout import ListedTarget
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation import bootstrap, comparison, plots, results, tables
from hcft_jax.evaluation.results import write_json
from hcft_jax.evaluation.tables import Table
from hcft_jax.experiment import options
from hcft_jax.experiment import settings as config
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util import startup
from hcft_jax.util.errors import InputError, command
from hcft_jax.util.files import replacing
from hcft_jax.weights import lookup, native

from . import held_out, hyper
from .hyper import Learner, State
from .snippets import Snippets

SETTABLE = ("backbone", "layers", "gamma", "eta", "lambda", "sigma", "input_size", "weights")
OWN = ("data_dir", "sequences", "output_dir")  # which mean something else in an experiment
TEMPERATURE = 0.1  # of the loss, to begin with: a response at its best is about gamma's sum
EVERY = 3  # without --held_out each such video is
DRAWN = Synthetic(frames=60, scale=0.2, rotation=15.0, illumination=0.3, noise=4.0, occlusion=0.2)
DRAWN_COUNT = 9
SMOOTH = 10  # steps of the running mean in the plot


def run(given: flags.FlagValues, words: list[str]) -> int:
    """Learns, then compares; the exit status.

    Raises:
        InputError: a flag, the data, the weights or the output folder is at fault.
    """
    _in_range(given)
    folder = Path(given.output_dir)
    set_ = {name: v for name, v in options.changes(given).items() if name not in OWN}
    base = config.override(config.load("hcft"), set_).validate()
    root = Path(given.data_dir) if given.data_dir else drawn(folder / "drawn")
    training, held = divided(root, given.sequences or None, given.held_out or None)
    print(f"learned on {', '.join(t.name for t in training)}; held out: {', '.join(held)}")
    found = lookup.find(base.weights, base.tracker.backbone)

    start = dataclasses.replace(base.tracker, temperature=TEMPERATURE)
    params = registry.get(start.backbone).placed(found.params, start.precision)
    sequences = [target.load() for target in training]
    settings = {
        "constants": dataclasses.asdict(start),
        "weights": found.digest,
        "training sequences": {sequence.name: len(sequence) for sequence in sequences},
        **{name: given[name].value for name in ("frames", "batch", "learning_rate", "seed")},
    }
    learner = Learner(params, start, given.learning_rate)
    snippets = Snippets(sequences, params, start, given.frames)
    state = learned(learner, snippets, settings, folder / "state.npz", given)

    steps = [hyper.values(state.config(start, step)) for step in range(state.step + 1)]
    layered = ("gamma", "eta")
    final = {n: v if n in layered else v[0] for n, v in steps[-1].items() if n != "temperature"}
    better = config.override(base, final)
    content = settings | {
        "command": shlex.join(["python", "-m", "hcft_jax.experiments.learn_hyper", *words]),
        "use": options.command(better),
        "start": steps[0],
        "learned": steps[-1],
        "values": {name: [step[name] for step in steps] for name in hyper.LEARNED},
        "loss": state.losses.tolist(),
        "held out": held,
        "date": datetime.date.today().isoformat(),
        "device": jax.devices()[0].device_kind,
        "versions": versions() | {"optax": optax.__version__},
    }
    write_json(folder / "learned.json", content)
    plot_loss(state, folder / "loss.png")
    plot_values(start, steps, folder / "values.png")

    given_name = "paper" if paper(base.tracker) else "given"
    experiments = {
        name: dataclasses.replace(
            experiment,
            data_dir=str(root),
            sequences=tuple(held),
            output_dir=str(folder / "held_out"),
        )
        for name, experiment in ((given_name, base), ("learned", better))
    }
    return compared(experiments, found, content, folder)


def drawn(folder: Path) -> Path:
    """The drawn sequences in the OTB layout; those that are there are taken."""
    for seed in range(DRAWN_COUNT):
        sequence = synthetic(dataclasses.replace(DRAWN, seed=seed))
        own = folder / sequence.name
        if not (own / "groundtruth_rect.txt").is_file():  # written last
            shutil.rmtree(own, ignore_errors=True)
            otb.write(sequence, folder, image_format="jpg")
    return folder


def divided(
    root: Path, names: Many[str] | None, held: Many[str] | None
) -> tuple[list[ListedTarget], list[str]]:
    """The targets to learn on, and the names of those held out; no video is in both.

    Raises:
        InputError: an unknown name, nothing to learn on, or not two to compare on.
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
            f"have more sequences (without it, every {EVERY}rd video is held out)"
        )
    if not training:
        raise InputError("--held_out: it names all there is, and leaves nothing to learn on")
    return training, [target.name for target in kept]


def learned(
    learner: Learner,
    snippets: Snippets,
    settings: dict[str, Any],
    path: Path,
    given: flags.FlagValues,
) -> State:
    """The state after ``--steps`` steps, from the one that is kept if there is one.

    Raises:
        InputError: the kept state is of other settings or more steps, or a step fails.
    """
    state = learner.load(path, settings) if path.exists() else learner.begin()
    if state.step > given.steps:
        raise InputError(
            f"--steps: {given.steps}, but {path} has {state.step}; give another --output_dir"
        )
    with tqdm(total=given.steps, initial=state.step, desc="learning", unit="step") as bar:
        while state.step < given.steps:
            state = learner.step(state, snippets.draw(given.seed, state.step, given.batch))
            learner.save(path, state, settings)
            bar.set_postfix_str(f"loss {state.losses[-1]:.4f}", refresh=False)
            bar.update()
    return state


def compared(
    experiments: dict[str, Experiment],
    found: native.Weights,
    content: dict[str, Any],
    folder: Path,
) -> int:
    """Tracks the held-out sequences and writes ``held_out.md`` and ``.json``; the exit status."""
    scored, failed = held_out.track(experiments, found)
    first, last = scored
    layers = experiments[last].tracker.layers
    result = comparison.compare(scored)
    if not result.sequences:
        raise InputError("no held-out target was tracked to its end; see the lines above")
    said = held_out.verdict(result)
    table = comparison.table(result, "Held-out targets", len(content["held out"]))
    each = held_out.rows(scored, result.sequences)
    values = [
        [name.rstrip("_"), *(", ".join(map(str, content[at][name])) for at in ("start", "learned"))]
        for name in hyper.LEARNED
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


def plot_loss(state: State, path: Path) -> None:
    """The loss of each step's snippets, and its running mean."""
    figure = Figure(figsize=(6.0, 3.6), layout="constrained")
    axes = figure.subplots()
    steps = np.arange(1, state.step + 1)
    axes.plot(steps, state.losses, ".", color="#9ecae1", label="a step's snippets")
    if state.step >= SMOOTH:
        mean = np.convolve(state.losses, np.full(SMOOTH, 1 / SMOOTH), "valid")
        axes.plot(steps[SMOOTH - 1 :], mean, color="#1f77b4", label=f"mean of the last {SMOOTH}")
    axes.set(xlabel="step", ylabel="divergence from the label, nats a frame")
    axes.set_ylim(bottom=0)
    axes.legend()
    axes.grid(alpha=0.3)
    plots.save(figure, path)


def plot_values(start: TrackerConfig, steps: list[dict[str, list[float]]], path: Path) -> None:
    """Every constant over the steps, those of layers in one panel; the start is dashed."""
    figure = Figure(figsize=(11.0, 5.6), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    for axes, name in zip(panels, hyper.LEARNED, strict=False):
        lines = np.array([step[name] for step in steps])
        for i, line in enumerate(lines.T):
            color = f"C{i}"
            layered = name in ("gamma", "eta")
            axes.plot(line, color=color, label=start.layers[i] if layered else None)
            axes.axhline(line[0], color=color, linestyle="--", linewidth=0.8)
        if (lines > 0).all():
            axes.set_yscale("log")
        axes.set(title=name.rstrip("_"), xlabel="step")
        axes.grid(alpha=0.3, which="both")
    panels[0].legend()
    for axes in panels[len(hyper.LEARNED) :]:
        axes.axis("off")
    plots.save(figure, path)


def paper(tracker: TrackerConfig) -> bool:
    """Whether the constants are the paper's."""
    names = ("layers", "gamma", "eta", "lambda_", "sigma")
    return all(getattr(tracker, name) == getattr(TrackerConfig(), name) for name in names)


def _in_range(given: flags.FlagValues) -> None:
    for name, least in (("frames", 1), ("steps", 1), ("batch", 1), ("seed", 0)):
        if getattr(given, name) < least:
            raise InputError(f"--{name}: {getattr(given, name)} must be at least {least}")
    if not 0 < given.learning_rate < math.inf:
        raise InputError(f"--learning_rate: {given.learning_rate} must be above 0 and finite")
    if given.data_dir is None and given.sequences:
        raise InputError("--sequences: names some of --data_dir, which is not given")


@command("interrupted; what is done is kept, the same command goes on")
def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """The command; the exit status."""
    startup.quiet()
    startup.keep_programs(given.compilation_cache)
    return run(given, sys.argv[1:])


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """The flags of the command line; not at import, where names would clash with other programs."""
    options.define(into, SETTABLE)

    def define(kind: Any, name: str, *rest: Any) -> None:
        kind(name, *rest, flag_values=into)

    text, number, many = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_list
    define(text, "data_dir", None, "folder of sequences with truth [drawn ones]")
    define(many, "sequences", None, "only these [all that are found]")
    define(many, "held_out", None, f"not learned on, but compared on [every {EVERY}rd video]")
    define(number, "frames", 16, "K: how many a snippet has after its first one")
    define(number, "steps", 100, "of Adam")
    define(number, "batch", 4, "snippets a step")
    define(flags.DEFINE_float, "learning_rate", 0.05, "about the relative change of a step")
    define(number, "seed", 0, "of the snippets")
    define(text, "output_dir", "learned_hyper", "for everything that is written")
    cache = "folder that keeps compiled programs, or 'none', as for hcft_jax.main"
    define(text, "compilation_cache", None, cache)


if __name__ == "__main__":
    define_flags()
    app.run(main)

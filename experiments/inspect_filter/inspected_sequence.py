"""The inspection of a filter over one sequence: the figures and their list."""

import dataclasses
from collections.abc import Sequence as Many
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from tqdm.auto import tqdm

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import Params
from hcft_jax.benchmark import baselines, plan
from hcft_jax.data.sequence import Sequence
from hcft_jax.evaluation import plots, tables
from hcft_jax.evaluation.results import write_json
from hcft_jax.evaluation.tables import Table
from hcft_jax.experiment import options, settings
from hcft_jax.experiment.settings import METHOD, Experiment
from hcft_jax.run import together
from hcft_jax.run.environment import versions
from hcft_jax.util import startup
from hcft_jax.util.errors import InputError, command
from hcft_jax.util.files import replacing
from hcft_jax.util.text import natural_number
from hcft_jax.weights.native import Weights

from . import inspection, inspection_figures
from .inspection import Effect, Look

FRAMES = 3
# flags of hcft_jax.main that have nothing to do with a filter
FOREIGN = (
    "method",
    "overlay",
    "responses",
    "lanes",
    "decode",
    "protocols",
    "annotations",
    "sre_unscale",
)


def run(given: flags.FlagValues) -> Path:
    """Make the figures that the flags ask for and return their folder.

    Raises:
        InputError: a flag, the data, the weights or the output folder cannot be used.
    """
    experiment = asked(given)
    sequence = only(experiment)
    numbers = chosen(given.frames, sequence)
    startup.start(given)
    (found,) = baselines.weights_of([experiment])
    network = registry.get(experiment.tracker.backbone)
    params = network.placed(found.params, experiment.tracker.precision)
    folder = Path(experiment.output_dir, experiment.folder(found.digest), "inspect", sequence.name)
    lines = []
    part = sequence.part(0, numbers[-1] - 1)
    looks = inspection.looks(params, experiment.tracker, part)
    for look in tqdm(looks, "tracking", len(part) - 1, unit="frame"):
        if look.number in numbers:
            lines += show(params, look, sequence, folder)
    variants = inspection.variants(experiment.tracker)
    tracks = together.track_together(params, list(variants.values()), sequence)
    title = f"{len(variants)} choices of layers"
    seen = list(tqdm(tracks, title, len(sequence), unit="frame"))
    lines += compare(inspection.effects(variants, sequence, seen), sequence, folder)
    with replacing(folder / "inspect.md") as temporary:
        temporary.write_text(listed(experiment, found, sequence, lines), encoding="utf-8")
    return folder


def asked(given: flags.FlagValues) -> Experiment:
    """Return the experiment that the flags describe; without data it is a drawn one.

    Raises:
        InputError: a configuration is unknown, a value is not possible, or a flag has nothing to do
            with a filter.
    """
    changes = options.changes(given)
    for name in FOREIGN:
        if name in changes:
            flag = "tracker" if name == "method" else name
            raise InputError(f"--{flag}: it has nothing to do with a filter; leave it out")
    if given.distributed:
        raise InputError("--distributed: one process does one sequence; leave it out")
    experiment = settings.override(settings.load(given.config), changes)
    if experiment.own is not None:
        line = f"--config={given.config}: it is for videos; filters need a sequence"
        raise InputError(line)
    if experiment.method != METHOD:
        raise InputError(f"--config={given.config}: {experiment.method} has no filters")
    if experiment.synthetic is None and experiment.data_dir is None and not experiment.sequences:
        demo = settings.load("demo")
        experiment = dataclasses.replace(
            experiment, synthetic=demo.synthetic, otherwise=demo.otherwise
        )
    return options.equipped(experiment.validate())


def only(experiment: Experiment) -> Sequence:
    """Return the only sequence of an experiment.

    Raises:
        InputError: there is none or more than one, or it cannot be used.
    """
    job, *others = plan.find(experiment)
    if others:
        raise InputError(
            f"--sequences: name one of the {1 + len(others)} sequences ({job.name}, "
            f"{others[0].name}{', ...' if others[1:] else ''})"
        )
    return job.load()


def chosen(frames: Many[str], sequence: Sequence) -> list[int]:
    """Return the numbers of the frames to show, ascending: those named, or ``FRAMES`` spread ones.

    Raises:
        InputError: a frame of such a number does not exist, or nothing is searched in it.
    """
    length = len(sequence)
    if length < 2:
        raise InputError(f"{sequence.name}: it has only one frame, in which the box is given")
    if not frames:
        spread = np.linspace(1, length, FRAMES + 1).round().astype(int)
        return sorted({int(number) for number in spread} - {1})
    for text in frames:
        if not 2 <= (natural_number(text) or 0) <= length:
            raise InputError(
                f"--frames: {text[:60]!r} is not one of 2 to {length} (the box of frame 1 is given)"
            )
    return sorted(set(map(int, frames)))


def show(params: Params, look: Look, sequence: Sequence, folder: Path) -> list[str]:
    """Write a frame's figures and return the lines that list them."""
    name, number = sequence.name, look.number
    found, true = look.moved(look.found), look.moved(look.truth)
    assert found is not None  # the tracker's boxes have a size
    moved = f"found at {_arrow(found)} px"
    if true is not None:
        off = float(np.hypot(*(found - true)))
        moved = f"displaced by {_arrow(true)} px, {moved}, {off:.1f} px off"
    moved += f", PSR {float(look.output.psr):.1f}"
    of_layers = inspection.gradients(params, look)
    inside = inspection.share(inspection.summed(look.config, of_layers), look.found)
    templates = inspection.templates(look.config, look.state)
    title = f"{name}, frame {number}"
    figures = {
        f"responses-{number}.png": (
            inspection_figures.responses(look, f"{title}: {moved}"),
            "each layer's response over the search window, their weighted sum, where the target "
            f"was found and where it is: {moved} (x, y from the window's centre)",
        ),
        f"gradient-{number}.png": (
            inspection_figures.gradients(
                look, of_layers, f"{title}: pixels that the response at the target depends on"
            ),
            "length over R, G, B of the gradient of the response at the target with respect to "
            f"the frame's pixels, {100 * inside:.0f} % of whose squares are in the box",
        ),
        f"filters-{number}.png": (
            inspection_figures.filters(
                look, templates, f"{title}: what is correlated with the windowed features"
            ),
            f"the filters that searched frame {number}, laid over the search window: the energy of "
            f"all channels, and the {inspection_figures.STRONGEST} strongest with their share of "
            "it; the rectangle is the target's size",
        ),
    }
    for file, (figure, _) in figures.items():
        plots.save(figure, folder / file, dpi=110)
    return [f"| `{file}` | {text} |" for file, (_, text) in figures.items()]


def _arrow(moved: inspection.Floats) -> str:
    """Return (row, column) as the text (x, y), with signs."""
    return f"({moved[1]:+.1f}, {moved[0]:+.1f})"


def compare(effects: dict[str, Effect], sequence: Sequence, folder: Path) -> list[str]:
    """Write what each layer does for the sequence; return the lines that list the files."""
    name = sequence.name
    title = f"{name}: centre errors with some of the layers"
    plots.save(inspection_figures.layers(effects, title), folder / "layers.png", dpi=110)
    rows = {label: _numbers(effect) for label, effect in effects.items()}
    content = {"sequence": sequence.name, "frames": len(sequence), "settings": rows}
    write_json(folder / "layers.json", content)
    header = ["layers", "DP@20 (%)", "OS@0.5 (%)", "AUC", "CLE (px)", "mean PSR"]
    numbers = (("auc", 4), ("cle", 2), ("psr", 1))  # with their digits
    cells = [
        [label, tables.percent(of["dp20"]), tables.percent(of["os50"])]
        + [tables.number(of[field], digits) for field, digits in numbers]
        for label, of in rows.items()
    ]
    table = Table(f"{sequence.name}, {len(sequence)} frames", header, cells)
    with replacing(folder / "layers.md") as temporary:
        temporary.write_text(tables.markdown(table), encoding="utf-8")
    return [
        "| `layers.png` | centre error over the frames with all layers, without each, and with "
        f"each alone; linear up to {inspection_figures.CLOSE:g} px |",
        "| `layers.md`, `layers.json` | their scores and mean peak-to-sidelobe ratio |",
    ]


def _numbers(effect: Effect) -> dict[str, Any]:
    scores: dict[str, Any] = dict.fromkeys(("dp20", "os50", "auc", "cle"))
    if effect.scores is not None:
        scores = dataclasses.asdict(effect.scores)
        del scores["frames"]
    used = {"layers": effect.config.layers, "gamma": effect.config.gamma}
    return {**used, **scores, "psr": effect.psr}


def listed(experiment: Experiment, weights: Weights, sequence: Sequence, lines: Many[str]) -> str:
    """Return the content of ``inspect.md``."""
    used = dataclasses.asdict(experiment.tracker)
    fields = " ".join(f"{settings.flag_of(n)}={_text(value)}" for n, value in used.items())
    origin = weights.metadata["origin"]
    made = ", ".join(f"{name} {version}" for name, version in versions().items())
    return "\n".join(
        [
            f"# What the filters of `{experiment.label}` look at: {sequence.name}",
            "",
            "| file | what it shows |",
            "|---|---|",
            *lines,
            "",
            f"* Sequence: {sequence.name}, {len(sequence)} frames.",
            f"* Settings: `{fields}`.",
            f"* Weights: {origin['file'] or origin['preset']}, digest {weights.digest[:16]}.",
            f"* Made with {made}.",
            "",
        ]
    )


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


@command("interrupted; finished figures are kept")
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Run the command and return its exit status."""
    folder = run(given)
    print(f"figures, and inspect.md that lists them: {folder}")
    return 0

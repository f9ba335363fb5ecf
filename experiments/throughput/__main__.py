"""How fast the tracker is, against a plain one and against PyTorch, and what bounds it.

    python -m hcft_jax.experiments.throughput --quick --output=OUT.json        # minutes on 2 cores
    python -m hcft_jax.experiments.throughput --output=OUT.json --table=BENCHMARKS.md
    python -m hcft_jax.experiments.throughput --output=OUT.json --data_dir=OTB --frames=40
    python -m hcft_jax.experiments.throughput --growth --backbone=compact --output=GROWTH.json
    python -m hcft_jax.experiments.throughput --results=OUT.json,GROWTH.json --table=BENCHMARKS.md

Who is timed, in turn and round by round (``rows`` of the file): ``plain``, the straightforward
compiled tracker (two passes a frame, jnp.fft, each target its own executables); ``exact``, this
package's, one sequence after the other and in lanes; ``torch_plain`` and ``torch_tuned``, the same
method in PyTorch, where that is installed (``pip install 'hcft_jax[torch]'``). Frames per second
count every frame, decoding included, compiling not. The boxes of all of them are compared with
those of ``plain`` in every frame.

The same file has the machine's ceilings (a large matmul, copy, transfer), the stages of a frame
timed apart, the bare network against PyTorch's, cold and warm starts, and the cost of a million
videos on paper. It is written anew after each part: what is measured is kept when a later part
fails. ``--growth`` measures and plots cost against lanes, length, image size and layers.

Without --data_dir sequences are drawn and written as JPEG. On a GPU the same commands are used.
"""

import dataclasses
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
from absl import app, flags

from hcft_jax.backbones.backbone import Params
from hcft_jax.benchmark.execute import BUCKETS
from hcft_jax.core.config import TrackerConfig
from hcft_jax.evaluation.results import write_json
from hcft_jax.util.errors import InputError, command
from hcft_jax.weights import lookup

from . import document, growth, machine, material, starts
from .contenders import Programs
from .material import Material
from .run import FULL, GPU, QUICK, Benchmark, Plan, on_paper

PARTS = ("startup", "ceilings", "network", "stages", "rows")


def run(given: flags.FlagValues, words: list[str]) -> None:
    """Measures what the flags ask for, and writes it.

    Raises:
        InputError: a flag, the data or the weights cannot be used.
    """
    if given.results:
        if not given.table:
            raise InputError("--results: say by --table=FILE.md where its tables go")
        known = document.merged([read(path) for path in given.results])
        on_paper(known)
        document.fill(given.table, known)
        return
    if not given.output:
        raise InputError("--output: must be given, a .json file")
    config = TrackerConfig(
        backbone=given.backbone,
        layers=tuple(given.layers),
        gamma=tuple(map(float, given.gamma)),
        input_size=given.input_size,
    ).validate()
    found = lookup.find(given.weights, config.backbone)
    precisions = choices(given.precisions)
    result: dict[str, Any] = {"rows": [], "notes": []}

    def say(part: str) -> None:
        write_json(given.output, result)
        print(f"{part} ...", file=sys.stderr, flush=True)

    wanted = ["growth"] if given.growth else [p for p in PARTS if p in given.parts]
    if "startup" in wanted:  # first, as this process would not leave a GPU's memory to others
        say("startup")
        settings = {"weights": given.weights, "tracker": dataclasses.asdict(config), "lanes": 1}
        result["startup"] = starts.measure(settings, 1 if given.quick else 3)
    result |= machine.setting(words)
    devices = jax.devices()[: given.devices]
    plan = planned(given)
    benchmark = Benchmark(config, found.params, plan, precisions, result)
    for part in ("ceilings", "network", "stages"):
        if part in wanted:
            say(part)
            getattr(benchmark, part)()
    if "rows" in wanted:
        say("rows")
        with tempfile.TemporaryDirectory() as folder:
            whole = gathered(given, config, Path(folder), plan)
            what = "drawn, JPEG" if given.data_dir is None else "real"
            result["material"] = whole.describe() | {"what": what}
            benchmark.rows(whole, devices)
    if "growth" in wanted:
        say("growth")
        grow(given, result, config, found.params, devices)
    on_paper(result)
    write_json(given.output, result)
    if given.table:
        document.fill(given.table, result)


def grow(
    given: flags.FlagValues,
    result: dict[str, Any],
    config: TrackerConfig,
    network: Params,
    devices: list[jax.Device],
) -> None:
    """Measures the cost's growth, writing after each point, and plots it."""
    on_cpu = jax.default_backend() == "cpu"
    axes = growth.Axes(
        lanes=tuple(n for n in map(int, given.lanes or growth.Axes.lanes) if n % len(devices) == 0),
        lengths=tuple(map(int, given.lengths)),
        images=growth.IMAGES[: given.images],
        frames=given.frames or (17 if on_cpu else 257),
        at=len(devices) if on_cpu else 32 * len(devices),
    )
    measure = growth.Growth(
        lambda c: Programs(network, c, devices=devices),
        config,
        axes,
        planned(given).repeats,
        given.budget or 600.0,
    )
    rows: list[dict[str, Any]] = []
    result["growth"] = {"rows": rows, "notes": measure.notes}
    for row in measure.rows():
        rows.append(row)
        print(f"{row['axis']} {row['value']:g}: {row['fps']:.2f} frames/s", file=sys.stderr)
        write_json(given.output, result)
    output = Path(given.output)
    growth.plot(rows, output.with_name(f"{output.stem}_plots"))


def gathered(given: flags.FlagValues, config: TrackerConfig, folder: Path, plan: Plan) -> Material:
    """The sequences that the flags name, or drawn ones."""
    if given.data_dir is not None:
        sequences = material.real(given.data_dir, given.sequences or [], given.frames)
    else:
        count, frames = given.drawn or plan.sequences, given.frames or plan.frames
        sequences = material.drawn(folder, count, frames, scale=given.scale)
    return material.gather(sequences, config, given.buckets or (1 if given.quick else BUCKETS))


def planned(given: flags.FlagValues) -> Plan:
    """The plan, with what flags change in it."""
    plan = QUICK if given.quick else FULL if jax.default_backend() == "cpu" else GPU
    changes: dict[str, Any] = {
        "lanes": tuple(map(int, given.lanes)) if given.lanes else None,
        "repeats": given.repeats,
        "budget": given.budget,
    }
    plan = dataclasses.replace(plan, **{k: v for k, v in changes.items() if v is not None})
    if not plan.lanes or min(plan.lanes) < 1 or plan.repeats < 1:
        raise InputError("--lanes, --repeats: must be at least 1")
    return plan


def choices(wanted: list[str] | None) -> list[str]:
    """Those precisions, or all that the tracker knows."""
    field = next(f for f in dataclasses.fields(TrackerConfig) if f.name == "precision")
    known = list(field.metadata["choices"])
    for name in wanted or []:
        if name not in known:
            raise InputError(f"--precisions: no {name!r}; there are {', '.join(known)}")
    return wanted or known


def read(path: str) -> dict[str, Any]:
    """The file of a run.

    Raises:
        InputError: it is none.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if "rows" not in content or "hardware" not in content:
            raise ValueError("no rows or no hardware in it")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not the file of a run ({error})") from error
    return dict(content)


@command("interrupted; the parts that are finished are in the file")
def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """The command; the exit status."""
    logging.getLogger("jax").setLevel(logging.WARNING)  # it tells of every absent accelerator
    run(given, sys.argv[1:])
    return 0


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """The flags of the command line; not at import, where names would clash with other programs."""

    def define(kind: Any, name: str, *rest: Any) -> None:
        kind(name, *rest, flag_values=into)

    text, number, many = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_list
    define(flags.DEFINE_bool, "quick", False, "in minutes on two cores")
    define(text, "output", None, "the numbers go to this .json")
    define(flags.DEFINE_multi_enum, "parts", list(PARTS), PARTS, "only these, each by a flag")
    define(flags.DEFINE_bool, "growth", False, "instead: cost against lanes, length, image, layers")
    define(many, "results", None, "measure nothing: the .json of one or several runs, for --table")
    define(text, "table", None, "Markdown file whose marked sections are replaced")
    define(text, "weights", None, "as for hcft_jax.main")
    define(text, "data_dir", None, "real sequences in the OTB layout [drawn ones]")
    define(many, "sequences", None, "of these names only")
    define(number, "frames", None, "of each sequence, of real ones the first so many [all]")
    define(number, "drawn", None, "how many sequences are drawn")
    define(flags.DEFINE_float, "scale", 1.0, "of drawn images and targets")
    define(many, "lanes", None, "numbers of lanes [1, 4 with --quick, else 1, 2, 4, ... 128]")
    define(many, "precisions", None, "of the tracker's modes [all]")
    buckets = f"at most, two executables each [1 with --quick, else {BUCKETS}]"
    define(number, "buckets", None, buckets)
    define(number, "devices", 1, "that lanes are spread over")
    define(number, "repeats", None, "rounds of those who are timed in turn")
    define(flags.DEFINE_float, "budget", None, "seconds after which no new round begins")
    define(many, "lengths", ["100", "300", "1000", "3000", "10000"], "of videos, for --growth")
    define(number, "images", len(growth.IMAGES), "how many sizes of images, for --growth")
    tracker = TrackerConfig()
    define(text, "backbone", tracker.backbone, "as for hcft_jax.main")
    define(many, "layers", list(tracker.layers), "of the backbone")
    define(many, "gamma", [str(g) for g in tracker.gamma], "their weights")
    define(number, "input_size", None, "side of the network's input")


if __name__ == "__main__":
    define_flags()
    app.run(main)

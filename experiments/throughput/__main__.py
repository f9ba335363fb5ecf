"""How fast the tracker is, against a plain one and against PyTorch, and what limits it.

    python -m hcft_jax.experiments.throughput --quick --output=OUT.json        # minutes on 2 cores
    python -m hcft_jax.experiments.throughput --output=OUT.json --table=BENCHMARKS.md
    python -m hcft_jax.experiments.throughput --output=OUT.json --data_dir=OTB --frames=40
    python -m hcft_jax.experiments.throughput --parts=frame,video --output=COSTS.json
    python -m hcft_jax.experiments.throughput --feed --output=FEED.json
    python -m hcft_jax.experiments.throughput --growth --backbone=efficientnet_lite0 \
        --layers=block11,block8,block2 --output=GROWTH.json
    python -m hcft_jax.experiments.throughput --results=OUT.json,GROWTH.json --table=BENCHMARKS.md

These programs are timed in turn, round by round (``rows`` of the file): ``plain``, the
straightforward compiled tracker (two passes per frame, jnp.fft, each target its own executables);
``exact``, this package's tracker, one sequence after the other and in lanes; ``torch_plain`` and
``torch_tuned``, the same method in PyTorch, where that is installed
(``pip install 'hcft_jax[torch]'``), on a GPU once with convolutions in float32 and once in TF32
(``torch_plain_tf32``, ``torch_tuned_tf32``). Frames per second count every frame, with decoding and
without compiling. The boxes of all of them are compared with those of ``plain`` in every frame.

The same file has cold and warm starts, the machine's ceilings (a large matmul, copy, transfer), the
bare network against PyTorch's, and the stages of a frame timed separately. On request it has
``frame``, a moved and an unmoved frame next to the network passes that they contain, ``video``, the
time that ``hcft_jax.Tracker`` adds to the compiled step and the time of several targets in one
video, and ``feed``, what the host delivers to a device that does nothing. The file is written anew
after each part, so the finished parts are kept when a later part fails. ``--growth`` measures and
plots the cost against lanes, length, image size and layers.

Without --data_dir sequences are drawn and written as JPEG. A GPU is measured by the same commands.
"""

import dataclasses
import json
import logging
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from absl import flags

from hcft_jax.backbones.backbone import Params
from hcft_jax.benchmark.execute import BUCKETS
from hcft_jax.core.config import TrackerConfig
from hcft_jax.evaluation.results import write_json
from hcft_jax.util import entry
from hcft_jax.util.errors import InputError, command
from hcft_jax.weights import lookup

from . import document, frame_cost, growth, machine, starts, video_cost, workload
from .contenders import ContenderPrograms
from .measurement import FULL, GPU, QUICK, Measurement, Plan
from .workload import Workload

PARTS = ("startup", "ceilings", "network", "stages", "rows")  # measured without --parts
MORE = ("frame", "video", "feed")


def run(given: flags.FlagValues, words: list[str]) -> None:
    """Measure the parts that the flags name, and write them.

    Raises:
        InputError: a flag, the data or the weights cannot be used.
    """
    if given.results:
        if not given.table:
            raise InputError("--results: give the file for its tables by --table=FILE.md")
        document.fill(given.table, document.merged([read(path) for path in given.results]))
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
    alone = {name for name in ("growth", "feed") if getattr(given, name)}
    wanted = alone or parts(given.parts)
    result: dict[str, Any] = {"rows": [], "notes": []}

    def say(part: str) -> None:
        write_json(given.output, result)
        print(f"{part} ...", file=sys.stderr, flush=True)

    if "startup" in wanted:  # first, as this process would keep a GPU's memory from others
        say("startup")
        settings = {"weights": given.weights, "tracker": dataclasses.asdict(config), "lanes": 1}
        result["startup"] = starts.measure(settings, 1 if given.quick else 3)
    result |= machine.setting(words)
    devices = jax.devices()[: given.devices]
    plan = planned(given)
    measurement = Measurement(config, found, plan, precisions, result)

    def video() -> None:
        frames = (given.frames or 20) + 1
        if given.data_dir is None:
            seen = video_cost.drawn(frames, given.scale)
        else:
            names = given.sequences or []
            seen = video_cost.targets(workload.real(given.data_dir, names, frames))
        measurement.video(*seen)

    def rows() -> None:
        with tempfile.TemporaryDirectory() as folder:
            whole = gathered(given, config, Path(folder), plan)
            what = "drawn, JPEG" if given.data_dir is None else "real"
            result["material"] = whole.describe() | {"what": what}
            measurement.rows(whole, devices)

    measures: dict[str, Callable[[], None]] = {
        "ceilings": measurement.ceilings,
        "network": measurement.network,
        "stages": measurement.stages,
        "frame": lambda: measurement.frame(frame_cost.drawn(given.scale)),
        "video": video,
        "rows": rows,
        "feed": measurement.feed,
        "growth": lambda: grow(given, result, config, found.params, devices),
    }
    for part, measure in measures.items():
        if part in wanted:
            say(part)
            measure()
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
    """Measure the growth of the cost, write it after each point, and plot it."""
    on_cpu = jax.default_backend() == "cpu"
    axes = growth.Axes(
        lanes=tuple(n for n in map(int, given.lanes or growth.Axes.lanes) if n % len(devices) == 0),
        lengths=tuple(map(int, given.lengths)),
        images=growth.IMAGES[: given.images],
        frames=given.frames or (17 if on_cpu else 257),
        at=len(devices) if on_cpu else 32 * len(devices),
    )
    measure = growth.Growth(
        lambda c: ContenderPrograms(network, c, devices=devices),
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


def gathered(given: flags.FlagValues, config: TrackerConfig, folder: Path, plan: Plan) -> Workload:
    """Return the sequences that the flags name, or drawn ones."""
    if given.data_dir is not None:
        sequences = workload.real(given.data_dir, given.sequences or [], given.frames)
    else:
        count, frames = given.drawn or plan.sequences, given.frames or plan.frames
        sequences = workload.drawn(folder, count, frames, scale=given.scale)
    return workload.gather(sequences, config, given.buckets or (1 if given.quick else BUCKETS))


def planned(given: flags.FlagValues) -> Plan:
    """Return the plan, with the changes that flags ask for."""
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


def parts(given: list[str]) -> set[str]:
    """Return the names of parts, separated by commas or each given by a flag of its own."""
    return {known("--parts", name, (*PARTS, *MORE)) for x in given for name in x.split(",")}


def choices(wanted: list[str] | None) -> list[str]:
    """Return these precisions, or all that the tracker knows."""
    field = next(f for f in dataclasses.fields(TrackerConfig) if f.name == "precision")
    every = field.metadata["choices"]
    return [known("--precisions", name, every) for name in wanted or every]


def known(flag: str, name: str, names: tuple[str, ...]) -> str:
    """Return the name if it is one of ``names``.

    Raises:
        InputError: it is not.
    """
    if name not in names:
        raise InputError(f"{flag}: no {name!r}; there are {', '.join(names)}")
    return name


def read(path: str) -> dict[str, Any]:
    """Read the file of a run, of this version or an earlier one.

    Raises:
        InputError: it is not such a file.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if "rows" not in content or "hardware" not in content:
            raise ValueError("it has no rows or no hardware")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not the file of a run ({error})") from error
    return dict(content)


@command("interrupted; the parts that are finished are in the file")
def main(argv: list[str], given: flags.FlagValues = flags.FLAGS) -> int:
    """Run the command; return the exit status."""
    logging.getLogger("jax").setLevel(logging.WARNING)  # it reports every absent accelerator
    run(given, sys.argv[1:])
    return 0


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """Define the command's flags; not at import, where names would clash with other programs."""

    def define(kind: Any, name: str, *rest: Any) -> None:
        kind(name, *rest, flag_values=into)

    text, number, many = flags.DEFINE_string, flags.DEFINE_integer, flags.DEFINE_list
    define(flags.DEFINE_bool, "quick", False, "measure less, in minutes on two cores")
    define(text, "output", None, "the .json file for the numbers")
    names = f"the parts to measure: {', '.join((*PARTS, *MORE))}"
    define(flags.DEFINE_multi_string, "parts", list(PARTS), names)
    define(flags.DEFINE_bool, "growth", False, "instead: cost against lanes, length, image, layers")
    define(flags.DEFINE_bool, "feed", False, "instead: frames for a device that does nothing")
    define(many, "results", None, "measure nothing: the .json of one or several runs, for --table")
    define(text, "table", None, "Markdown file whose marked sections are replaced")
    define(text, "weights", None, "as for hcft_jax.main")
    define(text, "data_dir", None, "folder of real sequences [drawn ones]")
    define(many, "sequences", None, "names of the real sequences to use [all]")
    define(number, "frames", None, "number of frames of each sequence [all; 20 for the video]")
    define(number, "drawn", None, "number of sequences that are drawn")
    define(flags.DEFINE_float, "scale", 1.0, "factor for the size of drawn images and targets")
    define(many, "lanes", None, "numbers of lanes [1, 4 with --quick, else 1, 2, 4, ... 128]")
    define(many, "precisions", None, "the tracker's modes to measure [all]")
    buckets = f"the most buckets, two executables each [1 with --quick, else {BUCKETS}]"
    define(number, "buckets", None, buckets)
    define(number, "devices", 1, "number of devices that share the lanes")
    define(number, "repeats", None, "rounds in which the programs are timed in turn")
    define(flags.DEFINE_float, "budget", None, "seconds after which no new round begins")
    define(many, "lengths", ["100", "300", "1000", "3000", "10000"], "of videos, for --growth")
    define(number, "images", len(growth.IMAGES), "number of image sizes, for --growth")
    tracker = TrackerConfig()
    define(text, "backbone", tracker.backbone, "as for hcft_jax.main")
    define(many, "layers", list(tracker.layers), "the backbone's layers")
    define(many, "gamma", [str(g) for g in tracker.gamma], "the weights of the layers' responses")
    define(number, "input_size", None, "side of the network's input in pixels")


if __name__ == "__main__":
    define_flags()
    entry.run(main)

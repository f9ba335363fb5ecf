"""The measurements by part, and the file and tables that they are written to."""

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
from hcft_jax.experiment import options, settings
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util.errors import InputError, command
from hcft_jax.weights import lookup

from . import (
    MORE,
    PARTS,
    TRACKER,
    document,
    frame_cost,
    growth,
    machine,
    starts,
    video_cost,
    workload,
)
from .contenders import ContenderPrograms
from .measurement import FULL, GPU, QUICK, Measurement, Plan
from .workload import Workload


def run(given: flags.FlagValues, words: list[str]) -> None:
    """Measure the parts that the flags name, and write them.

    Raises:
        InputError: a flag, the data or the weights cannot be used.
    """
    if given.runs:
        if not given.table:
            raise InputError("--runs: give the file for its tables by --table=FILE.md")
        document.fill(given.table, document.merged([read(path) for path in given.runs]))
        return
    if not given.output:
        raise InputError("--output: must be given, a .json file")
    changes = {name: v for name, v in options.changes(given).items() if name in TRACKER}
    config = settings.override(Experiment("throughput"), changes).tracker.validate()
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
        setting = {"weights": given.weights, "tracker": dataclasses.asdict(config), "lanes": 1}
        result["startup"] = starts.measure(setting, 1 if given.quick else 3)
    result |= machine.setting(words)
    devices = jax.devices()[: given.devices]
    plan = planned(given)
    measurement = Measurement(config, found, plan, precisions, result)

    def video() -> None:
        frames = (given.max_frames or 20) + 1
        if given.data_dir is None:
            seen = video_cost.drawn(frames, given.drawn_scale)
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
        "frame": lambda: measurement.frame(frame_cost.drawn(given.drawn_scale)),
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
        lanes=tuple(
            n for n in map(int, given.lane_counts or growth.Axes.lanes) if n % len(devices) == 0
        ),
        lengths=tuple(map(int, given.lengths)),
        images=growth.IMAGES[: given.images],
        frames=given.max_frames or (17 if on_cpu else 257),
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
        sequences = workload.real(given.data_dir, given.sequences or [], given.max_frames)
    else:
        count, frames = given.drawn or plan.sequences, given.max_frames or plan.frames
        sequences = workload.drawn(folder, count, frames, scale=given.drawn_scale)
    return workload.gather(sequences, config, given.buckets or (1 if given.quick else BUCKETS))


def planned(given: flags.FlagValues) -> Plan:
    """Return the plan, with the changes that flags ask for."""
    plan = QUICK if given.quick else FULL if jax.default_backend() == "cpu" else GPU
    changes: dict[str, Any] = {
        "lanes": tuple(map(int, given.lane_counts)) if given.lane_counts else None,
        "repeats": given.repeats,
        "budget": given.budget,
    }
    plan = dataclasses.replace(plan, **{k: v for k, v in changes.items() if v is not None})
    if not plan.lanes or min(plan.lanes) < 1 or plan.repeats < 1:
        raise InputError("--lane_counts, --repeats: must be at least 1")
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
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Run the command; return the exit status."""
    logging.getLogger("jax").setLevel(logging.WARNING)  # it reports every absent accelerator
    run(given, sys.argv[1:])
    return 0

"""The exhibits by name, what each of them needs, and what it is made of."""

import dataclasses
import functools
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from absl import flags

from hcft_jax.backbones.backbone import Params
from hcft_jax.data import datasets
from hcft_jax.data.layout import ListedTarget
from hcft_jax.evaluation import annotations, plots, result_folders, summary, tables
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.evaluation.plots import KINDS
from hcft_jax.evaluation.protocols import PROTOCOLS
from hcft_jax.evaluation.result_folders import Results
from hcft_jax.evaluation.summary import Evaluation
from hcft_jax.util.errors import InputError, command
from hcft_jax.util.text import natural_number
from hcft_jax.weights import lookup

from . import (
    FRAMES,
    REMEDIES,
    NothingToShow,
    activations,
    layer_ablation,
    remedies,
    scores,
    tracked_frames,
)

SHOWN = 6  # trackers on a frame; more would hide the target


@dataclasses.dataclass(frozen=True)
class ExhibitData:
    """The data that exhibits are made of; each part is read when an exhibit needs it.

    Attributes:
        given: The flags.
        folder: The folder that exhibits are written to.
    """

    given: flags.FlagValues
    folder: Path

    @functools.cached_property
    def benchmark(self) -> Benchmark:
        """The annotations."""
        return annotations.load(self.given.annotations)

    @functools.cached_property
    def results(self) -> Results:
        """The boxes of all trackers."""
        return result_folders.load(self.given.results, self.benchmark)

    @functools.cached_property
    def chosen(self) -> Results:
        """The boxes of the trackers that --trackers names.

        Raises:
            InputError: one of them has no results.
        """
        wanted, all_of = self.given.trackers, self.results
        if not wanted:
            return all_of
        for name in wanted:
            if name not in all_of.origins:
                raise InputError(f"--trackers: no {name!r}, there are {', '.join(all_of.origins)}")
        return dataclasses.replace(
            all_of,
            boxes={t: all_of.boxes[t] for t in wanted if t in all_of.boxes},
            runs={p: {t: of[t] for t in wanted if t in of} for p, of in all_of.runs.items()},
        )

    @functools.cached_property
    def evaluations(self) -> dict[str, Evaluation]:
        """The scores under each protocol that has results."""
        return {
            protocol: summary.evaluate(
                self.chosen, self.benchmark, protocol, unscale=self.given.sre_unscale
            )
            for protocol in PROTOCOLS
            if protocol == "ope" or self.chosen.runs.get(protocol)
        }

    @functools.cached_property
    def params(self) -> Params:
        """The network's parameters."""
        return jax.device_put(lookup.find(self.given.weights).params)

    def subsets(self, evaluation: Evaluation) -> list[str]:
        """Return the subsets all of whose targets some tracker has.

        Raises:
            NothingToShow: there is none.
        """
        held = [s for s, targets in evaluation.subsets.items() if evaluation.complete(targets)]
        if not held:  # the common targets are a subset, too
            raise NothingToShow("the trackers have no target in common: choose some by --trackers")
        return held

    def frames(
        self, flag: str, default: Sequence[str], known: Sequence[str]
    ) -> list[tuple[ListedTarget, str, list[int]]]:
        """Return the frames that a flag names: target, its name in the benchmark, file numbers.

        Args:
            flag: The flag's name.
            default: The sequences to show where the flag is not given.
            known: The sequences that have results; others of the default are left out.

        Raises:
            InputError: a sequence is unknown, or a frame's number is not a number.
            NothingToShow: the data set has none of the default sequences.
        """
        folder = self.given.data_dir
        held = datasets.find(folder)
        specified: list[str] = self.given[flag].value or [
            target.name
            for name in default
            for target in held
            if self.benchmark.name_of(target.name) == name and name in known
        ]
        if not specified:
            raise NothingToShow(f"--{flag}: there is none of {', '.join(default)}: name others")
        found = []
        for wanted in specified:
            sequence, *parts = wanted.split(":")
            numbers = [number for part in parts if (number := natural_number(part)) is not None]
            if len(numbers) < len(parts):
                raise InputError(
                    f"--{flag}: {wanted[:60]!r}: want SEQUENCE or SEQUENCE:FRAME:FRAME..."
                )
            for target in datasets.find(folder, names=[sequence]):
                name = self.benchmark.name_of(target.name)
                if name is None:
                    raise InputError(f"--{flag}: {target.name} is not annotated")
                found.append((target, name, numbers))
        return found


def table1(data: ExhibitData) -> None:
    """Write Table 1."""
    evaluation = data.evaluations["ope"]
    data.subsets(evaluation)
    tables.write(scores.table1(evaluation, data.results.origins), data.folder / "table1")


def figure2(data: ExhibitData) -> None:
    """Write Figure 2."""
    plots.write(activations.figure2(activations.edges(data.params)), data.folder / "figure2")


def figure4(data: ExhibitData) -> None:
    """Write Figure 4."""
    rows = []
    for target, name, numbers in data.frames("figure4", FRAMES["figure4"], FRAMES["figure4"]):
        sequence, truth = target.load(), data.benchmark.targets[name]
        boxes = {tracked_frames.TRUTH: truth.truth}
        for index in tracked_frames.strip(sequence, truth, boxes, numbers).indices:
            title = f"{name} #{sequence.first_frame + index}"
            frame = sequence.frames.read(index)
            row = activations.frame_features(data.params, frame, truth.truth[index], title=title)
            rows.append(row)
    plots.write(activations.figure4(rows), data.folder / "figure4")


def figure5(data: ExhibitData) -> None:
    """Write Figure 5 for each subset."""
    for subset in data.subsets(data.evaluations["ope"]):
        plots.write(scores.figure5(data.evaluations, subset), data.folder / f"figure5_{subset}")


def figure6(data: ExhibitData) -> None:
    """Write Figure 6 for each subset."""
    evaluation = data.evaluations["ope"]
    for subset in data.subsets(evaluation):
        for kind in ("success", "precision"):
            figure = scores.figure6(evaluation, subset, data.given.attributes, KINDS[kind])
            plots.write(figure, data.folder / f"figure6_{subset}_{kind}")


def figure7(data: ExhibitData) -> None:
    """Write Figure 7 and its table."""
    evaluation = layer_ablation.evaluate(data.results, data.benchmark)
    table = layer_ablation.table7(evaluation, data.given.resamples, data.given.seed)
    tables.write(table, data.folder / "figure7")
    plots.write(layer_ablation.figure7(evaluation), data.folder / "figure7")


def _frames(flag: str, default: Sequence[str], truth: bool, data: ExhibitData) -> None:
    """Write Figure 8 or 9, which is called as its flag is."""
    everyone = data.chosen.boxes
    if not data.given.trackers:
        everyone = dict(list(everyone.items())[:SHOWN])
    known = [name for of in everyone.values() for name in of]
    strips = []
    for target, name, numbers in data.frames(flag, default, known):
        boxes = {tracker: of[name] for tracker, of in everyone.items() if name in of}
        annotated = data.benchmark.targets[name]
        strips.append(tracked_frames.strip(target.load(), annotated, boxes, numbers))
    plots.write(tracked_frames.figure(strips, truth=truth), data.folder / flag)


def remedy(data: ExhibitData) -> None:
    """Write the table and the plot of each remedy that has results."""
    problems = []
    for name, of in REMEDIES.items():
        results = data.results
        sequences = data.given[name].value or of.sequences
        try:
            trackers = {c: remedies.find(results.origins, c) for c in (of.original, of.config)}
            held = remedies.shared(results, list(trackers.values()), sequences)
        except NothingToShow as error:
            problems.append(str(error))
            continue
        arguments = (results, data.benchmark, trackers, held)
        tables.write(remedies.table(*arguments), data.folder / f"remedy_{name}")
        plots.write(remedies.figure(*arguments), data.folder / f"remedy_{name}")
    if problems:
        raise NothingToShow("; ".join(problems))


class Exhibit(NamedTuple):
    """How an exhibit is made."""

    make: Callable[[ExhibitData], None]  # writes it
    needs: tuple[str, ...]  # flags that must be given


_SCORED = ("results", "annotations")
_FRAMES = (*_SCORED, "data_dir")
EXHIBITS = {
    "table1": Exhibit(table1, _SCORED),
    "figure2": Exhibit(figure2, ()),
    "figure4": Exhibit(figure4, ("annotations", "data_dir")),
    "figure5": Exhibit(figure5, _SCORED),
    "figure6": Exhibit(figure6, _SCORED),
    "figure7": Exhibit(figure7, _SCORED),
    "figure8": Exhibit(functools.partial(_frames, "figure8", FRAMES["figure8"], False), _FRAMES),
    "figure9": Exhibit(functools.partial(_frames, "figure9", FRAMES["figure9"], True), _FRAMES),
    "remedies": Exhibit(remedy, _SCORED),
}


def run(given: flags.FlagValues) -> int:
    """Make the exhibits that the flags ask for and return the exit status.

    Raises:
        InputError: a flag, or the folder of results or annotations, cannot be used.
    """
    for name in given.only:
        if name not in EXHIBITS:
            raise InputError(f"--only: no {name!r}, there are {', '.join(EXHIBITS)}")
    if given.resamples < 1:
        raise InputError(f"--resamples: {given.resamples} must be at least 1")
    if not given.output_dir:
        raise InputError("--output_dir: must be given")
    for name in given.attributes:
        scores.attribute(name)
    possible = []
    for name in given.only or EXHIBITS:
        if absent := [flag for flag in EXHIBITS[name].needs if not given[flag].value]:
            if given.only:
                raise InputError(f"--{absent[0]}: must be given for {name}")
            print(f"note: {name}: not made without --{absent[0]}", file=sys.stderr)
        else:
            possible.append(name)
    data = ExhibitData(given, Path(given.output_dir))
    failed = False
    if any("results" in EXHIBITS[name].needs for name in possible):
        _ = data.chosen  # a wrong folder or name is not the fault of a single exhibit
        for problem in data.results.problems:
            print(f"error: {' '.join(problem.line.split())}", file=sys.stderr)
            failed = True
    for name in possible:
        try:
            EXHIBITS[name].make(data)
        except InputError as error:
            fatal = bool(given.only) or not isinstance(error, NothingToShow)
            print(f"{'error' if fatal else 'note'}: {name}: {error}", file=sys.stderr)
            failed |= fatal
        else:
            print(f"{name}: {data.folder}", flush=True)
    return 1 if failed else 0


@command("interrupted; every file that has been written is complete")
def main(argv: list[str], given: flags.FlagValues) -> int:
    """Run the command and return its exit status."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it reports every glyph of a PDF
    logging.getLogger("jax").setLevel(logging.WARNING)  # it reports every absent accelerator
    return run(given)

"""Makes the paper's exhibits: Table 1, Figures 2 and 4 to 9, and its remedies for failures.

    python -m hcft_jax.experiments.exhibits --results=results,published/mat --annotations=otb_meta \
        --data_dir=OTB100 --output_dir=exhibits [--only=table1,figure5] [--trackers=CF2,MEEM,KCF]

========  ======================================================  =============================
table1    DP, OS, CLE and speed on CVPR 2013 and OTB-100          results
figure2   the layers' response to a step edge                     weights
figure4   the layers' principal components on frames              data_dir, weights
figure5   success and precision under OPE, TRE and SRE            results
figure6   success and precision by attribute                      results
figure7   features of single layers and of several, per network   results of the ablations
figure8   tracked frames                                          results, data_dir
figure9   tracked frames and the truth, where it fails            results, data_dir
remedies  first-layer features and a slower update, on failures   results of both and of hcft
========  ======================================================  =============================

Without --only all are made that the flags and the results suffice for, and a note says why another
one is not. Of those named in --only, one that cannot be made is an error; the exit status is then
1. Frames are named as ``--figure8=Deer,Bolt2:10:60:200``: a sequence alone means frames evenly
spaced over it.
"""

import dataclasses
import functools
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from absl import app, flags

from hcft_jax.backbones.backbone import Params
from hcft_jax.data import datasets
from hcft_jax.data.layout import ListedTarget
from hcft_jax.evaluation import annotations, bootstrap, plots, result_folders, summary, tables
from hcft_jax.evaluation.annotations import Benchmark
from hcft_jax.evaluation.plots import KINDS
from hcft_jax.evaluation.protocols import PROTOCOLS
from hcft_jax.evaluation.result_folders import Results
from hcft_jax.evaluation.summary import Evaluation
from hcft_jax.util.errors import InputError, command
from hcft_jax.weights import lookup

from . import NothingToShow, ablation, activations, remedies, scores, tracked

# What is shown where no frames are named: those of them that the data set has.
FIGURE4 = ("MotorRolling",)
FIGURE8 = ("MotorRolling", "Bolt2", "CarScale", "David", "Deer", "Girl")
FIGURE9 = ("Singer2", "Lemming", "Girl2")
SHOWN = 6  # trackers on a frame; more hide the target


@dataclasses.dataclass(frozen=True)
class Material:
    """What exhibits are made of, each part read when one needs it.

    Attributes:
        given: The flags.
        folder: Where exhibits are written.
    """

    given: flags.FlagValues
    folder: Path

    @functools.cached_property
    def benchmark(self) -> Benchmark:
        """The annotations."""
        return annotations.load(self.given.annotations)

    @functools.cached_property
    def results(self) -> Results:
        """Everyone's boxes."""
        return result_folders.load(self.given.results, self.benchmark)

    @functools.cached_property
    def chosen(self) -> Results:
        """Those of --trackers.

        Raises:
            InputError: there are none of one.
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
        """Everyone's scores by protocol, of which there are results."""
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
        """The subsets of which somebody has all targets.

        Raises:
            NothingToShow: there is none.
        """
        held = [s for s, targets in evaluation.subsets.items() if evaluation.complete(targets)]
        if not held:
            raise NothingToShow("no target that every tracker has; choose some by --trackers")
        return held

    def frames(
        self, flag: str, default: Sequence[str], known: Sequence[str]
    ) -> list[tuple[ListedTarget, str, list[int]]]:
        """The frames that a flag names: target, its name in the benchmark, and file numbers.

        Args:
            flag: Its name.
            default: Sequences where it is not given.
            known: Which of the default there are results of.

        Raises:
            InputError: an unknown sequence, or what is no number.
            NothingToShow: none of the default is there.
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
            raise NothingToShow(f"--{flag}: none of {', '.join(default)} is there, name others")
        found = []
        for text in specified:
            sequence, *numbers = text.split(":")
            if not all(number.isdecimal() for number in numbers):
                raise InputError(f"--{flag}: {text!r}: want SEQUENCE or SEQUENCE:FRAME:FRAME...")
            for target in datasets.find(folder, names=[sequence]):
                name = self.benchmark.name_of(target.name)
                if name is None:
                    raise InputError(f"--{flag}: {target.name} is not annotated")
                found.append((target, name, [int(number) for number in numbers]))
        return found


def table1(material: Material) -> None:
    """Writes Table 1."""
    evaluation = material.evaluations["ope"]
    material.subsets(evaluation)
    table = scores.table1(evaluation, material.results.origins)
    tables.write(table, material.folder / "table1")


def figure2(material: Material) -> None:
    """Writes Figure 2."""
    found = activations.edges(material.params)
    plots.write(activations.figure2(found), material.folder / "figure2")


def figure4(material: Material) -> None:
    """Writes Figure 4."""
    rows = []
    for target, name, numbers in material.frames("figure4", FIGURE4, FIGURE4):
        sequence = target.load()
        truth = material.benchmark.targets[name]
        strip = tracked.strip(sequence, truth, {tracked.TRUTH: truth.truth}, numbers)
        for index in strip.indices:
            title = f"{name} #{sequence.first_frame + index}"
            frame = sequence.frames.read(index)
            shown = activations.shown(material.params, frame, truth.truth[index], title=title)
            rows.append(shown)
    plots.write(activations.figure4(rows), material.folder / "figure4")


def figure5(material: Material) -> None:
    """Writes Figure 5 for each subset."""
    for subset in material.subsets(material.evaluations["ope"]):
        figure = scores.figure5(material.evaluations, subset)
        plots.write(figure, material.folder / f"figure5_{subset}")


def figure6(material: Material) -> None:
    """Writes Figure 6 for each subset."""
    evaluation = material.evaluations["ope"]
    for subset in material.subsets(evaluation):
        for kind in ("success", "precision"):
            figure = scores.figure6(evaluation, subset, material.given.attributes, KINDS[kind])
            plots.write(figure, material.folder / f"figure6_{subset}_{kind}")


def figure7(material: Material) -> None:
    """Writes Figure 7 and its table."""
    evaluation = ablation.evaluate(material.results, material.benchmark)
    table = ablation.table7(evaluation, material.given.resamples, material.given.seed)
    tables.write(table, material.folder / "figure7")
    plots.write(ablation.figure7(evaluation), material.folder / "figure7")


def _frames(material: Material, flag: str, default: Sequence[str], *, truth: bool) -> None:
    everyone = material.chosen.boxes
    if not material.given.trackers:
        everyone = dict(list(everyone.items())[:SHOWN])
    known = [name for of in everyone.values() for name in of]
    strips = []
    for target, name, numbers in material.frames(flag, default, known):
        boxes = {tracker: of[name] for tracker, of in everyone.items() if name in of}
        annotated = material.benchmark.targets[name]
        strips.append(tracked.strip(target.load(), annotated, boxes, numbers))
    plots.write(tracked.figure(strips, truth=truth), material.folder / flag)


def figure8(material: Material) -> None:
    """Writes Figure 8."""
    _frames(material, "figure8", FIGURE8, truth=False)


def figure9(material: Material) -> None:
    """Writes Figure 9."""
    _frames(material, "figure9", FIGURE9, truth=True)


def remedy(material: Material) -> None:
    """Writes table and plot of each remedy that there are results of."""
    problems = []
    for name, of in remedies.REMEDIES.items():
        results = material.results
        sequences = material.given[name].value or of.sequences
        try:
            trackers = {c: remedies.find(results.origins, c) for c in (of.original, of.config)}
            held = remedies.shared(results, list(trackers.values()), sequences)
        except NothingToShow as error:
            problems.append(str(error))
            continue
        arguments = (results, material.benchmark, trackers, held)
        tables.write(remedies.table(*arguments), material.folder / f"remedy_{name}")
        plots.write(remedies.figure(*arguments), material.folder / f"remedy_{name}")
    if problems:
        raise NothingToShow("; ".join(problems))


class Exhibit(NamedTuple):
    """How an exhibit is made."""

    make: Callable[[Material], None]  # writes it
    needs: tuple[str, ...]  # flags


_SCORED = ("results", "annotations")
EXHIBITS = {
    "table1": Exhibit(table1, _SCORED),
    "figure2": Exhibit(figure2, ()),
    "figure4": Exhibit(figure4, ("annotations", "data_dir")),
    "figure5": Exhibit(figure5, _SCORED),
    "figure6": Exhibit(figure6, _SCORED),
    "figure7": Exhibit(figure7, _SCORED),
    "figure8": Exhibit(figure8, (*_SCORED, "data_dir")),
    "figure9": Exhibit(figure9, (*_SCORED, "data_dir")),
    "remedies": Exhibit(remedy, _SCORED),
}


def run(given: flags.FlagValues) -> int:
    """Makes what the flags ask for; the exit status."""
    for name in given.only:
        if name not in EXHIBITS:
            raise InputError(f"--only: no {name!r}, there are {', '.join(EXHIBITS)}")
    if given.resamples < 1:
        raise InputError(f"--resamples: {given.resamples} is not a number of resamples")
    if not given.output_dir:
        raise InputError("--output_dir: must be given")
    for name in given.attributes:
        scores.attribute(name)
    wanted = given.only or list(EXHIBITS)
    possible = []
    for name in wanted:
        if absent := [flag for flag in EXHIBITS[name].needs if not given[flag].value]:
            if given.only:
                raise InputError(f"--{absent[0]}: must be given for {name}")
            print(f"note: {name}: not made without --{absent[0]}", file=sys.stderr)
        else:
            possible.append(name)
    material = Material(given, Path(given.output_dir))
    failed = False
    if any("results" in EXHIBITS[name].needs for name in possible):
        _ = material.chosen  # a wrong folder or name is no single exhibit's fault
        for problem in material.results.problems:
            print(f"error: {' '.join(problem.line.split())}", file=sys.stderr)
            failed = True
    for name in possible:
        try:
            EXHIBITS[name].make(material)
        except InputError as error:
            fatal = bool(given.only) or not isinstance(error, NothingToShow)
            print(f"{'error' if fatal else 'note'}: {name}: {error}", file=sys.stderr)
            failed |= fatal
        else:
            print(f"{name}: {material.folder}", flush=True)
    return 1 if failed else 0


@command("interrupted; what is written is whole")
def main(argv: list[str]) -> int:
    """The command; the exit status."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every glyph in a PDF
    logging.getLogger("jax").setLevel(logging.WARNING)  # and it of every absent accelerator
    return run(flags.FLAGS)


def define_flags(into: flags.FlagValues = flags.FLAGS) -> None:
    """The flags of the command line; not at import, where names would clash with other programs."""
    strings = functools.partial(flags.DEFINE_string, flag_values=into)
    lists = functools.partial(flags.DEFINE_list, flag_values=into)
    integers = functools.partial(flags.DEFINE_integer, flag_values=into)
    lists("results", None, "folders of results, in any layout of the evaluation")
    strings("annotations", None, "folder of anno/, attributes.csv and initOmit/")
    strings("data_dir", None, "data set in the OTB layout, for exhibits with frames")
    strings("weights", None, "network weights, as for hcft_jax.main")
    strings("output_dir", None, "where exhibits are written")
    lists("only", [], f"the exhibits to make, of {', '.join(EXHIBITS)}; none: all")
    lists(
        "trackers", [], "who is in table1, figure5, 6, 8 and 9, by name, in order; none: everyone"
    )
    lists("attributes", list(scores.EIGHT), "attributes of figure6")
    for name, default in (("figure4", FIGURE4), ("figure8", FIGURE8), ("figure9", FIGURE9)):
        lists(name, [], f"its frames, SEQUENCE[:FRAME...] [{','.join(default)}]")
    for name, of in remedies.REMEDIES.items():
        listed = ",".join(of.sequences)
        lists(name, [], f"the sequences of this remedy [{listed}]")
    flags.DEFINE_bool("sre_unscale", False, "as for hcft_jax.evaluation", flag_values=into)
    integers("resamples", bootstrap.RESAMPLES, "bootstrap resamples of figure7")
    integers("seed", 0, "seed of the bootstrap")


if __name__ == "__main__":
    define_flags()
    app.run(main)

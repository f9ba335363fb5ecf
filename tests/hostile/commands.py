"""The command line: flags with any values, and whole commands on damaged data."""

import contextlib
import functools
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from absl import flags

from hcft_jax import main as program
from hcft_jax.data import otb
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation import __main__ as evaluating
from hcft_jax.evaluation import annotations, result_folders
from hcft_jax.experiment import options
from hcft_jax.experiment.settings import Experiment
from hcft_jax.util import entry
from hcft_jax.util.errors import InputError, finish, report
from tests.hostile import texts
from tests.hostile.configured import ready
from tests.hostile.kinds import Case, Door, Rng, pick
from tests.hostile.mutations import BINARY, NUMBERS, TEXT

FLAGS = Door("flags", share=6)
COMMANDS = Door("commands", share=3)


Main = Callable[[list[str], flags.FlagValues], int]
Define = Callable[[flags.FlagValues], None]


class Said(InputError):
    """What a command says in place of doing its work."""


def run(main: Main, define: Define, arguments: list[str]) -> str:
    """Run a command as ``entry.run`` does, on flags of its own; return what it prints.

    Raises:
        Said: It ends with a status other than 0, after its line ``error: ...``.
    """
    out, err = io.StringIO(), io.StringIO()
    argv, sys.argv = sys.argv, ["hcft", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = main(*entry.parsed(sys.argv, define))
            except InputError as error:
                status = report(error)
            except SystemExit as end:
                status = int(end.code or 0)
    finally:
        sys.argv = argv
    said = err.getvalue()
    if "Traceback" in said:
        raise AssertionError(said)
    if status == 0:
        return out.getvalue()
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    if status not in (1, 2) or not lines:
        raise AssertionError(f"status {status} without a line of the error: {said[-500:]!r}")
    raise Said(lines[0])


def _flag_values(rng: Rng) -> list[str]:
    names = [name for name, _, _ in options._settable()] + [
        "config",
        "compilation_cache",
        "distributed",
    ]
    values = (*NUMBERS, "", "a,b", ",", "1,2,3,4", "None", "true", "-1", "x" * 3000, "\x1b[2J",
        "hcft", "\ud800",
              "../x", "/dev/null", "1e300", "0", "auto", "random", "1" * 50, "nan,nan", "=", "a=b",
              "*", "%s", "{}")  # fmt: skip
    found = []
    for _ in range(int(rng.integers(1, 4))):
        name = str(pick(rng, names))
        way = int(rng.integers(12))
        value = str(pick(rng, values)).replace("\0", "")
        forms = {
            0: f"--no{name}",
            1: f"--{name}",
            2: f"-{name}={value}",
            3: f"--{name[:-1]}={value}",
            4: value,
        }
        found.append(forms.get(way, f"--{name}={value}"))
    return found


@FLAGS.kind("Flags with any values: what a script or a typing error passes.")
def any_values(rng: Rng, folder: Path) -> Case:
    # what is accepted is made and validated, and not tracked
    def experiment(argv: list[str], given: flags.FlagValues) -> int:
        def work() -> int:
            if argv[1:]:
                raise InputError(f"{argv[1]!r}: only flags (--name=value) are understood")
            made.append(options.experiment(given))
            return 0

        return finish(work)

    made: list[Experiment] = []
    words = _flag_values(rng)

    def open_() -> Experiment:
        run(experiment, program.define_flags, words)
        return made[0] if made else Experiment("x")  # --help and the like

    return Case(open_, ready)


@FLAGS.kind("A flag of a list or number with hostile text, alone.")
def one_number(rng: Rng, folder: Path) -> Case:
    names = [n for n, f, _ in options._settable() if isinstance(f.default, int | float | tuple)]
    name, value = str(pick(rng, names)), str(pick(rng, NUMBERS)).replace("\0", "")
    made: list[Experiment] = []

    def main(argv: list[str], given: flags.FlagValues) -> int:
        def work() -> int:
            made.append(options.experiment(given))
            return 0

        return finish(work)

    def open_() -> Experiment:
        run(main, program.define_flags, [f"--{name}={value}"])
        return made[0] if made else Experiment("x")

    return Case(open_, ready, (name, "video", "target"))


@functools.cache
def drawn() -> Path:
    """Return a folder of two short sequences."""
    place = Path(tempfile.mkdtemp(prefix="hostile-drawn-")) / "data"
    for seed in (0, 1):
        options_ = {"frames": 5, "height": 32, "width": 40, "target": (10, 10), "motion": 6.0}
        otb.write(synthetic(Synthetic(seed=seed, **options_)), place)  # type: ignore[arg-type]
    return place


FOLLOWER = "--tracker=got10k:tests.benchmark.follower:Follower"


@COMMANDS.kind("The main command on a folder of which one file is damaged.")
def damaged_data(rng: Rng, folder: Path) -> Case:
    shutil.copytree(drawn(), folder / "data")
    paths = sorted(p for p in (folder / "data" / "synthetic-1").rglob("*") if p.is_file())
    path = paths[int(rng.integers(len(paths)))]
    changes = TEXT if path.suffix == ".txt" else BINARY
    path.write_bytes(changes[str(pick(rng, changes))][1](rng, path.read_bytes()))
    arguments = [FOLLOWER, f"--data_dir={folder / 'data'}", f"--output_dir={folder / 'out'}"]

    def open_() -> str:
        try:
            return run(program.main, program.define_flags, [*arguments, "--compilation_cache=none"])
        finally:  # whatever happens, the sound sequence is tracked
            assert list(folder.glob("out/*/ope/synthetic-0.txt")), "the other sequence is lost"

    return Case(open_, None, ("synthetic-1",))


@COMMANDS.kind("The main command on one's own video or pictures, with a strange box or source.")
def own_video(rng: Rng, folder: Path) -> Case:
    pictures = folder / "clip"
    shutil.copytree(drawn() / "synthetic-0" / "img", pictures)
    boxes = ("", "1", "1,2,3", "1,2,3,4,5", "a,b,c,d", "nan,1,2,3", "1e300,1,2,3", "-5,-5,1,1",
        "0,0,0,0", "9,9,-9,9",
             "1000,1000,5,5", "1,2,1e-9,1e-9", "0,0,1e5,1e5", "1;2;3;4")  # fmt: skip
    sources = (
        str(pictures),
        str(folder / "absent.mp4"),
        "99",
        str(folder),
        "/dev/zero",
        "x" * 400,
        "ftp://x/y",
    )
    box, source = str(pick(rng, boxes)), str(pick(rng, sources))
    rows = folder / "boxes.txt"
    rows.write_text(f"{box}\n")
    given = f"--box={box}" if rng.integers(2) else f"--boxes={rows}"
    arguments = ["--config=video", f"--video={source}", given, f"--output_dir={folder / 'out'}"]
    arguments += ["--weights=random", "--compilation_cache=none"]
    named = ("box", "boxes.txt", source[:30], "image", "video", "clip")
    return Case(
        lambda: run(
            program.main,
            program.define_flags,
            [*arguments, "--weights=random", "--compilation_cache=none"],
        ),
        lambda _: "it tracks",
        named,
    )


@COMMANDS.kind("The evaluation of results and annotations of which one file is damaged.")
def evaluation(rng: Rng, folder: Path) -> Case:
    place = texts.annotated(folder / "anno-folder")
    known = annotations.load(place)
    boxes = {t: {n: target.truth for n, target in known.targets.items()} for t in ("a", "b")}
    result_folders.export(boxes, known, "plain", folder / "r")
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    path = paths[int(rng.integers(len(paths)))]
    path.write_bytes(TEXT[str(pick(rng, TEXT))][1](rng, path.read_bytes()))
    arguments = [
        *(f"--results={folder / 'r'}", f"--annotations={place}", "--export=pysot"),
        f"--output_dir={folder / 'out'}",
    ]
    return Case(
        lambda: run(evaluating.main, evaluating.define_flags, arguments),
        None,
        (path.name, "r"),
    )

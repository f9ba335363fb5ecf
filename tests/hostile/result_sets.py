"""Folders of results of any program, of which the evaluation reads what it can."""

import functools
import tempfile
from pathlib import Path

import numpy as np

from hcft_jax.evaluation import annotations, result_folders, toolkit
from tests.hostile import texts
from tests.hostile.kinds import Case, Door, Rng, pick
from tests.hostile.mutations import BINARY, TEXT
from tests.hostile.stored import JSONS

FOLDERS = Door("result folders", share=3)


@functools.cache
def benchmark_folder() -> Path:
    """Return a folder of sound annotations."""
    return texts.annotated(Path(tempfile.mkdtemp(prefix="hostile-annotations-")))


@FOLDERS.kind("One of many result files is damaged, no file, or of another sequence.")
def one_bad(rng: Rng, folder: Path) -> Case:
    known = annotations.load(benchmark_folder())
    form = str(pick(rng, ("hcft", "plain", "otb", "got10k", "pysot")))
    boxes = {t: {n: target.truth for n, target in known.targets.items()} for t in ("a", "b")}
    result_folders.export(boxes, known, form, folder / "r")
    paths = sorted(p for p in (folder / "r").rglob("*") if p.is_file())
    path = paths[int(rng.integers(len(paths)))]
    content = path.read_bytes()
    way = int(rng.integers(6))
    if way < 3:
        changes = BINARY if path.suffix == ".mat" else TEXT
        path.write_bytes(changes[str(pick(rng, changes))][1](rng, content))
    elif way == 3:
        path.unlink()
        path.symlink_to("/dev/zero")
    elif way == 4:
        path.rename(path.with_name(str(pick(rng, ("x\ny.txt", "Unknown.txt", "One_.mat", ".txt")))))
    else:
        path.unlink()
        path.mkdir()

    def judge(found: result_folders.Results) -> str:
        lines = [problem.line for problem in found.problems]
        if any("\n" in line.replace("x\ny.txt", "") for line in lines):
            return f"a problem of several lines: {lines}"
        for tracker, sequences in found.boxes.items():
            for name, rows in sequences.items():
                good = np.allclose(rows, known.targets[name].truth, equal_nan=True)
                if not good and not _readable(path):
                    return f"{tracker} {name} has other boxes"
        kept = sum(map(len, found.boxes.values()))
        return "" if kept >= len(paths) - 2 else f"only {kept} of {len(paths)} files are used"

    return Case(lambda: result_folders.load([folder / "r"], known), judge, ("r:", "r/"))


def _readable(path: Path) -> bool:
    """Tell whether a damaged file is a sound one of other boxes."""
    try:
        if path.suffix == ".mat":
            toolkit.read_runs(path)
        else:
            np.loadtxt(path, delimiter=",", ndmin=2)
    except Exception:
        return _sound_by_rows(path)
    return True


def _sound_by_rows(path: Path) -> bool:
    try:
        return all(None not in texts._numbers(line.lower().replace("nan", "0"))
                   for line in texts.decoded(path))  # fmt: skip
    except (OSError, UnicodeDecodeError):
        return False


@FOLDERS.kind("Folders in circles, very deep, of strange names, or with other things in them.")
def odd_folders(rng: Rng, folder: Path) -> Case:
    known = annotations.load(benchmark_folder())
    boxes = {"a": {n: target.truth for n, target in known.targets.items()}}
    result_folders.export(boxes, known, "plain", folder / "r")
    way = int(rng.integers(6))
    if way == 0:
        (folder / "r" / "loop").symlink_to(folder / "r")
    elif way == 1:
        deep = folder / "r"
        for n in range(60):
            deep = deep / f"d{n}"
        deep.mkdir(parents=True)
    elif way == 2:
        (folder / "r" / "b\x1b[2J\n").mkdir()
        (folder / "r" / "b\x1b[2J\n" / "One.txt").write_text("1,2\n")
    elif way == 3:
        (folder / "r" / ("n" * 250)).mkdir()
    elif way == 4:
        (folder / "r" / "a" / "summary.json").write_text(str(pick(rng, JSONS[:9])))
    else:
        for n in range(300):
            (folder / "r" / f"t{n}").mkdir()

    def judge(found: result_folders.Results) -> str:
        good = "a" in found.boxes and len(found.boxes["a"]) == len(known.targets)
        return "" if good else f"results of {list(found.boxes)}"

    return Case(lambda: result_folders.load([folder / "r"], known), judge, ("r",))

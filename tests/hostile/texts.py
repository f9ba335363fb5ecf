"""Text files of boxes, marks, names and ranges: ground truth, lists, results and annotations."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hcft_jax.data import nfs, otb, vot
from hcft_jax.evaluation import annotations, results
from hcft_jax.evaluation.annotations import ATTRIBUTES, AnnotatedTarget
from hcft_jax.util import boxes, text
from tests.hostile.kinds import Case, Door, Rng, pick
from tests.hostile.mutations import NUMBERS, TEXT, add_changes, add_no_files, number_of

TRUTH = Door("ground truth", share=8)
RESULTS = Door("result rows", share=6)
LISTED = Door("annotations", share=5)


def rows(rng: Rng, columns: int = 4, count: int = 12) -> str:
    """Return lines of boxes as data sets have them."""
    separator = str(pick(rng, (",", "\t", " ", ", ")))
    start = rng.uniform(5, 60, columns)
    steps = np.cumsum(rng.normal(0, 1.5, (count, columns)), axis=0)
    numbers = np.abs(start + steps) + 1
    form = "{:.0f}" if rng.integers(2) else "{:.4f}"
    return "".join(separator.join(form.format(v) for v in row) + "\n" for row in numbers)


def decoded(path: Path) -> list[str]:
    """Return the lines of a file as other programs see them: universal line ends, one mark."""
    raw = path.read_bytes().decode("utf-8-sig")
    return re.sub(r"\r\n?", "\n", raw).rstrip().split("\n")


def _numbers(line: str, separator: str = r"\s*[,;]\s*|\s+") -> list[float | None]:
    return [number_of(part) for part in _parts(line, separator)]


def _parts(line: str, separator: str = r"\s*[,;]\s*|\s+") -> list[str]:
    ended = re.sub(r"\s*[,;]$", "", line.strip())  # one separator may end a row
    return re.split(separator, ended)


def same_rows(answer: Any, path: Path, pick_row: Callable[[str], list[float | None]]) -> str:
    """Say in what rows of boxes differ from those that stand in the file."""
    found = np.asarray(answer)
    lines = [line for line in decoded(path) if not line.lstrip().startswith("#")]
    header = re.compile(r"(?!nan|inf)[a-z]\w*([\s,;]+(?!nan|inf)[a-z]\w*)+", re.IGNORECASE)
    if lines and header.fullmatch(lines[0].strip()):
        lines = lines[1:]
    if len(found) != len(lines):
        return f"{len(found)} rows of a file of {len(lines)} lines"
    for number, (row, line) in enumerate(zip(found, lines, strict=True), 1):
        expected = pick_row(line)
        if None in expected:
            return f"line {number} is accepted: {line[:80]!r}"
        if not np.array_equal(row, np.array(expected, float), equal_nan=True):
            return f"line {number} is read as {row}: {line[:80]!r}"
    return ""


def _boxes(gaps: bool) -> Callable[[Path, bytes], Case]:
    def row(line: str) -> list[float | None]:
        if not gaps:
            return _numbers(line)
        return [float("nan") if p.lower() == "nan" else number_of(p) for p in _parts(line)]

    def of(path: Path, sound: bytes) -> Case:
        return Case(
            lambda: boxes.parse(path, gaps=gaps),
            lambda answer: same_rows(answer, path, row),
            (path.name,),
        )

    return of


def _truth(rng: Rng, folder: Path) -> tuple[str, bytes]:
    return "groundtruth_rect.txt", rows(rng).encode()


def _gappy(rng: Rng, folder: Path) -> tuple[str, bytes]:
    lines = rows(rng).splitlines()
    lines[3] = re.sub(r"[^,\s]+", "NaN", lines[3])
    return "groundtruth.txt", "\n".join(lines).encode()


add_changes(TRUTH, TEXT, _truth, _boxes(False), "OTB: ")
add_changes(TRUTH, TEXT, _gappy, _boxes(True), "with gaps: ")
add_no_files(TRUTH, _truth, _boxes(False), "OTB: ")


def _regions(rng: Rng, folder: Path) -> tuple[str, bytes]:
    lines = rows(rng, count=4).replace("\t", ",").replace(" ", ",").replace(",,", ",").splitlines()
    lines.append("10.5,10.5,20,11,21,30.25,9,31")
    lines += ["m2,3,5,4,6,2,3,2,4", "m0,0,3,2,0,6", "0", "nan", "NaN,NaN,NaN,NaN"]
    return "groundtruth.txt", "\n".join(lines).encode()


def _region(line: str) -> list[float | None]:
    """Read a region as the VOT toolkit defines it, pixel by pixel."""
    line = line.strip()
    if line.startswith("m"):
        x, y, width, height, *runs = (int(part) for part in line[1:].split(","))
        mask = np.zeros(width * height, bool)
        at, value = 0, False
        for run in runs:
            mask[at : at + run] = value
            at, value = at + run, not value
        if not mask.any():
            return [float("nan")] * 4
        ys, xs = np.nonzero(mask.reshape(height, width))
        size = [float(np.ptp(xs) + 1), float(np.ptp(ys) + 1)]
        return [float(x + xs.min()), float(y + ys.min()), *size]
    parts = line.split(",")
    if any(part.strip().lower() == "nan" for part in parts):
        return [float("nan")] * 4
    values = [number_of(part) for part in parts]
    if None in values:
        return [None]
    if len(values) == 1:
        return [float("nan")] * 4
    if len(values) == 4:
        return values
    points = np.array(values, float).reshape(-1, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    return [*low.tolist(), *(high - low).tolist()]


def _of_vot(path: Path, sound: bytes) -> Case:
    return Case(
        lambda: vot.parse(path), lambda answer: same_rows(answer, path, _region), (path.name,)
    )


add_changes(TRUTH, TEXT, _regions, _of_vot, "VOT: ")


@TRUTH.kind("A mask that declares billions of pixels, or runs that do not fit.")
def mask(rng: Rng, folder: Path) -> Case:
    path = folder / "groundtruth.txt"
    big = int(pick(rng, (2**13, 2**26, 2**31, 10**9, 10**30)))
    ways = (
        f"m0,0,{big},{big},1,{big}",
        f"m-5,-5,4,4,-1,{big}",
        f"m0,0,0,0,{big}",
        f"m0,0,{big},1,0,{big}",
        "m" + ",".join("1" * int(rng.integers(1, 40))),
        "m0,0,2000,2000," + "1," * 100_000 + "1",
        f"m{big},{big},2,2,0,4",
        "mm1,2,3,4,5",
        "m0,0,8,8,5,٣",
    )
    path.write_text(str(pick(rng, ways)) + "\n1,2,3,4\n", encoding="utf-8")
    return _of_vot(path, b"")


def _corners(rng: Rng, folder: Path) -> tuple[str, bytes]:
    lines = [f'0 {9 + t} {8 + t} {30 + t} {40 + t} {t} 0 0 1 "a car"' for t in range(8)]
    return "car.txt", "\n".join(lines).encode()


def _of_nfs(path: Path, sound: bytes) -> Case:
    def row(line: str) -> list[float | None]:
        values = [number_of(part) for part in line.split(maxsplit=5)[1:5]]
        x1, y1, x2, y2 = (float("nan") if v is None else v for v in values)
        return [None] if None in values else [x1, y1, x2 - x1, y2 - y1]

    return Case(lambda: nfs.parse(path), lambda answer: same_rows(answer, path, row), (path.name,))


add_changes(TRUTH, TEXT, _corners, _of_nfs, "NfS: ")


def _marks(rng: Rng, folder: Path) -> tuple[str, bytes]:
    separator = str(pick(rng, (",", "\n")))
    return "full_occlusion.txt", separator.join(map(str, rng.integers(0, 2, 12))).encode()


def _of_marks(path: Path, sound: bytes) -> Case:
    def judge(answer: Any) -> str:
        parts = [p for p in re.split(r"[\s,;]+", "\n".join(decoded(path))) if p]
        expected = [number_of(part) for part in parts]
        return "" if list(answer) == expected else f"{list(answer)[:5]} of {expected[:5]}"

    return Case(lambda: text.numbers(path), judge, (path.name,))


add_changes(TRUTH, TEXT, _marks, _of_marks, "marks: ")


# results


def _result(rng: Rng, folder: Path) -> tuple[str, bytes]:
    return "Deer.txt", rows(rng).replace("\t", ",").encode()


def _of_result(path: Path, sound: bytes) -> Case:
    def judge(answer: Any) -> str:
        if (np.asarray(answer)[:, 2:] <= 0).any() or np.abs(answer).max() > 1e7:
            return "boxes in no image are accepted"
        return same_rows(answer, path, _numbers)

    return Case(lambda: results.read_boxes(path), judge, (path.name,))


add_changes(RESULTS, TEXT, _result, _of_result)
add_no_files(RESULTS, _result, _of_result)


@RESULTS.kind("Numbers that no tracker gives: huge, tiny, negative or zero sizes.")
def extreme(rng: Rng, folder: Path) -> Case:
    path = folder / "Deer.txt"
    lines = rows(rng).replace("\t", ",").splitlines()
    numbers = re.findall(r"[^,\s]+", lines[5])
    odd = ("1e300", "-1e300", "1e7", "10000001", "0", "-3", "1e-300", "-0.0", "4294967296")
    numbers[int(rng.integers(4))] = str(pick(rng, odd))
    lines[5] = ",".join(numbers)
    path.write_text("\n".join(lines))
    return _of_result(path, b"")


# annotations

_TARGETS = (("One", 1, 4), ("Two-1", 1, 6), ("Human4-2", 11, 5), ("Tiger1", 1, 9))


def annotated(folder: Path) -> Path:
    """Write sound annotations of four targets into a folder."""
    for sub in ("anno", "initOmit"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    lines = ["name,startFrame,endFrame,frames,TB50,CVPR13," + ",".join(ATTRIBUTES)]
    for name, first, count in _TARGETS:
        marks = ",".join(str(int(a in ("OCC", "LR"))) for a in ATTRIBUTES)
        lines.append(f"{name},{first},{first + count - 1},{count},1,0,{marks}")
        truth = "".join(f"{20 + 3 * t}\t30\t10\t20\n" for t in range(count))
        (folder / "anno" / f"{name}.txt").write_text(truth)
    (folder / "attributes.csv").write_text("\n".join(lines) + "\n")
    (folder / "initOmit" / "One.txt").write_text("2 3\n4\t4\n\n")
    return folder


def plain(target: AnnotatedTarget) -> str:
    """Return a target as text that can be compared."""
    content = {**vars(target), "truth": target.truth.tolist()}
    return json.dumps({k: sorted(v) if isinstance(v, frozenset) else v for k, v in content.items()})


def _of_annotations(part: str) -> tuple[Any, Any]:
    def sound(rng: Rng, folder: Path) -> tuple[str, bytes]:
        annotated(folder)
        return part, (folder / part).read_bytes()

    def of(path: Path, sound: bytes) -> Case:
        folder = path.parents[0] if part == "attributes.csv" else path.parents[1]

        def judge(answer: Any) -> str:
            if part == "attributes.csv":
                return _table(answer, path) if path.exists() else _untold(answer, folder)
            if part.startswith("anno"):
                return same_rows(answer.targets["One"].truth, path, _numbers)
            if not path.exists():  # nothing is left out
                return str(answer.targets["One"].omit or "")
            lines = [re.split(r"[\s,;]+", line.strip(" ,;\t")) for line in decoded(path)]
            ranges = tuple(tuple(map(int, p)) for p in lines if p != [""])
            found = answer.targets["One"].omit
            return "" if found == ranges else f"{found} of {ranges}"

        names = ("attributes.csv", path.name)
        return Case(lambda: annotations.load(folder), judge, names)

    return sound, of


def _untold(answer: Any, folder: Path) -> str:
    """Compare the targets with the files of ground truth, which is all that there is."""
    names = sorted(path.stem for path in (folder / "anno").iterdir())
    same = sorted(answer.targets) == names
    told = any(target.attributes for target in answer.targets.values())
    return "" if same and not told else f"{answer.targets} of {names} without attributes"


def _table(answer: Any, path: Path) -> str:
    """Compare the targets with the table as Python's plainest reading of it has them."""
    import csv

    read = list(csv.DictReader(decoded(path)))
    names = [row["name"] for row in read]
    if list(answer.targets) != names:
        return f"targets {list(answer.targets)} of {names}"
    for row in read:
        marks = {a for a in ATTRIBUTES if int(row[a])}
        if answer.targets[row["name"]].attributes != marks:
            return f"{row['name']} has {answer.targets[row['name']].attributes}, not {marks}"
    return ""


for _part in ("attributes.csv", "anno/One.txt", "initOmit/One.txt"):
    _make_sound, _make_case = _of_annotations(_part)
    add_changes(LISTED, TEXT, _make_sound, _make_case, f"{_part}: ")
    add_no_files(LISTED, _make_sound, _make_case, f"{_part}: ")


@LISTED.kind("A cell of the table is no number, an endless one, a path or a formula.")
def cell(rng: Rng, folder: Path) -> Case:
    annotated(folder)
    path = folder / "attributes.csv"
    lines = path.read_text().splitlines()
    at = int(rng.integers(len(lines)))
    cells = lines[at].split(",")
    odd = ("../../etc/passwd", "/etc/passwd", "..", ".", "", "a" * 300, "a" * 140_000, '"', "=1+1",
           "One\x00", "One", "CON", "-1", "1e3", "99999999999999999999")  # fmt: skip
    cells[int(rng.integers(len(cells)))] = str(pick(rng, (*odd, *NUMBERS)))
    lines[at] = ",".join(cells)
    path.write_text("\n".join(lines), encoding="utf-8")

    def judge(answer: Any) -> str:
        return _table(answer, path)

    return Case(lambda: annotations.load(folder), judge, ("attributes.csv", "anno"))


def _ranges(rng: Rng, folder: Path) -> tuple[str, bytes]:
    return "Deer.txt", "".join(f"{a} {a + 5}\n" for a in range(10, 90, 20)).encode()


def _of_ranges(path: Path, sound: bytes) -> Case:
    def judge(answer: Any) -> str:
        parts = [re.split(r"[\s,;]+", line.strip(" ,;\t\x0b\x85")) for line in decoded(path)]
        expected = [tuple(map(int, p)) for p in parts if p != [""]]
        return "" if answer == expected else f"{answer} of {expected}"

    return Case(lambda: otb.frame_ranges(path), judge, (path.name,))


add_changes(LISTED, TEXT, _ranges, _of_ranges, "ranges: ")

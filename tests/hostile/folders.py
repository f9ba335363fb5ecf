"""Folders of data sets: lists of names, frames, ground truth, and what else lies there."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hcft_jax.data import datasets
from hcft_jax.util.errors import InputError
from tests import damage
from tests.hostile import images
from tests.hostile.kinds import Case, Door, Rng, pick
from tests.hostile.mutations import TEXT, add_changes, add_no_files

SETS = Door("data sets", share=5)
LISTS = Door("lists", share=4)

FRAMES = 4
ROWS = "".join(f"{5 + t},6,9,8\n" for t in range(FRAMES))


def frames(folder: Path, first: int = 1, digits: int = 4) -> Path:
    """Write numbered frames into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    content = images.saved(images.picture(size=(20, 16)), "JPEG")
    for number in range(first, first + FRAMES):
        (folder / f"{number:0{digits}d}.jpg").write_bytes(content)
    return folder


def otb(root: Path, name: str) -> Path:
    """Write a sequence in the layout of OTB."""
    frames(root / name / "img")
    (root / name / "groundtruth_rect.txt").write_text(ROWS)
    return root / name


def got10k(root: Path, name: str) -> Path:
    """Write a sequence in the layout of GOT-10k, with its labels."""
    frames(root / name, digits=8)
    (root / name / "groundtruth.txt").write_text(ROWS)
    (root / name / "absence.label").write_text("0\n" * FRAMES)
    (root / name / "cover.label").write_text("8\n" * FRAMES)
    return root / name


def lasot(root: Path, name: str) -> Path:
    """Write a sequence in the layout of LaSOT."""
    place = root / name.partition("-")[0] / name
    frames(place / "img", digits=8)
    (place / "groundtruth.txt").write_text(ROWS)
    for mark in ("full_occlusion.txt", "out_of_view.txt"):
        (place / mark).write_text(",".join("0" * FRAMES))
    return place


def vot(root: Path, name: str) -> Path:
    """Write a sequence in the layout of VOT."""
    frames(root / name / "color", digits=8)
    (root / name / "groundtruth.txt").write_text(ROWS)
    return root / name


def trackingnet(root: Path, name: str) -> Path:
    """Write a sequence in the layout of TrackingNet."""
    frames(root / "frames" / name, first=0, digits=1)
    (root / "anno").mkdir(exist_ok=True)
    (root / "anno" / f"{name}.txt").write_text(ROWS)
    return root / "frames" / name


def nfs(root: Path, name: str) -> Path:
    """Write a sequence in the layout of NfS."""
    frames(root / name / "30" / name, digits=5)
    lines = "".join(f'0 {5 + t} 6 {14 + t} 14 {t} 0 0 1 "car"\n' for t in range(FRAMES))
    (root / name / "30" / f"{name}.txt").write_text(lines)
    return root / name / "30"


def plain(root: Path, name: str) -> Path:
    """Write a folder of images with a box."""
    frames(root / name)
    (root / name / "groundtruth.txt").write_text(ROWS)
    return root / name


LAYOUTS: dict[str, tuple[Callable[[Path, str], Path], tuple[str, str]]] = {
    "otb": (otb, ("Deer", "Girl")),
    "got10k": (got10k, ("GOT-10k_Val_000001", "GOT-10k_Val_000002")),
    "lasot": (lasot, ("cat-1", "cat-2")),
    "vot": (vot, ("ball", "book")),
    "trackingnet": (trackingnet, ("abc_0", "abc_1")),
    "nfs30": (nfs, ("car", "dog")),
    "plain": (plain, ("one", "two")),
}
LISTED = ("got10k", "vot")


def written(root: Path, layout: str) -> list[Path]:
    """Write two sequences of a layout; return their folders."""
    write, names = LAYOUTS[layout]
    root.mkdir(exist_ok=True)
    if layout in LISTED:
        (root / "list.txt").write_text("".join(f"{name}\n" for name in names))
    return [write(root, name) for name in names]


class Loaded:
    """What is loaded of a data set, and the lines about what is not.

    Attributes:
        boxes: The true boxes of the sequences by name.
        faults: Why sequences cannot be used.
        notes: Lines about what is not read.
    """

    def __init__(self, root: Path, layout: str) -> None:
        self.boxes: dict[str, Any] = {}
        self.faults: dict[str, str] = {}
        targets = datasets.find(root, layout)
        self.notes = datasets.not_read(root, targets, layout)
        for target in targets:
            try:
                sequence = target.load()
                for index in range(len(sequence)):
                    sequence.frames.read(index)
                self.boxes[target.name] = sequence.boxes
            except InputError as error:
                self.faults[target.name] = str(error)
                if "\n" in str(error) and "\n" not in str(target.where):
                    raise AssertionError(f"several lines: {error}") from error


def lengths(layout: str) -> tuple[int, ...]:
    """Return how many frames a sequence may have: in NfS the last frame or row may be missing."""
    return (FRAMES, FRAMES - 1) if layout == "nfs30" else (FRAMES,)


def judged(expected: int, layout: str = "", words: tuple[str, ...] = ()) -> Callable[[Loaded], str]:
    """Return a judge: so many sequences are sound, and all that is not there is said."""

    def judge(found: Loaded) -> str:
        for name, boxes in found.boxes.items():
            good = np.asarray(boxes)
            if len(good) not in lengths(layout) or not (good[:, 2:] == [9, 8]).all():
                return f"{name} has other boxes"
        if len(found.boxes) < expected:
            return f"{list(found.boxes)} are sound, of {expected}; {found.faults}"
        said = " ".join([*found.faults.values(), *found.notes])
        if len(found.boxes) < 2 and words and not any(word in said for word in words):
            return f"nobody says what is wrong with the other: {said!r}"
        return ""

    return judge


@SETS.kind("A frame is missing, there twice, no file, of another size, damaged, or a folder.")
def frame(rng: Rng, folder: Path) -> Case:
    layout = str(pick(rng, LAYOUTS))
    place = written(folder / "data", layout)[0]
    path = sorted(place.rglob("*.jpg"))[int(rng.integers(FRAMES))]
    way = int(rng.integers(8))
    content = path.read_bytes()
    path.unlink()
    if way == 1:
        path.write_bytes(content)
        shutil.copy(path, path.with_name(f"0{path.name}"))
    elif way == 2:
        damage.no_file(path, str(pick(rng, damage.NO_FILES)))
    elif way == 3:
        path.write_bytes(images.saved(images.picture(size=(30, 16)), "JPEG"))
    elif way == 4:
        path.write_bytes(content[: len(content) // 2])
    elif way == 5:
        path.mkdir()
    elif way == 6:
        path.with_name(f"copy of {path.name}").write_bytes(content)
    elif way == 7:
        path.symlink_to(path.with_name("absent.jpg"))
    return Case(
        lambda: Loaded(folder / "data", layout),
        judged(1, layout, (path.stem.lstrip("0"), place.name)),
    )


@SETS.kind("The ground truth or a file of marks is longer, shorter, or damaged.")
def truth(rng: Rng, folder: Path) -> Case:
    layout = str(pick(rng, LAYOUTS))
    written(folder / "data", layout)
    paths = [
        p
        for p in (folder / "data").rglob("*")
        if p.suffix in (".txt", ".label") and p.name != "list.txt"
    ]
    path = sorted(paths)[int(rng.integers(len(paths)))]
    content = path.read_bytes()
    way = int(rng.integers(5))
    if way == 0:
        path.write_bytes(content + content.split(b"\n")[0] + b"\n")
    elif way == 1:
        path.write_bytes(b"\n".join(content.rstrip().split(b"\n")[:-1]))
    elif way == 2:
        path.unlink()
    elif way == 3:
        path.unlink()
        damage.no_file(path, str(pick(rng, damage.NO_FILES)))
    else:
        path.write_bytes(rng.bytes(50))

    def judge(found: Loaded) -> str:
        if not found.boxes:
            return f"nothing is sound: {found.faults}"
        good = all(len(boxes) in lengths(layout) for boxes in found.boxes.values())
        return "" if good else "boxes of other frames"

    return Case(lambda: Loaded(folder / "data", layout), judge)


@SETS.kind("What else lies in a folder: systems' own, hidden, packed, nested once too deep, loops.")
def beside(rng: Rng, folder: Path) -> Case:
    layout = str(pick(rng, LAYOUTS))
    root = folder / "data"
    written(root, layout)
    way = int(rng.integers(11))
    names = (
        "lost+found",
        ".git",
        "__MACOSX",
        "$RECYCLE.BIN",
        "a\nb",
        "n" * 250,
        "\x1b[2J",
        "\udcff",
        "x.zip",
    )
    if way < 4:
        name = os.fsencode(str(pick(rng, names)))
        os.mkdir(os.path.join(os.fsencode(root), name))
    elif way == 4:
        (root / "loop").symlink_to(root)
    elif way == 5:
        (root / "broken").symlink_to(root / "absent")
    elif way == 6:
        damage.no_file(root / "pipe", str(pick(rng, damage.NO_FILES)))
    elif way == 7:
        (root / "Thumbs.db").write_bytes(b"\0" * 99)
        (root / ".DS_Store").write_bytes(b"\0" * 99)
    elif way == 8:
        otb(root / "Wolf", "Wolf")
    elif way == 9:
        deep = root
        for n in range(40):
            deep = deep / f"d{n}"
        deep.mkdir(parents=True)
    else:
        for n in range(200):
            (root / f"e{n}").mkdir()
    return Case(lambda: Loaded(root, layout), judged(2))


@SETS.kind("A folder that is no data set: absent, a file, empty, one of its own sequences.")
def no_set(rng: Rng, folder: Path) -> Case:
    layout = str(pick(rng, (*LAYOUTS, "auto", "unknown")))
    root = folder / "data"
    way = int(rng.integers(6))
    if way == 1:
        root.write_text("x")
    elif way == 2:
        root.mkdir()
    elif way == 3:
        otb(folder, "data")
    elif way == 4:
        damage.no_file(root, str(pick(rng, damage.NO_FILES)))
    elif way == 5:
        root = Path(
            str(pick(rng, ("a\0b", "x" * 5000, "", "/dev/null", "/proc/self/fd", "~nobody")))
        )
    return Case(lambda: Loaded(root, layout), judged(0))


@SETS.kind("Two sequences of one name, or names that are one where case does not count.")
def same_name(rng: Rng, folder: Path) -> Case:
    root = folder / "data"
    first = lasot(root, "cat-1")
    shutil.copytree(first, root / "dog" / "cat-1")

    def judge(found: Loaded) -> str:
        return "both are used"

    return Case(lambda: Loaded(root, "lasot"), judge, ("cat-1",))


@SETS.kind("Names that are numbers of thousands of digits, or digits of other scripts.")
def frame_names(rng: Rng, folder: Path) -> Case:
    layout = str(pick(rng, ("otb", "got10k", "plain")))
    place = written(folder / "data", layout)[0]
    path = sorted(place.rglob("*.jpg"))[-1]
    odd = (
        "9" * 200,
        "\u0665",
        "\u00b2",
        "1e3",
        "-1",
        "0x5",
        "5 ",
        " 5",
        "5.5",
        "٣",
        "0" * 200 + "4",
        "4\n",
        "\x1b[2J4",
    )
    path.rename(path.with_name(f"{pick(rng, odd)}.jpg"))
    return Case(lambda: Loaded(folder / "data", layout), judged(1, layout))


def _list(layout: str) -> Callable[[Rng, Path], tuple[str, bytes]]:
    def sound(rng: Rng, folder: Path) -> tuple[str, bytes]:
        written(folder / "data", layout)
        return "data/list.txt", (folder / "data" / "list.txt").read_bytes()

    return sound


def _of_list(layout: str) -> Callable[[Path, bytes], Case]:
    def of(path: Path, sound: bytes) -> Case:
        known = set(LAYOUTS[layout][1])

        def judge(found: Loaded) -> str:
            listed = {line.strip() for line in path.read_bytes().decode("utf-8-sig").splitlines()}
            missing = listed & known - set(found.boxes)
            if missing:
                return f"{missing} are listed, and not read: {found.faults}"
            unlisted = known - listed
            said = " ".join(found.notes)
            return "" if all(name in said for name in unlisted) else f"{unlisted} are not mentioned"

        return Case(lambda: Loaded(path.parent, layout), judge, ("list.txt", "data"))

    return of


for _layout in LISTED:
    add_changes(LISTS, TEXT, _list(_layout), _of_list(_layout), f"{_layout}: ")
    add_no_files(LISTS, _list(_layout), _of_list(_layout), f"{_layout}: ")


@LISTS.kind("Names in a list that lead elsewhere.")
def leads(rng: Rng, folder: Path) -> Case:
    layout = str(pick(rng, LISTED))
    written(folder / "data", layout)
    otb(folder, "secret")
    odd = ("../secret", str(folder / "secret"), "..", ".", "ball/../../secret", "~", "a" * 300,
        "ball\0",
           "\x1b[2J", "con", "-rf", "$(id)", "list.txt", "ball/color", "\u202e",
           "ba\u0000ll")  # fmt: skip
    first = LAYOUTS[layout][1][0]
    (folder / "data" / "list.txt").write_text(f"{first}\n{pick(rng, odd)}\n", encoding="utf-8")

    def judge(found: Loaded) -> str:
        return "it is read" if len(found.boxes) > 1 else ""

    return Case(lambda: Loaded(folder / "data", layout), judge, ("list.txt",))

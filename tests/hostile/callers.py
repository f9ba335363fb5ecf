"""What Python callers pass, and the programs that were exported."""

import contextlib
import decimal
import fractions
import functools
import json
import shutil
import tempfile
from collections import UserList
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hcft_jax.api import Tracker, TrackError
from hcft_jax.core.config import TrackerConfig
from hcft_jax.export import programs
from hcft_jax.export.exported import ExportedTracker, ExportError
from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup
from tests.hostile import images
from tests.hostile.kinds import Case, Door, Rng, pick
from tests.hostile.mutations import BINARY, add_no_files
from tests.hostile.weights import odd_json
from tests.small import NAME, SMALL

PYTHON = Door("Python calls", share=4)
EXPORTED = Door("exported", share=3)

BOX = (12.0, 9.0, 20.0, 16.0)


class Odd:
    """An object whose every use fails."""

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no\narray")

    def __str__(self) -> str:
        raise OSError("no text")

    __repr__ = __str__

    def __len__(self) -> int:
        raise KeyError("no length")

    def __iter__(self) -> Any:
        raise TypeError("no items")


@functools.cache
def tracker() -> Tracker:
    """Return a tracker that is quickly compiled."""
    return Tracker(SMALL, lookup.random(NAME))


@functools.cache
def image() -> np.ndarray:
    """Return an image, RGB uint8."""
    return np.asarray(images.picture(size=(64, 48)))


@functools.cache
def expected() -> np.ndarray:
    """Return the boxes of the sound image, three times the same."""
    tracker().init(image(), BOX)
    return np.stack([tracker().update(image()).box for _ in range(2)])


def odd_values() -> list[Any]:
    """Return values that are neither an image nor a box; what they need is compiled."""
    expected()
    whole = image()
    records = np.zeros(4, [("x", "f4"), ("y", "f4")])
    return [None, "text", b"bytes", 1, 1.5, 10**400, 1j, True, [], (), {}, {"a": 1}, set(),
        object(), Odd(),
            (n for n in range(4)), range(4), range(5), lambda: 0, int, np.array("x"),
            np.array(None), np.zeros(0),
            np.zeros((0, 0, 3), np.uint8), np.zeros((5, 5, 4), np.uint8), np.zeros((5,), np.uint8),
            records,
            np.zeros((2, 5, 5, 3), np.uint8), whole.astype(np.float32) / 255,
            whole.astype(np.int64), whole > 9,
            whole.astype(complex), whole.astype(object), np.full((48, 64, 3), np.nan),
            np.ma.masked_array(whole, whole > 9),
            np.full((48, 64, 3), -1.0), np.full((48, 64, 3), 1e30), whole.tolist(), whole[..., 0],
            whole[:9], "a\0b",
            np.datetime64("2020-01-01"), decimal.Decimal(3), fractions.Fraction(1, 3), UserList([1,
            2, 3, 4]),
            (1, 2, 3), (1, 2, 3, 4, 5), (np.nan, 1, 2, 3), (0, 0, 0, 0), (9, 9, -5, 5), (1e300, 1,
            2, 3), "1,2,3,4",
            ("1", "2", "3", "4"), (None,) * 4, ([1], 2, 3, 4), (10**400, 1, 2, 3), (1e-40,) * 4,
            {"x": 1, "y": 2},
            np.array([[1, 2, 3, 4]]), np.array([1, 2, 3, 4], np.float16), (True, False, True, True),
            (1000,
            1000, 5, 5), whole[::-1],
            np.asfortranarray(whole), whole.astype(">u2"), whole[..., ::-1],
            memoryview(whole.tobytes()), [[1,
            2], [3]],
            np.array([1, 2, 3, 4], object)]  # fmt: skip


def _is_image(value: Any) -> np.ndarray | None:
    """Return what is meant by an image that may be accepted, float64; None: nothing is."""
    with contextlib.suppress(Exception):
        array = np.asarray(value)
        if array.shape[:2] == (48, 64) and array.dtype.kind in "uf":
            return array.astype(np.float64)
    return None


def _shown(value: Any) -> tuple[str, ...]:
    """How a text is named in a message."""
    return (repr(value)[:20],) if isinstance(value, str) else ()


def _fine(result: Any) -> str:
    box = np.asarray(result.box)
    good = box.shape == (4,) and np.isfinite(box).all() and (box[2:] > 0).all()
    return "" if good else f"it answers {result}"


@PYTHON.kind("An image of another kind, shape, type or range.")
def first_image(rng: Rng, folder: Path) -> Case:
    value = pick(rng, odd_values())
    return Case(lambda: tracker().init(value, BOX), _fine, ("image", "box", *_shown(value)))


@PYTHON.kind("A later image of another kind, shape, type or range: the state stays.")
def later_image(rng: Rng, folder: Path) -> Case:
    value = pick(rng, odd_values())

    def open_() -> Any:
        tracker().init(image(), BOX)
        try:
            result = tracker().update(value)
        except InputError:
            after = tracker().update(image()).box
            assert np.array_equal(after, expected()[0]), "a refused image has changed the state"
            raise
        return result

    def judge(result: Any) -> str:
        return _fine(result) if _is_image(value) is not None else f"{type(value)} is taken"

    return Case(open_, judge, ("image", *_shown(value)))


@PYTHON.kind("A box that is none.")
def box(rng: Rng, folder: Path) -> Case:
    value = pick(rng, odd_values())
    return Case(lambda: tracker().init(image(), value), _fine, ("box",))


@PYTHON.kind("Frames that are no frames, or of which a later one is none.")
def frames(rng: Rng, folder: Path) -> Case:
    value = pick(rng, odd_values())
    given: Any = value if rng.integers(2) else [image(), image(), value]

    def judge(track: Any) -> str:
        return "" if np.isfinite(track.boxes).all() else "boxes that are not finite"

    return Case(lambda: tracker().track(given, BOX), judge, refuses=(TrackError,))


@PYTHON.kind("A configuration or weights of another kind.")
def settings(rng: Rng, folder: Path) -> Case:
    value = pick(rng, [v for v in odd_values() if v is not None])
    if rng.integers(2):
        return Case(lambda: Tracker(value), lambda _: "it is accepted")
    return Case(lambda: Tracker(SMALL, value), lambda _: "it is accepted")


@PYTHON.kind("A constant of the tracker that is no number, or none that float32 has.")
def constant(rng: Rng, folder: Path) -> Case:
    import dataclasses

    name = str(pick(rng, [field.name for field in dataclasses.fields(TrackerConfig)]))
    odd = (
        *odd_values()[:24],
        1e300,
        1e-46,
        -1.0,
        float("nan"),
        float("inf"),
        2**70,
        ("a",),
        (1e300,),
        0,
    )
    value = pick(rng, odd)

    def open_() -> TrackerConfig:
        return dataclasses.replace(SMALL, **{name: value}).validate()

    def judge(config: TrackerConfig) -> str:
        import jax

        leaves = [np.float32(leaf) for leaf in jax.tree.leaves(config)]
        return "" if np.isfinite(leaves).all() else f"{name}={value!r} is accepted"

    return Case(open_, judge)


# exported programs


@functools.cache
def exported() -> Path:
    """Return a folder of exported programs."""
    place = Path(tempfile.mkdtemp(prefix="hostile-exported-"))
    programs.write(
        place, SMALL, lookup.random(NAME), programs.largest((48, 64), (24, 24)), ("cpu",)
    )
    return place


def _copied(folder: Path) -> Path:
    _sound_answer()  # compiled
    return Path(shutil.copytree(exported(), folder / "e"))


def _answers(folder: Path) -> np.ndarray:
    loaded = ExportedTracker(folder)
    loaded.init(image(), BOX)
    return np.asarray(loaded.update(image())[0])


@functools.cache
def _sound_answer() -> np.ndarray:
    return _answers(exported())


def _judge_exported(answer: Any) -> str:
    return "" if np.array_equal(answer, _sound_answer()) else "another box"


def _of_exported(path: Path, sound: bytes) -> Case:
    return Case(
        lambda: _answers(path.parent),
        _judge_exported,
        (path.name, "exported for", "the manifest has"),
        (ExportError,),
    )


FILES = ("manifest.json", "begin.jaxexport", "init.jaxexport", "step.jaxexport", "weights.npz")


def _exported_file(rng: Rng, folder: Path) -> tuple[str, bytes]:
    path = _copied(folder) / str(pick(rng, FILES))
    return str(path.relative_to(folder)), path.read_bytes()


def _add_exported() -> None:
    for name, (why, change) in BINARY.items():

        def make(rng: Rng, folder: Path, change: Callable[..., bytes] = change) -> Case:
            file, content = _exported_file(rng, folder)
            (folder / file).write_bytes(change(rng, content))
            return _of_exported(folder / file, content)

        EXPORTED.add(name, why, make)


_add_exported()
add_no_files(EXPORTED, _exported_file, _of_exported)


@EXPORTED.kind("A manifest whose values are of another kind.")
def manifest(rng: Rng, folder: Path) -> Case:
    path = _copied(folder) / "manifest.json"
    path.write_text(json.dumps(odd_json(rng, json.loads(path.read_text()))))

    def judge(answer: Any) -> str:
        given = json.loads(path.read_text())
        same = given["image"] == [48, 64]  # what the image is padded to
        return _judge_exported(answer) if same else ""

    names = ("manifest.json", "exported for", "not the file", "box", "RGB", "no program")
    return Case(lambda: _answers(path.parent), judge, names, (ExportError,))


@EXPORTED.kind("Files that fit their digests and are no programs, or no arrays.")
def forged(rng: Rng, folder: Path) -> Case:
    import hashlib

    place = _copied(folder)
    name = str(pick(rng, FILES[1:]))
    change = BINARY[str(pick(rng, BINARY))][1]
    content = change(rng, (place / name).read_bytes())
    (place / name).write_bytes(content)
    given = json.loads((place / "manifest.json").read_text())
    given["sha256"][name] = hashlib.sha256(content).hexdigest()
    (place / "manifest.json").write_text(json.dumps(given))
    return Case(lambda: ExportedTracker(place), None, (name,), (ExportError,))


@EXPORTED.kind("An image or box of another kind.")
def arguments(rng: Rng, folder: Path) -> Case:
    value, way = pick(rng, odd_values()), int(rng.integers(3))

    def open_() -> Any:
        loaded = _loaded()
        if way == 0:
            loaded.init(value, BOX)
        elif way == 1:
            loaded.init(image(), value)
        else:
            loaded.init(image(), BOX)
            return np.asarray(loaded.update(value)[0])
        return np.asarray(loaded.update(image())[0])

    def judge(answer: np.ndarray) -> str:
        return "" if np.isfinite(answer).all() else f"it answers {answer}"

    return Case(open_, judge, ("image", "box", "RGB"), (ExportError,))


@functools.cache
def _loaded() -> ExportedTracker:
    return ExportedTracker(exported())

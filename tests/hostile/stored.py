"""What runs leave and later commands read: records, response maps, results of the toolkit."""

import functools
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from hcft_jax.benchmark import benchmark
from hcft_jax.data import otb
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.evaluation import responses, toolkit
from hcft_jax.experiment.settings import Experiment
from hcft_jax.own_video.tracking import VideoFiles
from hcft_jax.run.identity import Identity
from hcft_jax.util.errors import InputError
from tests.hostile.kinds import Case, Door, Rng, pick
from tests.hostile.mutations import BINARY, TEXT, add_changes, add_no_files
from tests.hostile.weights import archived, by_scipy_numbers, entries, member, odd_json

RECORDS = Door("records", share=6)
RESPONSES = Door("responses", share=4)
PUBLISHED = Door("results .mat", share=5)

NAME = "synthetic-0"


def _experiment(place: Path) -> Experiment:
    return Experiment(
        "x",
        method="got10k:tests.benchmark.follower:Follower",
        data_dir=str(place / "data"),
        output_dir=str(place / "out"),
    )


@functools.cache
def finished() -> Path:
    """Return a folder with a sequence, and the finished results of a benchmark on it."""
    place = Path(tempfile.mkdtemp(prefix="hostile-finished-"))
    drawn = Synthetic(seed=0, frames=9, height=40, width=48, target=(12, 12), motion=8.0)
    otb.write(synthetic(drawn), place / "data")
    benchmark.run(_experiment(place))
    return place


def _record(rng: Rng, folder: Path) -> tuple[str, bytes]:
    """Copy the finished results; return the path of a record, or another file of theirs."""
    shutil.copytree(finished(), folder, dirs_exist_ok=True)
    (out,) = (folder / "out").iterdir()
    part = pick(rng, (f"speed/{NAME}.json",) * 4 + (f"ope/{NAME}.txt", "summary.json"))
    path = out / str(part)
    return str(path.relative_to(folder)), path.read_bytes()


def resumed(folder: Path) -> bytes:
    """Give the same command again; return the boxes that it leaves."""
    outcome = benchmark.run(_experiment(folder))
    if outcome.failed:
        (why,) = outcome.failed.values() if isinstance(outcome.failed, dict) else [outcome.failed]
        raise InputError(f"failed: {why}")
    return next(outcome.folder.glob(f"ope/{NAME}.txt")).read_bytes()


def boxes_of(content: bytes) -> list[list[float]]:
    """Return the numbers of a result file."""
    lines = content.decode("utf-8-sig").split("\n")
    return [[float(part) for part in line.split(",")] for line in lines if line.strip()]


def _of_record(path: Path, sound: bytes) -> Case:
    folder = path.parents[3 if path.parent.name in ("speed", "ope") else 2]
    (expected,) = finished().glob(f"out/*/ope/{NAME}.txt")

    def judge(answer: bytes) -> str:
        rows = boxes_of(answer)
        return "" if rows == boxes_of(expected.read_bytes()) else "it leaves other boxes"

    return Case(lambda: resumed(folder), judge, (NAME, path.name))


add_changes(RECORDS, TEXT, _record, _of_record)
add_no_files(RECORDS, _record, _of_record)


@RECORDS.kind("A record is JSON, but a value in it is of another kind.")
def other_value(rng: Rng, folder: Path) -> Case:
    _record(rng, folder)
    path = next(folder.glob(f"out/*/speed/{NAME}.json"))
    content = odd_json(rng, json.loads(path.read_text()))
    path.write_text(json.dumps(content))
    return _of_record(path, b"")


@RECORDS.kind("JSON that is valid and no record: very deep, very long numbers, bare values.")
def odd_record(rng: Rng, folder: Path) -> Case:
    _record(rng, folder)
    path = next(folder.glob(f"out/*/speed/{NAME}.json"))
    path.write_text(str(pick(rng, JSONS)), encoding="utf-8", errors="surrogatepass")
    return _of_record(path, b"")


JSONS = (
    *("null", "true", "3", '"text"', "[]", "{}", "[" * 900 + "]" * 900, "[" * 100_000, "1e999"),
    *('{"a":' * 400 + "1" + "}" * 400, '{"identity":' * 990 + "{}" + "}" * 990),
    *('{"a": ' + "9" * 6000 + "}", '{"a": NaN}', '{"a": 1, "a": 2}', '{"\ud800": 1}', "{]"),
    *('{"frames": NaN}', '{"frames": Infinity, "seconds": -1, "compile_seconds": 0}'),
    *('{"frames": true, "seconds": 1, "compile_seconds": 0}', '{"identity": [], "frames": 8}'),
    *('{"frames": 8, "seconds": "1", "compile_seconds": null}', '{"frames": 1e13}'),
)


@RECORDS.kind("Any JSON in the place of an identity: it differs, and nothing else happens.")
def identity(rng: Rng, folder: Path) -> Case:
    (record,) = finished().glob(f"out/*/speed/{NAME}.json")
    sound = json.loads(record.read_text())["identity"]
    changed = odd_json(rng, sound)
    boxes = tuple(tuple(box) for box in sound["boxes"])
    own = Identity(sound["settings"], boxes, None, 0, sound["frames"]["count"] - 1, None)

    def judge(answer: str) -> str:
        return "" if isinstance(answer, str) and answer else "it counts as the same"

    return Case(lambda: own.differs(changed), judge)


@RECORDS.kind("The summary of one's own video is damaged, and its folder is looked up again.")
def summary_of_video(rng: Rng, folder: Path) -> Case:
    place = folder / "clip-01234567"
    place.mkdir()
    for name in ("boxes.csv", "overlay.mp4"):
        (place / name).write_text("x")
    text = {"identity": {"method": 1, "settings": "s", "boxes": [[1, 2, 3, 4]], "frames": {}}}
    change = TEXT[str(pick(rng, TEXT))][1]
    content = change(rng, json.dumps(text, indent=2).encode())
    if rng.integers(2):
        content = str(pick(rng, JSONS)).encode("utf-8", "surrogatepass")
    (place / "summary.json").write_bytes(content)
    files = VideoFiles(place, ("",), ("overlay",))
    own = Identity("s", ((1.0, 2.0, 3.0, 4.0),), None, 0, 8)

    def judge(answer: Path | None) -> str:
        if answer is None:  # tracked anew
            return ""
        recorded = json.loads(content.decode("utf-8-sig"))
        return "" if "identity" not in recorded else "it is taken for the same"

    return Case(lambda: files.found(own), judge, ("summary.json",))


# response maps


@functools.cache
def maps() -> bytes:
    """Return a sound file of response maps."""
    values = np.random.default_rng(0).normal(0.1, 0.3, (3, 2, 5, 7)).astype(np.float32)
    given: dict[str, Any] = {
        "layers": ["conv5_4", "conv4_4"],
        "gamma": [1.0, 0.5],
        "grid": (5, 7),
        "window": (21, 30),
        "cell": (4.0, 5.5),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "Deer.npz")
        with responses.writing(path, 3, **given) as writer:
            writer.write(None, np.zeros((1, 2)), np.array([np.nan]))
            writer.write(values[:2], np.arange(4.0).reshape(2, 2), np.array([3.0, 4.0]))
        return path.read_bytes()


def _maps(rng: Rng, folder: Path) -> tuple[str, bytes]:
    return "Deer.npz", maps()


def _of_maps(path: Path, sound: bytes) -> Case:
    def judge(answer: responses.Responses) -> str:
        with np.load(path, allow_pickle=False) as given:
            for name, value in answer._asdict().items():
                if not np.array_equal(np.asarray(value), given[name], equal_nan=name != "layers"):
                    return f"{name} is not what NumPy reads"
        return ""

    return Case(lambda: responses.read(path), judge, (path.name,))


add_changes(RESPONSES, BINARY, _maps, _of_maps)
add_no_files(RESPONSES, _maps, _of_maps)


@RESPONSES.kind("An array of another type, shape or value, in a sound archive.")
def other_array(rng: Rng, folder: Path) -> Case:
    parts = entries(maps())
    at = str(pick(rng, parts))
    odd: tuple[Any, ...] = (np.zeros(0), np.zeros((3, 2)), np.array("x"), np.array(["a", "b"]), -1,
        0,
           np.full(2, np.inf), np.full((3, 2), np.nan, np.float32), np.zeros((3, 2), np.float32),
           np.array([1, 2]), np.array([2**62, 1]), np.array([1e300, 1.0]), np.zeros((3,),
           np.float16),
           np.zeros((3, 2, 0, 7), np.uint8), np.array([1 + 2j, 2]), np.array([True, False]),
           np.zeros((200, 2, 500, 500), np.uint8))  # fmt: skip
    with tempfile.TemporaryFile() as file:
        np.save(file, pick(rng, odd))
        file.seek(0)
        parts[at] = file.read()
    path = folder / "Deer.npz"
    path.write_bytes(archived(parts, zipfile.ZIP_DEFLATED))
    return _of_maps(path, b"")


@RESPONSES.kind("A header that declares more than there is.")
def header(rng: Rng, folder: Path) -> Case:
    parts = entries(maps())
    shape = str(
        pick(rng, ("(10**6, 10**6)", "(2**40,)", "(3, 2, 5, 7)", "(-3,)", "(3, 2, 50000, 70000)"))
    )
    parts[str(pick(rng, parts))] = member(
        str(pick(rng, ("'|u1'", "'<f4'", "'|O'"))), shape, bytes(99)
    )
    path = folder / "Deer.npz"
    path.write_bytes(archived(parts))
    return _of_maps(path, b"")


# results of the MATLAB toolkit

_BOXES = np.array([[30 + t, 40 - t, 20 + 300 * (t == 2), 25.5] for t in range(8)], np.float64)


@functools.cache
def published(packed: bool, runs: int) -> bytes:
    """Return a sound file of the toolkit's."""
    cell = np.empty((1, runs), object)
    for n in range(runs):
        cell[0, n] = {
            "type": "rect",
            "res": _BOXES,
            "startFrame": 1.0,
            "len": 8.0,
            "tmplsize": [[9, 9]],
        }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "Deer_x.mat")
        scipy.io.savemat(path, {"results": cell}, do_compression=packed)
        return path.read_bytes()


def _published(rng: Rng, folder: Path) -> tuple[str, bytes]:
    return "Deer_x.mat", published(bool(rng.integers(2)), int(pick(rng, (1, 3))))


def _of_published(path: Path, sound: bytes) -> Case:
    def judge(answer: list[toolkit.Published]) -> str:
        if all(np.array_equal(run.boxes, _BOXES) for run in answer):
            return ""
        there = by_scipy_numbers(path)
        if isinstance(there, str):
            return f"other boxes; {there}"
        for run in answer:
            with np.errstate(over="ignore"):
                boxes = np.asarray(run.boxes, np.float32).ravel(order="F")
            boxes = np.where(np.isfinite(boxes), boxes, np.nan)
            whole = any(
                len(a) == len(boxes)
                and np.array_equal(np.where(np.isfinite(a), a, np.nan), boxes, equal_nan=True)
                for a in there
            )
            if not whole:
                return "these boxes are not what SciPy reads"
        return ""

    return Case(lambda: toolkit.read_runs(path), judge, (path.name,))


add_changes(PUBLISHED, BINARY, _published, _of_published)
add_no_files(PUBLISHED, _published, _of_published)


@PUBLISHED.kind("Fields of a run are missing, or of another kind, type or size.")
def fields(rng: Rng, folder: Path) -> Case:
    run: dict[str, Any] = {"type": "rect", "res": _BOXES, "startFrame": 1.0}
    odd = (None, "text", 3, np.zeros((0, 4)), np.zeros((3, 5)), np.full((3, 4), np.nan), [[1, 2]],
           np.full((2, 4), 1e308), np.array([[1 + 2j] * 4]), {"a": 1}, "x" * 100_000, np.inf,
           "4corner", "ivtAff", "L1Aff", "SIMILARITY", "LK_Aff", "affine", "RECT",
           -1e300)  # fmt: skip
    for _ in range(int(rng.integers(1, 3))):
        value = pick(rng, odd)
        name = str(pick(rng, ("type", "res", "startFrame", "tmplsize")))
        if value is None:
            run.pop(name, None)
        else:
            run[name] = value
    cell = np.empty((1, 1), object)
    cell[0, 0] = run
    path = folder / "Deer_x.mat"
    scipy.io.savemat(path, {"results": pick(rng, (cell, cell, cell, run or 3, "text", 3))})

    def judge(answer: list[toolkit.Published]) -> str:
        good = all(run.boxes.ndim == 2 and run.boxes.shape[1] == 4 for run in answer)
        return "" if good else "boxes of another shape"

    return Case(lambda: toolkit.read_runs(path), judge, (path.name,))

"""Files of a network's weights in every format, of a VGG-19 with a few channels."""

import contextlib
import functools
import io
import json
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup, native, torch_file
from tests.hostile.kinds import Case, Door, Rng, pick, same_arrays
from tests.hostile.mutations import BINARY, WORDS, add_changes, add_no_files
from tests.weights import test_importers as makers

NPZ = Door("weights .npz", share=5)
MAT = Door("weights .mat", share=5)
PTH = Door("weights .pth", share=5)
H5 = Door("weights .h5", share=1.2)

DATA = Path(__file__).parents[1] / "data"


@functools.cache
def sounds(form: str) -> dict[str, bytes]:
    """Return sound files of a format by name."""
    params = makers.tiny()
    found: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def keep(path: Path) -> Path:
            found[path.name] = path.read_bytes()
            return path

        if form == "npz":
            foreign = keep(makers.write_npz(folder / "foreign.npz", params))
            native.save(folder / "native.npz", lookup.load(foreign))
            keep(folder / "native.npz")
            with np.load(foreign) as arrays:
                np.savez_compressed(folder / "packed.npz", **arrays)
            keep(folder / "packed.npz")
        elif form == "mat":
            for generation in ("oldest", "old", "new", "net"):
                keep(makers.write_mat(folder / f"{generation}.mat", params, generation))
            keep(packed(folder / "new.mat", folder / "packed.mat"))
        elif form == "h5":
            for layout in ("2016", "bare", "model", "nested"):
                keep(makers.write_keras(folder / f"{layout}.h5", params, layout))
        else:
            for path in DATA.glob("torch_*.pth"):
                keep(path)
    return found


def packed(source: Path, target: Path) -> Path:
    """Write a MATLAB file as MATLAB itself does, each variable compressed."""
    import scipy.io

    content = scipy.io.loadmat(source)
    kept = {name: value for name, value in content.items() if not name.startswith("__")}
    scipy.io.savemat(target, kept, do_compression=True)
    return target


@functools.cache
def expected(form: str, name: str) -> dict[str, np.ndarray]:
    """Return the arrays of a sound file as the program reads them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(sounds(form)[name])
        return loaded(path)


def loaded(path: Path) -> dict[str, np.ndarray]:
    """Read a file as the commands do, or, of another network, as the reader does."""
    if path.suffix == ".pth":
        return torch_file.read(path)
    return dict(native._flat(lookup.load(path).params))


def _answer(path: Path) -> Callable[[], dict[str, np.ndarray]]:
    def read() -> dict[str, np.ndarray]:
        if path.suffix == ".pth":  # the way that a command takes; then what is in it
            with contextlib.suppress(InputError):
                lookup._load(path, "caffe")
        return loaded(path)

    return read


def case(form: str) -> Callable[[Path, bytes], Case]:
    """Return what makes the case of a file."""

    def of(path: Path, sound: bytes) -> Case:
        def judge(answer: dict[str, np.ndarray]) -> str:
            fault = same_arrays(answer, expected(form, path.name))
            return fault and OTHERS[form](path, answer, fault)

        return Case(_answer(path), judge, (path.name,))

    return of


def by_numpy(path: Path, answer: dict[str, np.ndarray], fault: str) -> str:
    """Compare with NumPy's reader: a file may be another one, and sound."""
    try:
        with np.load(path, allow_pickle=False) as given:
            arrays = {name: given[name].astype(np.float32) for name in given.files
                      if "/" in name}  # fmt: skip
    except Exception as error:
        return f"{fault}; NumPy refuses it ({error})"
    found = {name: array for name, array in answer.items() if not name.startswith("normal")}
    return same_arrays(found, {n: a for n, a in arrays.items() if not n.startswith("normal")})


_SCIPY = """
import sys, numpy as np, scipy.io
found = []
def walk(value):
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        found.append(np.asarray(value, np.float32).ravel(order="F"))
    elif isinstance(value, np.ndarray) and value.dtype.kind == "O":
        for one in value.ravel(order="F"):
            walk(one)
    elif isinstance(value, np.ndarray) and value.dtype.fields:
        for name in value.dtype.fields:
            walk(value[name])
content = scipy.io.loadmat(sys.argv[1])
for name, value in content.items():
    if not name.startswith("__"):
        walk(value)
np.savez(sys.argv[2], *found)
"""


def by_scipy_numbers(path: Path) -> list[np.ndarray] | str:
    """Return the numbers of all arrays that SciPy reads, float32 and flat, or why it does not.

    It has a process of its own, which damage may end.
    """
    target = path.with_name("by_scipy.npz")
    command = [sys.executable, "-c", _SCIPY, str(path), str(target)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=15)
    if done.returncode:
        return f"SciPy does not read it ({done.stderr[-200:]!r})"
    with np.load(target) as given:
        return [given[name] for name in given.files]


def by_scipy(path: Path, answer: dict[str, np.ndarray], fault: str) -> str:
    """Compare with SciPy."""
    found = by_scipy_numbers(path)
    if isinstance(found, str):
        return f"{fault}; {found}"
    there = {array.tobytes() for array in found}
    for name, array in answer.items():
        if not name.startswith("normal") and array.ravel(order="F").tobytes() not in there:
            return f"{name} is not what SciPy reads"
    return ""


def by_payload(path: Path, answer: dict[str, np.ndarray], fault: str) -> str:
    """Look for the numbers of each array in the file, where they stand one after the other."""
    content = path.read_bytes()
    if zipfile.is_zipfile(path):  # its checksums were right
        with zipfile.ZipFile(path) as archive:
            content = b"".join(archive.read(name) for name in archive.namelist())
    for name, array in answer.items():
        rows = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
        stored = all(row.tobytes() in content for row in rows)
        if not stored and array.size and not strided(name):
            return f"{fault}; the numbers of {name} are not in the file"
    return ""


def strided(name: str) -> bool:
    """Tell whether a tensor of the test's file is a view with strides."""
    return name in ("transposed", "view")


def by_raw(path: Path, answer: dict[str, np.ndarray], fault: str) -> str:
    """As ``by_payload``, for HDF5, whose kernels are contiguous; conv1_1 is BGR."""
    content = path.read_bytes()
    for name, array in answer.items():
        kept = array[:, :, ::-1] if name == "conv1_1/kernel" else array
        if np.ascontiguousarray(kept).tobytes() not in content and "normal" not in name:
            return f"{fault}; the numbers of {name} are not in the file"
    return ""


OTHERS = {"npz": by_numpy, "mat": by_scipy, "pth": by_payload, "h5": by_raw}


def _sound(form: str) -> Callable[[Rng, Path], tuple[str, bytes]]:
    return lambda rng, folder: pick(rng, sounds(form).items())


for _door, _form in ((NPZ, "npz"), (MAT, "mat"), (PTH, "pth"), (H5, "h5")):
    add_changes(_door, BINARY, _sound(_form), case(_form))
    add_no_files(_door, _sound(_form), case(_form))


def member(descr: str, shape: str, data: bytes = b"", order: str = "False") -> bytes:
    """Return an .npy with any header."""
    head = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    text = head.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def entries(content: bytes) -> dict[str, bytes]:
    """Return the members of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archived(parts: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return an archive of members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


@NPZ.kind("A header of an array that lies about its type or size, with a right checksum.")
def header(rng: Rng, folder: Path) -> Case:
    name = str(pick(rng, sounds("npz")))
    parts = entries(sounds("npz")[name])
    types = ("'<f4'", "'|O'", "'<f2'", "'>f4'", "[('a', '<f4')]", "'<U900000000'", "'V4'",
    "'<M8[s]'",
             "'<c16'", "'|b1'", "''", "1", "'<f4' if 1 else 0", "__import__('os')")  # fmt: skip
    shapes = ("(3,)", "(10**9, 10**3)", "(-1,)", "(0,)", "()", "(2**70,)", "(1,) * 70", "(3, 1)",
              "3", "(3.0,)", "('3',)", "(True, 3)", "None")  # fmt: skip
    at = str(pick(rng, parts))
    parts[at] = member(
        str(pick(rng, types)),
        str(pick(rng, shapes)),
        bytes(12),
        str(pick(rng, ("False", "True", "2"))),
    )
    path = folder / name
    path.write_bytes(archived(parts))
    return case("npz")(path, b"")


@NPZ.kind("Entries that are missing, doubled, renamed, encrypted or in another compression.")
def archive_entries(rng: Rng, folder: Path) -> Case:
    name = str(pick(rng, sounds("npz")))
    parts = entries(sounds("npz")[name])
    at, way = str(pick(rng, parts)), int(rng.integers(6))
    if way == 0:
        del parts[at]
    elif way == 1:
        odd = ("../x.npy", "/x.npy", "a\\b.npy", "x", "x" * 60_000, "\udcff.npy", "metadata.npy")
        parts[str(pick(rng, odd)).encode("utf-8", "replace").decode()] = parts.pop(at)
    elif way == 2:
        parts |= {f"more/{n}.npy": b"" for n in range(int(pick(rng, (1, 9_000, 20_000))))}
    elif way == 3:
        other = member("'<f4'", f"({50 << 20},)") + bytes(200 << 20)
        parts[str(pick(rng, (at, "bomb.npy")))] = other
    method = int(pick(rng, (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)))
    content = bytearray(archived(parts, method if way in (3, 4) else zipfile.ZIP_STORED))
    if way == 5:
        start = content.find(b"PK\x01\x02")
        field = start + int(pick(rng, (8, 10, 16, 20, 24, 28, 42)))
        content[field : field + 2] = (int(pick(rng, WORDS)) & 0xFFFF).to_bytes(2, "little")
    path = folder / name
    path.write_bytes(content)
    return case("npz")(path, b"")


def odd_json(rng: Rng, value: Any) -> Any:
    """Replace a part of plain data by something else."""
    odd: tuple[Any, ...] = (
        None,
        True,
        -1,
        1e308,
        10**400,
        "",
        "x" * 100_000,
        [],
        {},
        [[[[]]]],
        {"a": {}},
        "\0",
        "NaN",
    )
    if isinstance(value, dict) and value and rng.integers(8):
        key = str(pick(rng, value))
        way = int(rng.integers(6))
        if way == 0:
            return {k: v for k, v in value.items() if k != key}
        if way == 1:
            return {**value, "unknown": pick(rng, odd)}
        return {**value, key: odd_json(rng, value[key])}
    if isinstance(value, list) and value and rng.integers(8):
        at = int(rng.integers(len(value)))
        if not rng.integers(4):
            return value[:at] + value[at + 1 :]
        return [*value[:at], odd_json(rng, value[at]), *value[at + 1 :]]
    return pick(rng, odd)


@NPZ.kind("Our own metadata with a value of another kind.")
def metadata(rng: Rng, folder: Path) -> Case:
    parts = entries(sounds("npz")["native.npz"])
    text = json.loads(str(np.load(io.BytesIO(parts["metadata.npy"]))))
    written = json.dumps(odd_json(rng, text))
    if not rng.integers(6):
        written = str(pick(rng, ("[" * 50_000, "{", "null", "9" * 6000, '"\\ud800"', "NaN", "")))
    file = io.BytesIO()
    np.save(file, np.array(written))
    parts["metadata.npy"] = file.getvalue()
    path = folder / "native.npz"
    path.write_bytes(archived(parts))
    return case("npz")(path, b"")


# MATLAB


def _changes_of_mat() -> dict[str, Any]:
    params = makers.tiny()
    kernel = params["conv1_2"]["kernel"]
    return {
        "layers": [3, "text", makers.cell([1, 2]), makers.cell([{"type": 3, "name": "a"}]),
                   makers.cell([{"name": "conv1_1"}] * 40), np.zeros((0, 0)),
                   makers.cell([{"type": "conv", "name": 5, "weights": kernel}])],
        "meta": ["text", 3, {"normalization": 3}, {"normalization": {"averageImage": "x"}},
                 {"normalization": {"averageImage": np.full((3,), np.nan), "imageSize": 1e300}},
                 {"normalization": {"averageImage": np.zeros((4, 4, 4))}},
                 {"normalization": {"averageImage": makers.CAFFE_MEAN, "imageSize": "large"}}],
    }  # fmt: skip


@MAT.kind("A network of the right format whose fields hold other kinds of values.")
def fields(rng: Rng, folder: Path) -> Case:
    name = str(pick(rng, ("layers", "meta")))
    path = folder / "new.mat"
    makers.write_mat(path, makers.tiny(), **{name: pick(rng, _changes_of_mat()[name])})
    return case("mat")(path, b"")


def element(kind: int, content: bytes) -> bytes:
    """Return an element of MATLAB's format."""
    size = kind.to_bytes(4, "little") + (len(content) & 0xFFFFFFFF).to_bytes(4, "little")
    return size + content + bytes(-len(content) % 8)


@MAT.kind("A variable made by hand: endless shapes, nesting, names and sizes.")
def crafted(rng: Rng, folder: Path) -> Case:
    def array(kind: int, shape: tuple[int, ...], *content: bytes) -> bytes:
        flags = element(6, kind.to_bytes(4, "little") + bytes(4))
        axes = element(5, b"".join((n & 0xFFFFFFFF).to_bytes(4, "little") for n in shape))
        return element(14, flags + axes + element(1, b"layers") + b"".join(content))

    def nested(depth: int) -> bytes:
        inner = array(6, (1, 1), element(9, bytes(8)))
        for _ in range(depth):
            inner = array(1, (1, 1), inner)
        return inner

    ways: tuple[Callable[[], bytes], ...] = (
        lambda: array(6, (2**31 - 1, 2**31 - 1), element(9, bytes(8))),
        lambda: array(1, (10**6, 10**3)),
        lambda: nested(int(pick(rng, (20, 40, 2000)))),
        lambda: array(2, (1, 1), element(5, (32).to_bytes(4, "little")), element(1, bytes(3200))),
        lambda: array(2, (2**20, 1), element(5, (32).to_bytes(4, "little")), element(1, b"")),
        lambda: array(int(rng.integers(256)), (1, 1), element(9, bytes(8))),
        lambda: array(6, tuple([1] * int(pick(rng, (1, 33, 3000)))), element(9, bytes(8))),
        lambda: array(4, (1, 3), element(int(pick(rng, (4, 16, 17, 18))), b"\xff\xd8\0")),
        lambda: array(6, (1, 1), element(2, bytes(64 << 10))),
        lambda: element(15, zlib.compress(bytes(300 << 20))),
        lambda: element(15, zlib.compress(array(9, (100 << 20, 1), element(2, bytes(100 << 20))))),
        lambda: array(6, (8 << 20, 1), element(2, bytes(8 << 20))) * 3,
    )
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
    path = folder / "new.mat"
    path.write_bytes(head + ways[int(rng.integers(len(ways)))]())
    return case("mat")(path, b"")

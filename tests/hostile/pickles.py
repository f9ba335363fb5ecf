"""Files of PyTorch that are made to run code, to grow, or to reach beyond their numbers."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hcft_jax.weights import torch_file
from tests.hostile.kinds import Case, Rng, pick, same_arrays
from tests.hostile.weights import PTH, archived, entries, expected, sounds
from tests.weights.test_torch_file import legacy, tensor_pickle


@PTH.kind("Operations of a pickle in any order: what runs code, grows or refers to itself.")
def pickled(rng: Rng, folder: Path) -> Case:
    parts = (b"cos\nsystem\n", b"cbuiltins\neval\n", b"(S'id'\ntR", b"}", b"]", b")", b"(", b"t",
        b"0",
             b"2", b"q\x00", b"h\x00", b"r\xff\xff\xff\x7f", b"j\xff\xff\xff\x7f", b"K\x01", b"N",
             b"\x88",
             b"J\xff\xff\xff\xff", b"\x8a\xff" + b"\xff" * 255, b"\x8b\xff\xff\xff\x7f", b"s", b"u",
             b"e",
             b"a", b"Q", b"R", b"b", b"\x81", b"\x93", b"X\xff\xff\xff\x7f", b"U\x03abc", b"\x94",
             b"\x85",
             b"\x86", b"\x87", b"I1\n", b"L" + b"9" * 5000 + b"L\n", b"F1e999\n", b"V\\ud800\n",
             b"d", b"l",
             b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n",
             b"\x95" + b"\xff" * 8,
             b"ccollections\nOrderedDict\n", b".", b"1", b"\x8f", b"\x90", b"\x91", b"P0\n",
             b"i\n\n",
             tensor_pickle((2, 2), (2, 1))[2:-1])  # fmt: skip
    count = int(pick(rng, (3, 10, 40, 5000)))
    body = b"\x80\x02" + b"".join(pick(rng, parts) for _ in range(count)) + b"."
    return _of_pickle(rng, folder, body)


def _of_pickle(rng: Rng, folder: Path, body: bytes) -> Case:
    path = folder / "torch_vgg_zip.pth"
    if rng.integers(2):
        path.write_bytes(
            legacy(body, pickle.dumps(["0"], 2)) + (4).to_bytes(8, "little") + bytes(16)
        )
    else:
        path.write_bytes(
            archived({"a/data.pkl": body, "a/byteorder": b"little", "a/data/0": bytes(16)})
        )

    def judge(answer: dict[str, np.ndarray]) -> str:
        size = sum(array.nbytes for array in answer.values())
        return f"{size} bytes of tensors from a small file" if size > 1 << 20 else ""

    return Case(lambda: torch_file.read(path), judge, (path.name,))


@PTH.kind("Tensors whose shape, strides and offset reach beyond their storage, or multiply it.")
def tensors(rng: Rng, folder: Path) -> Case:
    odd = (0, 1, 2, 4, 5, -1, 2**31 - 1, -(2**31), 2**20, 10**6)
    axes = int(rng.integers(0, 5))
    shape = tuple(int(pick(rng, odd)) for _ in range(axes))
    strides = tuple(int(pick(rng, odd)) for _ in range(axes if rng.integers(5) else axes + 1))
    return _of_pickle(rng, folder, tensor_pickle(shape, strides, int(pick(rng, odd))))


@PTH.kind("Nested references: a few hundred bytes that stand for billions of values.")
def laughs(rng: Rng, folder: Path) -> Case:
    depth, way = int(pick(rng, (10, 30, 90, 3000))), int(rng.integers(4))
    step = (b"2(22t", b"2\x86", b"]2e", b"(22d")[way]
    wrap = (b"t", b"\x86", b"", b"")[way]
    body = b"\x80\x02(K\x01" + wrap + step * depth + b"."
    if way == 1:
        body = b"\x80\x02K\x01" + b"2\x86" * depth + b"."
    elif way == 2:
        body = b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."
    elif way == 3:
        body = b"\x80\x02" + b"}K\x01" * depth + b"Ns" + b"s" * (depth - 1) + b"."
    return _of_pickle(rng, folder, body)


@PTH.kind("A storage that is a bomb, missing, or in another byte order than declared.")
def storage(rng: Rng, folder: Path) -> Case:
    parts = entries(sounds("pth")["torch_layouts_zip.pth"])
    at = str(pick(rng, [n for n in parts if not n.endswith(".pkl")]))
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: bytes(100 << 20),
        lambda: b"",
        lambda: parts[at] + b"\0",
        lambda: parts[at][:-1],
        lambda: b"middle",
        lambda: b"big",
    )
    parts[at] = ways[int(rng.integers(len(ways)))]()
    path = folder / "torch_layouts_zip.pth"
    path.write_bytes(archived(parts, zipfile.ZIP_DEFLATED))

    def judge(answer: dict[str, np.ndarray]) -> str:
        if parts[at] == b"big":  # all sixteen bits of a number change places
            return ""
        return same_arrays(answer, expected("pth", path.name))

    return Case(lambda: torch_file.read(path), judge, (path.name,))

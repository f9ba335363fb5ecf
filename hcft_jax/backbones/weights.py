"""VGG-19's weights: the native file, where it is looked for, and how it is made of others.

Parameters are the nested dict of ``vgg``: float32 HWIO kernels and biases of the sixteen layers and
the normalization of their training. The native file is an .npz (never pickled) with the keys
``conv1_1/kernel``, ..., ``normalization/mean``, ``normalization/std`` and ``metadata``: JSON that
says where the weights came from and holds their digest.

Command line::

    python -m hcft_jax.backbones.weights fetch
    python -m hcft_jax.backbones.weights convert SOURCE DEST [--preset=torchvision|caffe]
    python -m hcft_jax.backbones.weights check FILE
"""

import argparse
import hashlib
import json
import math
import os
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hcft_jax import download, files
from hcft_jax.backbones import importers, selftest, vgg
from hcft_jax.errors import InputError

FORMAT_VERSION = 1
KERAS_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
KERAS_MD5 = "253f8cb515780f3b799900260a226db6"

Params = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Weights:
    """A network's parameters, where they came from, and a digest that identifies their content."""

    params: Params
    metadata: dict[str, Any]
    digest: str


def load(path: str | Path) -> Weights:
    """Reads a native file, or a foreign one that identifies itself (see ``importers``).

    Raises:
        InputError: missing, truncated, foreign or ambiguous (.pth) file; a missing layer, a wrong
            shape or dtype, or a value that is not finite.
    """
    return _load(Path(path), None)


def save(path: str | Path, weights: Weights) -> None:
    """Writes a native file, whole or not at all.

    Raises:
        InputError: it cannot be written there.
    """
    metadata = json.dumps({**weights.metadata, "digest": weights.digest})
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = _flat(weights.params)
        np.savez(file, metadata=np.array(metadata), **arrays)


def random() -> Weights:
    """He-initialised weights of VGG-19's widths, uniform, from a fixed seed; untrained.

    The same everywhere: of NumPy's streams only a bit generator's integers are promised to stay.
    """
    stream = np.random.PCG64(0)
    params: Params = {}
    for name, shape in vgg.shapes().items():
        integers = stream.random_raw(math.prod(shape)) >> np.uint64(40)  # 24 bits: exact below
        kernel = integers.astype(np.float32).reshape(shape) * np.float32(2**-23) - np.float32(1)
        kernel *= np.float32(math.sqrt(6 / math.prod(shape[:3])))  # variance 2 / fan-in
        params[name] = {"kernel": kernel, "bias": np.zeros(shape[3], np.float32)}
    params["normalization"] = {
        "mean": np.array(importers.OXFORD_MEAN, np.float32),
        "std": np.ones(3, np.float32),
    }
    origin = {"preset": "random, untrained", "file": None, "sha256": None}
    return _weights(params, origin, "RGB")


def find(explicit: str | None) -> Weights:
    """The weights a command uses: as told, from the environment, the cache or the network.

    Args:
        explicit: the value of --weights: a file, "random" for ``random()``, or None to look into
            the environment variable HCFT_WEIGHTS (same values), then the cache, then ``fetch``.

    Raises:
        InputError: the file that was named is unusable, or none is found and the download fails.
    """
    if explicit:
        return random() if explicit == "random" else load(explicit)
    if environment := os.environ.get("HCFT_WEIGHTS"):
        try:
            return random() if environment == "random" else load(environment)
        except InputError as error:
            raise InputError(f"{error} (named by HCFT_WEIGHTS)") from error
    cached = cache_dir() / "vgg19.npz"
    if not cached.exists():
        try:
            fetch(KERAS_URL, KERAS_MD5)
        except InputError as error:
            raise InputError(
                f"no VGG-19 weights: give --weights=FILE, set HCFT_WEIGHTS=FILE, or run 'python -m "
                "hcft_jax.backbones.weights fetch' with a network; --weights=random is untrained, "
                f"for demonstrations (the download failed: {error})"
            ) from error
    try:
        return load(cached)
    except InputError as error:
        raise InputError(f"{error} (the cached copy: delete it and it is fetched again)") from error


def cache_dir() -> Path:
    """$HCFT_CACHE, else $XDG_CACHE_HOME/hcft_jax, else ~/.cache/hcft_jax."""
    if own := os.environ.get("HCFT_CACHE"):
        return Path(own)
    general = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(general, "hcft_jax")


def fetch(url: str = KERAS_URL, md5: str = KERAS_MD5, cache: str | Path | None = None) -> Path:
    """Downloads the Keras file of the Oxford training and keeps it as a native file.

    Resumed where it broke off, and only once for all processes (see ``download``).

    Args:
        url: the Keras "no top" file or a mirror of it.
        md5: its MD5, in hexadecimal; nothing is used before it matches.
        cache: the folder; by default ``cache_dir()``.

    Returns:
        The native file, ``vgg19.npz`` in the cache.

    Raises:
        InputError: no network, no such file on the server, another content, or no room.
    """
    target = (cache_dir() if cache is None else Path(cache)) / "vgg19.npz"

    def convert_part(part: Path) -> None:
        save(target, _load_foreign(part, None, url.rpartition("/")[2]))

    download.download(url, target, md5, convert=convert_part, description="VGG-19")
    return target


def convert(source: str | Path, dest: str | Path, preset: str | None = None) -> Weights:
    """Writes any readable file as a native one.

    Args:
        source: see ``load``; with a preset also .pth.
        dest: the native file.
        preset: one of ``importers.PRESETS``.

    Raises:
        InputError: as ``load`` and ``save``; or the source is the Oxford training and does not pass
            its self-test as imported, as with a wrong preset. Nothing is written then.
    """
    weights = _load(Path(source), preset)
    if selftest.is_oxford(weights.params):
        lines = selftest.inspect(weights.params)
        failed = [text for status, text in lines if status == "FAIL"]
        if failed:
            raise InputError(f"{source}: fails the self-test ({failed[0]}); another --preset?")
    save(dest, weights)
    return weights


def check(path: str | Path) -> bool:
    """Prints the self-test of a file; whether it passed."""
    try:
        weights = load(path)
        lines = [("ok", f"file: complete and finite, digest {weights.digest[:16]}")]
        lines += selftest.inspect(weights.params)
    except InputError as error:
        lines = [("FAIL", str(error))]
    for status, text in lines:
        print(f"{status:4}  {text}")
    return all(status != "FAIL" for status, _ in lines)


def _load(path: Path, preset: str | None) -> Weights:
    if importers.sniff(path) == "npz" and _is_native(path):
        if preset is not None:
            raise InputError(f"{path}: already a native file; leave out --preset={preset}")
        return _load_native(path)
    return _load_foreign(path, preset, path.name)


def _is_native(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "metadata.npy" in archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return False  # the reader of foreign files says what is wrong


def _load_native(path: Path) -> Weights:
    arrays = importers.open_npz(path)
    try:
        metadata = json.loads(str(arrays.pop("metadata")))
        version, digest = metadata["format_version"], metadata.pop("digest")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: unreadable metadata; fetch or convert it again") from error
    if version != FORMAT_VERSION:
        raise InputError(
            f"{path}: native format {version}, but this program reads {FORMAT_VERSION}; "
            "convert it again"
        )
    params: Params = {}
    for key, array in arrays.items():
        layer, _, part = key.partition("/")
        params.setdefault(layer, {})[part] = array
    _validate(params, path)
    if _digest(params) != digest:
        raise InputError(f"{path}: its values do not match its digest; fetch or convert it again")
    return Weights(params, metadata, digest)


def _load_foreign(path: Path, preset: str | None, name: str) -> Weights:
    imported = importers.read(path, preset)
    _validate(imported.params, path)
    origin = {"preset": imported.preset, "file": name, "sha256": _sha256(path)}
    return _weights(imported.params, origin, imported.channel_order)


def _weights(params: Params, origin: dict[str, Any], channel_order: str) -> Weights:
    metadata = {
        "format_version": FORMAT_VERSION,
        "backbone": "vgg19",
        "origin": origin,
        "source_channel_order": channel_order,
        "channel_order": "RGB",
        "input_range": [0, 255],
    }
    return Weights(params, metadata, _digest(params))


def _validate(params: Params, path: Path) -> None:
    """Raises InputError unless ``params`` has exactly VGG-19's arrays, finite and float32."""
    expected: dict[str, tuple[int, ...]] = {"normalization/std": (3,)}
    for name, kernel_shape in vgg.shapes().items():
        expected |= {f"{name}/kernel": kernel_shape, f"{name}/bias": kernel_shape[3:]}
    arrays = _flat(params)
    for key, shape in [*expected.items(), ("normalization/mean", (3,))]:
        if key not in arrays:
            raise InputError(f"{path}: no {key}; not a complete VGG-19 weights file")
        array = arrays[key]
        image = key == "normalization/mean" and array.ndim == 3 and array.shape[2] == 3
        if array.shape != shape and not image:
            raise InputError(f"{path}: {key} has shape {array.shape}; VGG-19 has {shape}")
        if array.dtype != np.float32:
            raise InputError(f"{path}: {key} is {array.dtype}; expected float32")
        if not np.isfinite(array).all():
            raise InputError(f"{path}: {key} holds NaN or infinity; download or convert it again")
    if unknown := sorted(set(arrays) - set(expected) - {"normalization/mean"}):
        raise InputError(f"{path}: unknown array {unknown[0]}; not a VGG-19 weights file")
    mean, std = params["normalization"]["mean"], params["normalization"]["std"]
    if mean.min() < 0 or mean.max() > 255 or std.min() <= 0:
        raise InputError(f"{path}: mean and std must be in [0, 255] and positive, for RGB images")


def _flat(params: Params) -> dict[str, np.ndarray]:
    return {f"{layer}/{part}": a for layer, parts in params.items() for part, a in parts.items()}


def _digest(params: Params) -> str:
    """SHA-256 over name, dtype, shape and values of every array, in the order of the names."""
    state = hashlib.sha256()
    for key, array in sorted(_flat(params).items()):
        state.update(f"{key} {array.dtype.str} {array.shape};".encode())
        state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m hcft_jax.backbones.weights")
    commands = parser.add_subparsers(dest="command", required=True)
    parts = commands.add_parser("fetch", help="download VGG-19 into the cache")
    parts.add_argument("--url", default=KERAS_URL, help="a mirror of the Keras file")
    parts = commands.add_parser("convert", help="write another program's file as a native one")
    parts.add_argument("source")
    parts.add_argument("dest")
    parts.add_argument("--preset", choices=importers.PRESETS, help="what a .pth file is")
    commands.add_parser("check", help="self-test of a file").add_argument("path")
    options = parser.parse_args(arguments)
    try:
        if options.command == "check":
            return 0 if check(options.path) else 1
        if options.command == "fetch":
            print(f"VGG-19 is in {fetch(options.url, KERAS_MD5)}")
        else:
            weights = convert(options.source, options.dest, options.preset)
            origin, order = weights.metadata["origin"], weights.metadata["source_channel_order"]
            mean, std = (weights.params["normalization"][key] for key in ("mean", "std"))
            about = f"mean {mean}" if mean.size == 3 else f"mean image {mean.shape}"
            print(
                f"{options.source}: {origin['preset']}, channels {order} -> RGB, {about}, std {std}"
            )
            print(f"{options.dest}: written, digest {weights.digest}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

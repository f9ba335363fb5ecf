"""Backbones' weights: the native file, where it is looked for, and how it is made of others.

Parameters are the nested dict of ``backbone``: float32 HWIO kernels and biases of the layers and
the normalization of their training. The native file is an .npz (never pickled) with the keys
``conv1_1/kernel``, ..., ``normalization/mean``, ``normalization/std`` (float32, or float16 where
that has all the values) and ``metadata``: JSON that says which network it is, its architecture
where there are several, where the weights came from, and that holds their digest.

Command line::

    python -m hcft_jax.backbones.weights fetch [--backbone=vgg19|alexnet]
    python -m hcft_jax.backbones.weights convert SOURCE DEST [--preset=torchvision|caffe]
    python -m hcft_jax.backbones.weights check FILE
"""

import argparse
import dataclasses
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
from hcft_jax.backbones import importers, registry, selftest
from hcft_jax.backbones.backbone import Backbone, Params
from hcft_jax.errors import InputError

FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class Weights:
    """A network's parameters, where they came from, and a digest that identifies their content."""

    params: Params
    metadata: dict[str, Any]
    digest: str

    @property
    def backbone(self) -> Backbone:
        """Whose parameters they are."""
        return registry.BACKBONES[self.metadata["backbone"]]


def load(path: str | Path) -> Weights:
    """Reads a native file, or a foreign one that identifies itself (see ``importers``).

    Raises:
        InputError: missing, truncated, foreign or ambiguous (.pth) file; a missing layer, a wrong
            shape or dtype, or a value that is not finite.
    """
    return _load(Path(path), None)


def save(path: str | Path, weights: Weights) -> None:
    """Writes a native file, whole or not at all.

    Where every value is one of float16, as those of ``halved`` are, it takes half the room.

    Raises:
        InputError: it cannot be written there.
    """
    metadata = json.dumps({**weights.metadata, "digest": weights.digest})
    with files.replacing(path) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = _flat(weights.params)
        halves = {name: array.astype(np.float16) for name, array in arrays.items()}
        if all(np.array_equal(halves[name], array) for name, array in arrays.items()):
            arrays = halves
        np.savez(file, metadata=np.array(metadata), **arrays)


def halved(params: Params) -> Params:
    """A network's arrays, float32, rounded to values that float16 has."""
    return {
        layer: {part: np.asarray(a).astype(np.float16).astype(np.float32) for part, a in of.items()}
        for layer, of in params.items()
    }


def made(params: Params, backbone: str, origin: dict[str, Any]) -> Weights:
    """Weights that were learned here: of RGB images, with where they come from as plain data."""
    network = registry.get(backbone)
    rest = {"preset": "learned", "file": None, "sha256": None}
    return _weights(params, network, rest | origin, "RGB")


def random(backbone: str = registry.DEFAULT) -> Weights:
    """He-initialised weights of a backbone's widths, uniform, from a fixed seed; untrained.

    The same everywhere: of NumPy's streams only a bit generator's integers are promised to stay.
    """
    network = registry.get(backbone)
    stream = np.random.PCG64(0)
    params: Params = {}
    for name, shape in network.shapes(network.architecture).items():
        integers = stream.random_raw(math.prod(shape)) >> np.uint64(40)  # 24 bits: exact below
        kernel = integers.astype(np.float32).reshape(shape) * np.float32(2**-23) - np.float32(1)
        kernel *= np.float32(math.sqrt(6 / math.prod(shape[:3])))  # variance 2 / fan-in
        params[name] = {"kernel": kernel, "bias": np.zeros(shape[3], np.float32)}
    params["normalization"] = {
        "mean": np.array(importers.OXFORD_MEAN, np.float32),
        "std": np.ones(3, np.float32),
    }
    if network.architecture is not None:
        params["architecture"] = network.architecture
    origin = {"preset": "random, untrained", "file": None, "sha256": None}
    return _weights(params, network, origin, "RGB")


def find(explicit: str | None, backbone: str = registry.DEFAULT) -> Weights:
    """The weights of a backbone that a command uses: as told, or from where they usually are.

    Args:
        explicit: the value of --weights: a file, "random" for ``random()``, or None to look into
            the backbone's environment variable (same values; HCFT_WEIGHTS for VGG-19,
            HCFT_WEIGHTS_ALEXNET for AlexNet), then into the package where it has them (Compact),
            then the cache, then ``fetch``.
        backbone: its name.

    Raises:
        InputError: the file that was named is unusable or another network's, or none is found and
            the download fails.
    """
    network = registry.get(backbone)
    if explicit:
        return _named(explicit, network)
    if environment := os.environ.get(network.environment):
        try:
            return _named(environment, network)
        except InputError as error:
            raise InputError(f"{error} (named by {network.environment})") from error
    if network.shipped is not None:
        return _named(str(network.shipped), network)
    cached = _cached(network, None)
    if not cached.exists():
        try:
            fetch(backbone)
        except InputError as error:
            raise InputError(
                f"no {network.title} weights: give --weights=FILE, set {network.environment}=FILE, "
                f"or run 'python -m hcft_jax.backbones.weights fetch --backbone={backbone}' with a "
                "network; --weights=random is untrained, for demonstrations (the download failed: "
                f"{error})"
            ) from error
    try:
        return _named(str(cached), network)
    except InputError as error:
        raise InputError(f"{error} (the cached copy: delete it and it is fetched again)") from error


def at_hand(backbone: str) -> bool:
    """Whether ``find(None, backbone)`` needs no download."""
    network = registry.get(backbone)
    return bool(
        os.environ.get(network.environment)
        or network.shipped is not None
        or _cached(network, None).exists()
    )


def _named(value: str, network: Backbone) -> Weights:
    """A file, or "random".

    Raises:
        InputError: as ``load``; or the file holds another network.
    """
    if value == "random":
        return random(network.name)
    weights = load(value)
    if weights.backbone.name != network.name:
        other = weights.backbone
        raise InputError(
            f"{value}: weights of {other.title}, but the backbone is {network.title}: give a file "
            f"of {network.title}, or --backbone={other.name} and its layers"
        )
    return weights


def cache_dir() -> Path:
    """$HCFT_CACHE, else $XDG_CACHE_HOME/hcft_jax, else ~/.cache/hcft_jax."""
    if own := os.environ.get("HCFT_CACHE"):
        return Path(own)
    general = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(general, "hcft_jax")


def fetch(
    backbone: str = registry.DEFAULT, url: str | None = None, cache: str | Path | None = None
) -> Path:
    """Downloads a backbone's public file and keeps it as a native file.

    Resumed where it broke off, and only once for all processes (see ``download``).

    Args:
        backbone: its name.
        url: a mirror of the file (``Release``); nothing is used before its checksum matches.
        cache: the folder; by default ``cache_dir()``.

    Returns:
        The native file, ``<backbone>.npz`` in the cache.

    Raises:
        InputError: no public file, no network, no such file on the server, another content, or no
            room.
    """
    network = registry.get(backbone)
    target = _cached(network, cache)
    if network.release is None:
        raise InputError(f"no public file of {network.title} is known: convert one of your own")
    address = url or network.release.url

    def convert_part(part: Path) -> None:
        save(target, _load_foreign(part, None, address.rpartition("/")[2]))

    checksum = network.release.checksum
    download.download(address, target, checksum, convert=convert_part, description=network.title)
    return target


def _cached(network: Backbone, cache: str | Path | None) -> Path:
    return (cache_dir() if cache is None else Path(cache)) / f"{network.name}.npz"


def convert(source: str | Path, dest: str | Path, preset: str | None = None) -> Weights:
    """Writes any readable file as a native one.

    Args:
        source: see ``load``; with a preset also .pth.
        dest: the native file.
        preset: one of ``importers.PRESETS``.

    Raises:
        InputError: as ``load`` and ``save``; or the source is a known training and does not pass
            its self-test as imported, as with a wrong preset. Nothing is written then.
    """
    weights = _load(Path(source), preset)
    if selftest.is_known(weights.backbone, weights.params):
        lines = selftest.inspect(weights.backbone, weights.params)
        failed = [text for status, text in lines if status == "FAIL"]
        if failed:
            raise InputError(f"{source}: fails the self-test ({failed[0]}); another --preset?")
    save(dest, weights)
    return weights


def check(path: str | Path) -> bool:
    """Prints the self-test of a file; whether it passed."""
    try:
        weights = load(path)
        title = weights.backbone.title
        lines = [("ok", f"file: {title}, complete and finite, digest {weights.digest[:16]}")]
        lines += selftest.inspect(weights.backbone, weights.params)
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
        name, values = metadata["backbone"], metadata.get("architecture")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(path, "") from error
    if version != FORMAT_VERSION:
        raise InputError(
            f"{path}: native format {version}, but this program reads {FORMAT_VERSION}; "
            "convert it again"
        )
    if name not in registry.BACKBONES:
        raise InputError(f"{path}: weights of {name!r}; there are {', '.join(registry.BACKBONES)}")
    network = registry.BACKBONES[name]
    params: Params = {}
    for key, array in arrays.items():
        layer, _, part = key.partition("/")
        whole = array.astype(np.float32) if array.dtype == np.float16 else array
        params.setdefault(layer, {})[part] = whole
    try:
        architecture = network.architecture_of(values)
    except (ValueError, TypeError) as error:
        raise _unreadable(path, f" ({error})") from error
    if architecture is not None:
        params["architecture"] = architecture
    _validate(params, network, path)
    if _digest(params) != digest:
        raise InputError(f"{path}: its values do not match its digest; fetch or convert it again")
    return Weights(params, metadata, digest)


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(f"{path}: unreadable metadata{why}; fetch or convert it again")


def _load_foreign(path: Path, preset: str | None, name: str) -> Weights:
    imported = importers.read(path, preset)
    _validate(imported.params, imported.backbone, path)
    origin = {"preset": imported.preset, "file": name, "sha256": _sha256(path)}
    return _weights(imported.params, imported.backbone, origin, imported.channel_order)


def _weights(
    params: Params, network: Backbone, origin: dict[str, Any], channel_order: str
) -> Weights:
    metadata = {
        "format_version": FORMAT_VERSION,
        "backbone": network.name,
        "origin": origin,
        "source_channel_order": channel_order,
        "channel_order": "RGB",
        "input_range": [0, 255],
    }
    if "architecture" in params:
        metadata["architecture"] = _plain(params["architecture"])
    return Weights(params, metadata, _digest(params))


def _validate(params: Params, network: Backbone, path: Path) -> None:
    """Raises InputError unless ``params`` has exactly the arrays, finite and float32."""
    expected: dict[str, tuple[int, ...]] = {"normalization/std": (3,)}
    for name, kernel_shape in network.shapes(params.get("architecture")).items():
        expected |= {f"{name}/kernel": kernel_shape, f"{name}/bias": kernel_shape[3:]}
    arrays = _flat(params)
    for key, shape in [*expected.items(), ("normalization/mean", (3,))]:
        if key not in arrays:
            raise InputError(f"{path}: no {key}; not a complete {network.title} weights file")
        array = arrays[key]
        image = key == "normalization/mean" and array.ndim == 3 and array.shape[2] == 3
        if array.shape != shape and not image:
            raise InputError(f"{path}: {key} has shape {array.shape}; {network.title} has {shape}")
        if array.dtype != np.float32:
            raise InputError(f"{path}: {key} is {array.dtype}; expected float32")
        if not np.isfinite(array).all():
            raise InputError(f"{path}: {key} holds NaN or infinity; download or convert it again")
    if unknown := sorted(set(arrays) - set(expected) - {"normalization/mean"}):
        raise InputError(f"{path}: unknown array {unknown[0]}; not a {network.title} weights file")
    mean, std = params["normalization"]["mean"], params["normalization"]["std"]
    if mean.min() < 0 or mean.max() > 255 or std.min() <= 0:
        raise InputError(f"{path}: mean and std must be in [0, 255] and positive, for RGB images")


def _flat(params: Params) -> dict[str, np.ndarray]:
    """The arrays, by ``<layer>/<part>``."""
    layers = ((layer, parts) for layer, parts in params.items() if layer != "architecture")
    return {f"{layer}/{part}": array for layer, parts in layers for part, array in parts.items()}


def _plain(architecture: Any) -> dict[str, Any]:
    """As JSON gives it back."""
    fields = dataclasses.asdict(architecture)
    return {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}


def _digest(params: Params) -> str:
    """SHA-256 over name, dtype, shape and values of every array, in the order of the names.

    An architecture comes first, as JSON.
    """
    state = hashlib.sha256()
    if "architecture" in params:
        values = json.dumps(_plain(params["architecture"]), sort_keys=True)
        state.update(f"architecture {values};".encode())
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
    parts = commands.add_parser("fetch", help="download a backbone's public file into the cache")
    parts.add_argument("--backbone", choices=registry.BACKBONES, default=registry.DEFAULT)
    parts.add_argument("--url", help="a mirror of that file")
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
            path = fetch(options.backbone, options.url)
            print(f"{registry.get(options.backbone).title} is in {path}")
        else:
            weights = convert(options.source, options.dest, options.preset)
            origin, order = weights.metadata["origin"], weights.metadata["source_channel_order"]
            mean, std = (weights.params["normalization"][key] for key in ("mean", "std"))
            about = f"mean {mean}" if mean.size == 3 else f"mean image {mean.shape}"
            print(
                f"{options.source}: {weights.backbone.title}, {origin['preset']}, channels {order} "
                f"-> RGB, {about}, std {std}"
            )
            if architecture := weights.params.get("architecture"):
                print(f"{options.source}: {architecture}")
            print(f"{options.dest}: written, digest {weights.digest}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

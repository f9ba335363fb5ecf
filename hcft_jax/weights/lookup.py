"""Backbones' weights: where they are looked for, and how a native file is made of others.

The file itself is ``native``'s.
"""

import hashlib
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import Backbone, Params
from hcft_jax.util import download
from hcft_jax.util.errors import InputError
from hcft_jax.util.files import cache_dir
from hcft_jax.weights import importers, native, selftest
from hcft_jax.weights.native import Weights


def load(path: str | Path) -> Weights:
    """Reads a native file, or a foreign one that identifies itself (see ``importers``).

    Raises:
        InputError: missing, truncated, foreign or ambiguous (.pth) file; a missing layer, a wrong
            shape or dtype, or a value that is not finite.
    """
    return _load(Path(path), None)


def made(params: Params, backbone: str, origin: dict[str, Any]) -> Weights:
    """Weights that were learned here: of RGB images, with where they come from as plain data."""
    network = registry.get(backbone)
    rest = {"preset": "learned", "file": None, "sha256": None}
    return native.described(params, network, rest | origin, "RGB")


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
    return native.described(params, network, origin, "RGB")


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
                f"or run 'python -m hcft_jax.weights fetch --backbone={backbone}' with a "
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
        native.save(target, _load_foreign(part, None, address.rpartition("/")[2]))

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
    native.save(dest, weights)
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
    if importers.sniff(path) == "npz" and native.is_native(path):
        if preset is not None:
            raise InputError(f"{path}: already a native file; leave out --preset={preset}")
        return native.load(path)
    return _load_foreign(path, preset, path.name)


def _load_foreign(path: Path, preset: str | None, name: str) -> Weights:
    imported = importers.read(path, preset)
    native.validate(imported.params, imported.backbone, path)
    origin = {"preset": imported.preset, "file": name, "sha256": _sha256(path)}
    return native.described(imported.params, imported.backbone, origin, imported.channel_order)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

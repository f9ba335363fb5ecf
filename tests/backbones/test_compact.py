"""Compact against nine shifted products in float64, and as a backbone among others."""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hcft_jax.backbones import compact, registry
from hcft_jax.backbones.backbone import Params
from hcft_jax.backbones.products import PRECISIONS
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.experiment.settings import load
from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup

NETWORK = registry.get("compact")


@pytest.fixture(scope="module")
def drawn() -> Params:
    found = lookup.random("compact").params
    rng = np.random.default_rng(0)
    for name in NETWORK.shapes(None):
        found[name]["bias"] = rng.standard_normal(found[name]["bias"].shape).astype(np.float32)
    return found


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(1).uniform(0, 255, (37, 42, 3)).astype(np.float32)


def convolution(x: np.ndarray, of: dict[str, Any], stride: int) -> np.ndarray:
    """With zeros around as TensorFlow's "SAME" has them, the odd one below and to the right."""
    kernel, side = np.asarray(of["kernel"], np.float64), of["kernel"].shape[0]
    size = [-(-n // stride) for n in x.shape[:2]]
    more = [max((o - 1) * stride + side - n, 0) for o, n in zip(size, x.shape[:2], strict=True)]
    padded = np.pad(x, [*((m // 2, m - m // 2) for m in more), (0, 0)])
    out = np.tile(np.float64(of["bias"]), (*size, 1))
    for i in range(side):
        for j in range(side):
            last = [k + (o - 1) * stride + 1 for k, o in zip((i, j), size, strict=True)]
            out += padded[i : last[0] : stride, j : last[1] : stride] @ kernel[i, j]
    return out


def reference(params: Params, image: np.ndarray) -> dict[str, np.ndarray]:
    constants = params["normalization"]
    x = (np.float64(image) - constants["mean"]) / constants["std"]
    x = np.maximum(convolution(x, params["stem"], 2), 0)
    maps = {}
    for block, (depth, level) in enumerate(((1, "conv3_4"), (2, "conv4_4"), (3, "conv5_4")), 1):
        x = np.maximum(convolution(x, params[f"block{block}_1"], 2 if block == 2 else 1), 0)
        for index in range(2, depth + 1):
            x = np.maximum(x + convolution(x, params[f"block{block}_{index}"], 1), 0)
        y = convolution(x, params[level], 1)
        maps[level] = y / np.sqrt((y**2).mean(axis=2, keepdims=True) + 0.1)
    return maps


@pytest.mark.parametrize("form", ["plain", "placed"])
def test_its_maps_are_those_of_a_transcription(
    drawn: Params, image: np.ndarray, form: str, maybe_jit: Any
) -> None:
    params = drawn if form == "plain" else NETWORK.placed(drawn)
    features = maybe_jit(lambda p, x: NETWORK.maps(p, x, NETWORK.layers))
    found = features(params, jnp.asarray(image))
    for name, expected in reference(drawn, image).items():
        np.testing.assert_allclose(found[name], expected, atol=2e-5 * np.abs(expected).max())


def test_a_batch_is_its_images(drawn: Params, image: np.ndarray) -> None:
    two = jnp.asarray(np.stack([image, image[::-1]]))
    both = NETWORK.maps(drawn, two, NETWORK.layers)
    for i in range(2):
        for name, of in NETWORK.maps(drawn, two[i], NETWORK.layers).items():
            np.testing.assert_allclose(both[name][i], of, atol=1e-4 * float(jnp.abs(of).max()))


@pytest.mark.parametrize("layers", [("conv3_4",), ("conv4_4", "conv3_4"), ("conv5_4",)])
def test_it_goes_no_deeper_than_wanted(
    drawn: Params, image: np.ndarray, layers: tuple[str, ...]
) -> None:
    found = compact.features(drawn, jnp.asarray(image), layers)
    assert set(found) == set(layers)
    text = str(jax.make_jaxpr(lambda x: compact.features(drawn, x, layers))(jnp.asarray(image)))
    expected = {"conv3_4": 3, "conv4_4": 5 + len(layers) - 1, "conv5_4": 8}[layers[0]]
    assert text.count("conv_general_dilated[") == expected


@pytest.mark.parametrize("size", [16, 47, 112])
def test_the_sides_of_its_maps_are_as_said(drawn: Params, size: int) -> None:
    found = NETWORK.maps(drawn, jnp.zeros((size, size, 3)), NETWORK.layers)
    sides = {name: NETWORK.side(name, size) for name in NETWORK.layers}
    assert {name: of.shape[0] for name, of in found.items()} == sides


@pytest.mark.parametrize("name", ["hcft", "cf2", "c5", "c4", "c3", "c5_c4", "c543"])
def test_every_configuration_of_the_teachers_layers_is_one_of_it(drawn: Params, name: str) -> None:
    config = dataclasses.replace(load(name).tracker, backbone="compact", input_size=48)
    image = np.random.default_rng(2).integers(0, 256, (60, 80, 3), np.uint8)
    state = tracker.init(drawn, config, image, (20, 20, 20, 20))
    _, output = tracker.step(drawn, config, state, image)
    assert np.isfinite(np.asarray(output.box)).all()


def test_a_cell_of_a_map_is_as_strong_in_dim_light(drawn: Params, image: np.ndarray) -> None:
    unbiased = {
        name: of if name == "normalization" else of | {"bias": 0 * of["bias"]}
        for name, of in drawn.items()
    }
    mean = np.asarray(drawn["normalization"]["mean"])
    bright, dim = (
        NETWORK.maps(unbiased, jnp.asarray(mean + factor * (image - mean)), NETWORK.layers)
        for factor in (1.0, 0.5)
    )
    for name in NETWORK.layers:
        strong, weak = (np.square(np.asarray(of[name])).mean() for of in (bright, dim))
        assert 0.8 * strong < weak < strong < 1.0


def test_bfloat16_is_near(drawn: Params, image: np.ndarray) -> None:
    exact, rounded = (
        compact.features(drawn, jnp.asarray(image), NETWORK.layers, PRECISIONS[p])
        for p in ("float32", "bfloat16")
    )
    for name in NETWORK.layers:
        apart = np.abs(np.float32(rounded[name]) - exact[name]).max()
        assert 0 < apart < 0.05 * float(jnp.abs(exact[name]).max())


@pytest.mark.parametrize(("config", "loaded"), [("compact", "vgg19"), ("vgg19", "compact")])
def test_parameters_of_the_teacher_are_not_its_own(config: str, loaded: str) -> None:
    network = registry.get(config)
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(InputError, match=rf"params: no \w+, so they are not {network.title}'s"):
        tracker.init(
            lookup.random(loaded).params, TrackerConfig(backbone=config), image, (20, 20, 20, 20)
        )


class TestShipped:
    def test_it_is_small(self) -> None:
        assert NETWORK.shipped is not None
        assert NETWORK.shipped.stat().st_size <= 2 * 2**20

    def test_it_is_found_without_a_file_and_a_network(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
    ) -> None:
        monkeypatch.delenv(NETWORK.environment, raising=False)
        monkeypatch.setenv("HCFT_CACHE", str(tmp_path))
        assert lookup.find(None, "compact").backbone is NETWORK
        assert lookup.at_hand("compact")

    def test_it_passes_its_check(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert NETWORK.shipped is not None
        assert lookup.check(NETWORK.shipped)
        assert "conv5_4" in capsys.readouterr().out

    def test_how_it_was_made_is_beside_it(self) -> None:
        assert NETWORK.shipped is not None
        about = json.loads(NETWORK.shipped.with_suffix(".json").read_text())
        found = lookup.load(NETWORK.shipped)
        assert about["digest"] == found.digest
        assert about["command"].startswith("python -m hcft_jax.experiments.learn_features ")
        assert {"seed", "data", "date", "teacher"} <= set(about)

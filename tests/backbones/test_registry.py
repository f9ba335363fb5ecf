"""What a further backbone needs: one ``Backbone`` and its line in the registry."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hcft_jax.backbones import registry
from hcft_jax.backbones.backbone import Backbone, Params
from hcft_jax.backbones.products import Precision, convolution
from hcft_jax.backbones.registry import BACKBONES
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.synthetic import Synthetic, synthetic
from hcft_jax.util.errors import InputError
from hcft_jax.weights import lookup, selftest


def edges(
    params: Params, image: jax.Array, layers: Any, precision: Precision
) -> dict[str, jax.Array]:
    """One convolution of stride 2."""
    mean, std = (jnp.broadcast_to(params["normalization"][k], image.shape) for k in ("mean", "std"))
    kernel = params["edges"]["kernel"]
    maps = convolution((image - mean) / std, kernel, precision, stride=2, padding="VALID")
    return {"edges": jax.nn.relu(maps)}


EDGES = Backbone(
    name="edges",
    title="Edges",
    layers=("edges",),
    features=edges,
    shapes=lambda _: {"edges": (3, 3, 3, 16)},
    side=lambda _, size: (size - 3) // 2 + 1,
    input_size=lambda _: 40,
    environment="HCFT_WEIGHTS_EDGES",
)


@pytest.fixture
def edged(monkeypatch: pytest.MonkeyPatch) -> TrackerConfig:
    monkeypatch.setitem(BACKBONES, "edges", EDGES)
    return TrackerConfig(backbone="edges", layers=("edges",), gamma=(1.0,))


def test_a_further_backbone_is_tracked_on(edged: TrackerConfig) -> None:
    params = jax.device_put(lookup.random("edges").params)
    sequence = synthetic(Synthetic(frames=4, height=64, width=80, target=(20, 20), motion=12.0))
    state = tracker.init(params, edged, sequence.frames.read(0), sequence.boxes[0])
    assert edged.input_side(params) == 40
    for i in range(1, 4):
        state, output = tracker.step(params, edged, state, sequence.frames.read(i))
    assert np.abs(np.asarray(output.box) - sequence.boxes[3])[:2].max() < 5


@pytest.mark.usefixtures("edged")
def test_its_files_are_written_found_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = lookup.random("edges")
    arrays = {f"edges/{part}": array for part, array in drawn.params["edges"].items()}
    np.savez(tmp_path / "plain.npz", **arrays, mean_rgb=drawn.params["normalization"]["mean"])
    lookup.convert(tmp_path / "plain.npz", tmp_path / "native.npz")
    monkeypatch.setenv("HCFT_WEIGHTS_EDGES", str(tmp_path / "native.npz"))
    found = lookup.find(None, "edges")
    assert (found.backbone, found.digest) == (EDGES, drawn.digest)
    assert {status for status, _ in selftest.inspect(EDGES, found.params)} <= {"ok", "note"}
    with pytest.raises(InputError, match="no public file of Edges is known"):
        lookup.fetch("edges")


@pytest.mark.usefixtures("edged")
def test_its_least_input_leaves_two_cells(edged: TrackerConfig) -> None:
    assert EDGES.least_input("edges") == 5


def test_an_unknown_backbone_lists_those_there_are() -> None:
    with pytest.raises(
        InputError, match=r"^backbone: no 'alex'; there are vgg19, alexnet, efficientnet_lite0"
    ):
        registry.get("alex")


@pytest.mark.parametrize(("config", "loaded"), [("alexnet", "vgg19"), ("vgg19", "alexnet")])
def test_parameters_of_another_backbone_are_refused(config: str, loaded: str) -> None:
    network = BACKBONES[config]
    tracking = TrackerConfig(backbone=config, layers=network.layers[-1:], gamma=(1.0,))
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(InputError, match=rf"params: no conv1.*, so they are not {network.title}'s"):
        tracker.init(lookup.random(loaded).params, tracking, image, (20, 20, 20, 20))


@pytest.mark.usefixtures("edged")
@pytest.mark.parametrize("precision", ["float32", "bfloat16x3"])
def test_a_projection_is_applied_to_its_layers_map(precision: str, maybe_jit: Any) -> None:
    params = lookup.random("edges").params
    rng = np.random.default_rng(0)
    kernel, bias = rng.standard_normal((16, 3)), rng.standard_normal(3)
    by = {"kernel": kernel[None, None].astype(np.float32), "bias": bias.astype(np.float32)}
    projected = EDGES.placed(params | {"edges_projection": by}, precision)
    image = jnp.asarray(rng.uniform(0, 255, (20, 24, 3)), jnp.float32)
    maps = maybe_jit(lambda p, x: EDGES.maps(p, x, ("edges",), precision)["edges"])
    plain = np.asarray(maps(EDGES.placed(params, precision), image), np.float64)
    np.testing.assert_allclose(maps(projected, image), plain @ kernel + bias, rtol=1e-3, atol=0.1)


@pytest.mark.parametrize("name", [n for n, b in registry.BACKBONES.items() if not b.cells])
def test_initial_kernels_have_hes_variance(name: str) -> None:
    network, generator = registry.get(name), np.random.default_rng(1)
    params = network.initial(
        lambda _, shape: generator.uniform(-3, 3, shape).astype(np.float32), variance=3.0
    )
    assert set(params) == set(network.shapes(network.architecture))
    deepest = network.layers[-1]
    kernel, bias = params[deepest]["kernel"], params[deepest]["bias"]
    assert kernel.dtype == bias.dtype == np.float32
    assert kernel.std() == pytest.approx((2 / np.prod(kernel.shape[:3])) ** 0.5, rel=0.02)
    assert not bias.any()

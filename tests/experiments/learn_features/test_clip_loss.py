"""The loss of a batch: its parts, and that steps make it smaller."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.learn_features import clip_loss, crops
from experiments.learn_features.clip_loss import Batch, LearningTask
from experiments.learn_features.crops import ClipSettings
from hcft_jax.backbones import compact, registry
from hcft_jax.core.config import TrackerConfig

NETWORK = registry.get("compact")
PATCH = 48  # smaller than the network's own
TASK = LearningTask(
    TrackerConfig(backbone="compact", temperature=0.1, input_size=PATCH), light=0.1, noise=1
)


@pytest.fixture(scope="module")
def params() -> Any:
    return clip_loss.initial(NETWORK, 0)


@pytest.fixture(scope="module")
def batch(params: Any) -> Batch:
    found = crops.clips(crops.drawn(2, 0), ClipSettings(), range(4), crops.region_side(PATCH))
    regions = jnp.asarray(np.stack([clip.regions for clip in found]))
    margin = (regions.shape[2] - PATCH) // 2
    first = regions[:, 0, margin : margin + PATCH, margin : margin + PATCH]
    maps = NETWORK.maps(clip_loss.complete(params), first.astype(jnp.float32), NETWORK.layers)
    return Batch(regions, {name: raw(of).astype(jnp.float16) for name, of in maps.items()})


def raw(maps: jax.Array) -> jax.Array:
    """Return what becomes these maps when its cells are normalised."""
    energy = jnp.mean(jnp.square(maps), axis=-1, keepdims=True)
    return maps * jnp.sqrt(compact.WEAK * energy / (1 - energy) + compact.WEAK)


def value(task: LearningTask, params: Any, batch: Batch) -> tuple[float, dict[str, float]]:
    fixed = clip_loss.geometry(task.config, clip_loss.complete(params))
    (total, parts), _ = clip_loss.gradient(task, fixed)(params, batch, jax.random.key(0))
    return float(total), {name: float(part) for name, part in parts.items()}


def test_its_parts_are_each_level_and_the_sum_of_them(params: Any, batch: Batch) -> None:
    total, parts = value(TASK, params, batch)
    levels = NETWORK.layers
    assert set(parts) == {
        *(f"taught/{name}" for name in levels),
        *(f"tracked/{name}" for name in levels),
        "tracked/all",
    }
    taught, tracked = (
        np.mean([v for n, v in parts.items() if n.startswith(kind)])
        for kind in ("taught", "tracked")
    )
    assert total == pytest.approx(TASK.taught * taught + TASK.tracked * tracked, rel=1e-5)


def test_a_network_that_gives_the_lessons_has_nothing_to_be_taught(
    params: Any, batch: Batch
) -> None:
    _, parts = value(dataclasses.replace(TASK, light=0.0, noise=0.0), params, batch)
    taught = [part for name, part in parts.items() if name.startswith("taught")]
    assert max(taught) < 1e-3


def test_without_lessons_the_filter_alone_teaches(params: Any, batch: Batch) -> None:
    total, parts = value(TASK, params, batch._replace(lessons={}))
    assert all(name.startswith("tracked") for name in parts)
    assert total == pytest.approx(TASK.tracked * np.mean(list(parts.values())), rel=1e-5)


def test_a_filter_finds_what_did_not_change_better_than_what_did(params: Any, batch: Batch) -> None:
    still = dataclasses.replace(TASK, light=0.0, noise=0.0)
    same = batch._replace(regions=jnp.repeat(batch.regions[:, :1], 2, axis=1))
    other = batch._replace(regions=jnp.stack([batch.regions[:, 0], batch.regions[::-1, 1]], axis=1))
    near, far = (value(still, params, b)[1]["tracked/all"] for b in (same, other))
    assert near < 0.8 * far


@pytest.mark.parametrize("frames", [2, 3])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_few_steps_make_it_smaller(params: Any, frames: int, precision: str) -> None:
    found = crops.clips(
        crops.drawn(2, 0), ClipSettings(frames=frames), range(3), crops.region_side(PATCH)
    )
    regions = jnp.asarray(np.stack([clip.regions for clip in found]))
    task = dataclasses.replace(
        TASK, config=dataclasses.replace(TASK.config, precision=precision), tracked=1.0
    )
    fixed = clip_loss.geometry(task.config, clip_loss.complete(params))
    gradient, optimiser = clip_loss.gradient(task, fixed), optax.adam(1e-3)
    now, state, losses = params, optimiser.init(params), []
    for _ in range(6):
        (loss, _), slope = gradient(now, Batch(regions, {}), jax.random.key(1))
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimiser.update(slope, state, now)
            now = optax.apply_updates(now, updates)
        losses.append(float(loss))
    assert losses[-1] < 0.95 * losses[0]


def test_light_of_nothing_changes_nothing() -> None:
    regions = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, 2, 9, 9, 3)), jnp.uint8)
    found = clip_loss.lit(jax.random.key(0), regions, 0.0, 0.0)
    np.testing.assert_allclose(found, regions, atol=1e-3)
    other = clip_loss.lit(jax.random.key(0), regions, 0.3, 0.0)
    assert np.abs(np.asarray(other) - np.asarray(regions)).max() > 5
    assert float(other.min()) >= 0
    assert float(other.max()) <= 255

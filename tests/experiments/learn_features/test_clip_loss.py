"""The loss of a batch: its parts, and that steps make it smaller."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.learn_features import clip_loss, crops, learnable
from experiments.learn_features.clip_loss import LearningTask
from experiments.learn_features.crops import ClipSettings
from experiments.learn_features.learnable import Learnable
from hcft_jax.experiment import settings

CONFIG = settings.derive(
    "lite0", layers=("block8", "block2"), gamma=(1.0, 0.5), input_size=64
).tracker
TASK = LearningTask(dataclasses.replace(CONFIG, temperature=0.1), light=0.1, noise=1)


@pytest.fixture(scope="module")
def learns() -> Learnable:
    return learnable.projections(CONFIG.network, CONFIG.layers, None)


def regions(frames: int = 2) -> jax.Array:
    """Four clips."""
    found = crops.clips(
        crops.drawn(2, 0), ClipSettings(frames=frames), range(4), crops.region_side(64)
    )
    return jnp.asarray(np.stack([clip.regions for clip in found]))


def value(
    task: LearningTask, learns: Learnable, clips: jax.Array
) -> tuple[float, dict[str, float]]:
    fixed = clip_loss.geometry(task.config, learns.rest | learns.first)
    gradient = clip_loss.gradient(task, fixed)
    (total, parts), _ = gradient(learns.first, learns.rest, clips, jax.random.key(0))
    return float(total), {name: float(part) for name, part in parts.items()}


def test_it_is_the_mean_over_the_layers_and_their_sum(learns: Learnable) -> None:
    total, parts = value(TASK, learns, regions())
    assert set(parts) == {"block8", "block2", "all"}
    assert total == pytest.approx(np.mean(list(parts.values())), rel=1e-5)


def test_a_filter_finds_what_did_not_change_better_than_what_did(learns: Learnable) -> None:
    still = dataclasses.replace(TASK, light=0.0, noise=0.0)
    clips = regions()
    same = jnp.repeat(clips[:, :1], 2, axis=1)
    other = jnp.stack([clips[:, 0], clips[::-1, 1]], axis=1)
    near, far = (value(still, learns, of)[1]["all"] for of in (same, other))
    assert near < 0.8 * far


@pytest.mark.parametrize("frames", [2, 3])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_few_steps_make_it_smaller(learns: Learnable, frames: int, precision: str) -> None:
    config = dataclasses.replace(TASK.config, precision=precision)
    task, clips = dataclasses.replace(TASK, config=config), regions(frames)
    fixed = clip_loss.geometry(config, learns.rest | learns.first)
    gradient, optimiser = clip_loss.gradient(task, fixed), optax.adam(3e-3)
    now, losses = learns.first, []
    state = optimiser.init(now)
    for _ in range(6):
        (loss, _), slope = gradient(now, learns.rest, clips, jax.random.key(1))
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

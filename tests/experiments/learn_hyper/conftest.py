"""A shallow tracker, and small drawn sequences."""

import pytest

from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.sequence import Sequence
from hcft_jax.data.synthetic import Synthetic, synthetic


@pytest.fixture(scope="module")
def start() -> TrackerConfig:
    """The constants that the learning begins with."""
    return TrackerConfig(
        layers=("conv2_1", "conv1_2"), gamma=(1.0, 0.5), input_size=32, temperature=0.1
    )


def drawn_sequence(seed: int = 0, frames: int = 9, height: int = 64, width: int = 80) -> Sequence:
    """Draw a sequence with a target of 20 x 20 px."""
    drawn = Synthetic(
        seed=seed, frames=frames, height=height, width=width, target=(20, 20), motion=12.0
    )
    return synthetic(drawn)

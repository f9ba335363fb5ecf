"""The panel of the layers."""

import numpy as np

from hcft_jax.backbones.backbone import Params
from hcft_jax.core import tracker
from hcft_jax.core.config import TrackerConfig
from hcft_jax.core.target import Bucket
from hcft_jax.visual.layers_view import LayersView

SMALL = TrackerConfig(layers=("conv2_2", "conv1_2"), gamma=(1.0, 0.5), input_size=32)


def test_padding_is_not_drawn(params: Params) -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    panels = []
    for bucket in (None, Bucket((64, 80), (32, 32))):
        state = tracker.init(params, SMALL, image, (20, 16, 26, 20), bucket=bucket)
        panels.append(LayersView(params, SMALL).panel(state, image).astype(np.int32))
    assert panels[0].std() > 20
    assert panels[0].shape == panels[1].shape
    # colours differ by rounding only; the frame's edges drawn into the picture would differ by more
    apart = np.abs(panels[0] - panels[1])
    assert apart.mean() < 0.5
    assert apart.max() <= 8

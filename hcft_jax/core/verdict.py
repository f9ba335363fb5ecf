"""When a target counts as lost: by the peak-to-sidelobe ratio, where no memory says it better.

A target that is remembered (``redetect``) has ``hcft_jax.core.long_term`` for that.
"""

import jax
import jax.numpy as jnp

from hcft_jax.backbones import registry
from hcft_jax.core import search
from hcft_jax.core.config import TrackerConfig

LOST_BELOW = {
    "vgg19": 21.2,
    "efficientnet_lite0": 12.6,
    "hog": 17.4,
    "grey": 11.3,
}
"""The PSR below which a target counts as lost, by backbone; others have that of VGG-19.

``experiments/lost`` calibrated it for ``hcft`` with trained VGG-19 on 17 targets of OTB-100, with
every frame and with every fifth frame only, at most 80 frames of each: 2,223 frames. In 294 of them
the centre of the tracked box was outside the true box. The threshold misses 4.1 % of these and
calls 19.6 % of the others lost (4.4 % and 19.6 % when each target is judged by the threshold that
the other targets give).

For EfficientNet-Lite0 (``lite0``) the same runs had 311 lost frames: 15 % of them are missed, 21 %
of the others are called lost; the area under the ROC curve is 0.86.

For ``hog`` (``kcf``) and ``grey`` (``csk``), on 20 targets with 2,688 frames, of which 826 and 809
were lost: 10 and 20 % of them are missed, 30 and 25 % of the others called lost; ROC 0.87 and 0.83.
"""


def lost_below(config: TrackerConfig) -> float:
    """Return the PSR below which a target counts as lost (``LOST_BELOW``)."""
    return LOST_BELOW.get(config.backbone, LOST_BELOW[registry.DEFAULT])


def is_lost(config: TrackerConfig, psr: jax.Array, grid: search.Grid) -> jax.Array:
    """Return whether a target is lost, by the PSR of its combined response.

    Args:
        config: the tracker's constants.
        psr: by ``search.peak_to_sidelobe``.
        grid: (gh, gw) in cells; one that is no larger than a peak has no sidelobes to judge by.
    """
    judged = jnp.max(jnp.asarray(grid, jnp.int32)) > search.PEAK
    return judged & (psr < lost_below(config))

"""A video of one's own: boxes, scores and an overlay video.

python -m hcft_jax.main --config=video --video=cat.mp4 --box=210,120,64,48
"""

import dataclasses

from hcft_jax.experiment.settings import Experiment, OwnVideo, derive


def get_config() -> Experiment:
    """``hcft``, on what --video and --box name."""
    return dataclasses.replace(derive("hcft"), own=OwnVideo(), otherwise="compact", overlay=True)

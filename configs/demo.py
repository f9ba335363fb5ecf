"""The main job with no data set: a drawn sequence, its overlay video and its plot.

python -m hcft_jax.main --config=demo
"""

import dataclasses

from hcft_jax.data.synthetic import Synthetic
from hcft_jax.experiment.settings import Experiment, derive


def get_config() -> Experiment:
    """``hcft`` on a target that moves, turns, is lit unevenly and is covered for a while."""
    drawn = Synthetic(
        seed=1, frames=60, motion=50.0, rotation=15.0, illumination=0.2, occlusion=0.07, noise=4.0
    )
    return dataclasses.replace(
        derive("hcft"), synthetic=drawn, otherwise="compact", overlay=True, output_dir="demo"
    )

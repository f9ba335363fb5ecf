"""The main job with no data set: a drawn sequence, its overlay video and its plot.

python -m hcft_jax.main --config=demo
"""

import dataclasses

from hcft_jax.config import Experiment, derive
from hcft_jax.data.synthetic import Synthetic


def get_config() -> Experiment:
    """``hcft`` on a target that moves, turns and grows."""
    return dataclasses.replace(
        derive("hcft"), synthetic=Synthetic(), overlay=True, output_dir="demo"
    )

"""HCFT by the paper's equations: Eq. 5's coarse-to-fine search and Eq. 6's update.

python -m hcft_jax.main --config=hcft --data_dir=OTB100
"""

from hcft_jax.core.config import TrackerConfig
from hcft_jax.experiment.settings import Experiment


def get_config() -> Experiment:
    """The defaults of ``TrackerConfig`` are the paper's."""
    return Experiment("hcft", TrackerConfig())

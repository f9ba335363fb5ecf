"""Ablation: conv5-4 alone.

python -m hcft_jax.main --config=c5 --data_dir=OTB100
"""

from hcft_jax.experiment.settings import Experiment, derive


def get_config() -> Experiment:
    """``hcft`` on one layer."""
    return derive("hcft", layers=("conv5_4",), gamma=(1.0,))

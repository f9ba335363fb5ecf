"""Ablation: conv5-4 and conv4-4, coarse to fine.

python -m hcft_jax.main --config=c5_c4 --data_dir=OTB100
"""

from hcft_jax.experiment.settings import Experiment, derive


def get_config() -> Experiment:
    """``hcft`` on two layers."""
    return derive("hcft", layers=("conv5_4", "conv4_4"), gamma=(1.0, 0.5))

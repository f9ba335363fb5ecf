"""Ablation: AlexNet's conv5 and conv4, coarse to fine.

python -m hcft_jax.main --config=alex_c5_c4 --data_dir=OTB100
"""

from hcft_jax.experiment.settings import Experiment, derive


def get_config() -> Experiment:
    """``alex`` on two layers."""
    return derive("alex", layers=("conv5", "conv4"), gamma=(1.0, 0.5))

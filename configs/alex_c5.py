"""Ablation: AlexNet's conv5 alone.

python -m hcft_jax.main --config=alex_c5 --data_dir=OTB100
"""

from hcft_jax.experiment.settings import Experiment, derive


def get_config() -> Experiment:
    """``alex`` on one layer."""
    return derive("alex", layers=("conv5",), gamma=(1.0,))

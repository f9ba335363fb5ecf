"""Ablation: AlexNet's conv3 alone.

python -m hcft_jax.main --config=alex_c3 --data_dir=OTB100
"""

from hcft_jax.experiment.settings import Experiment, derive


def get_config() -> Experiment:
    """``alex`` on one layer."""
    return derive("alex", layers=("conv3",), gamma=(1.0,))

"""Ablation: AlexNet's conv4 alone.

python -m hcft_jax.main --config=alex_c4 --data_dir=OTB100
"""

from hcft_jax.experiment.settings import Experiment, derive


def get_config() -> Experiment:
    """``alex`` on one layer."""
    return derive("alex", layers=("conv4",), gamma=(1.0,))

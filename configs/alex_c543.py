"""Ablation: one filter on the hypercolumn of AlexNet's conv5, conv4 and conv3.

python -m hcft_jax.main --config=alex_c543 --data_dir=OTB100
"""

from hcft_jax.experiment.settings import Experiment, derive


def get_config() -> Experiment:
    """``alex`` on concatenated layers."""
    return derive("alex", hypercolumn=True)

"""Ablation: one filter on the hypercolumn of conv5-4, conv4-4 and conv3-4.

python -m hcft_jax.main --config=c543 --data_dir=OTB100
"""

from hcft_jax.experiment.settings import Experiment, derive


def get_config() -> Experiment:
    """``hcft`` on concatenated layers."""
    return derive("hcft", hypercolumn=True)

"""HCFT as in the authors' program, to the last pixel.

python -m hcft_jax.main --config=cf2 --data_dir=OTB100
"""

from hcft_jax.experiment.settings import Experiment, derive


def get_config() -> Experiment:
    """Their averaged alpha and the sum of all responses."""
    return derive("hcft", update="cf2", search="sum")

"""HCFT over a folder of benchmark sequences.

python -m hcft_jax.main --config=otb --data_dir=OTB100
"""

from hcft_jax.experiment.settings import Experiment, derive


def get_config() -> Experiment:
    """``hcft`` as it is."""
    return derive("hcft")

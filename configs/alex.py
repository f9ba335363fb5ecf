"""HCFT on AlexNet's conv5, conv4 and conv3 instead of VGG-19's layers (the paper's Figure 7).

python -m hcft_jax.main --config=alex --data_dir=OTB100
"""

from hcft_jax.experiment.settings import Experiment, derive


def get_config() -> Experiment:
    """``hcft`` with another backbone."""
    return derive("hcft", backbone="alexnet", layers=("conv5", "conv4", "conv3"))

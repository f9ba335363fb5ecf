"""The paper's remedy for Singer2: first-layer features alone.

python -m hcft_jax.main --config=first_layer --data_dir=OTB100 --sequences=Singer2

Where target and background mean the same to the network and differ in detail only, the semantics
of deep layers mislead (section 5, failure cases).
"""

from hcft_jax.experiment.settings import Experiment, derive


def get_config() -> Experiment:
    """``hcft`` on the first convolution; block 1's last one is ``--layers=conv1_2``."""
    return derive("hcft", layers=("conv1_1",), gamma=(1.0,))

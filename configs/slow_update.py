"""The paper's remedy for long occlusions: a conservative learning rate.

python -m hcft_jax.main --config=slow_update --data_dir=OTB100 --sequences=Lemming,Girl2

While the target is covered, the filters learn what covers it; at half the rate they remember the
target for twice as many frames (section 5, failure cases).
"""

from hcft_jax.experiment.settings import Experiment, derive


def get_config() -> Experiment:
    """``hcft`` with half of the paper's eta; the rate is ours, ``--eta`` sets another."""
    return derive("hcft", eta=0.005)

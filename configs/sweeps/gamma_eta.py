"""The weights of the layers (gamma, Eq. 5) and the learning rate (eta, Eq. 6).

python -m hcft_jax.experiments.sweep --sweep=gamma_eta --data_dir=OTB100

Only the ratios of gamma matter, so conv5-4 keeps 1. conv4-4 has half, once and twice the authors'
0.5; conv3-4 has their 0.02, and 0.25 as in their later program. The last gamma is what the sentence
in the paper says (1, 0.5 and 0.02 for conv4-4, conv3-4 and conv5-4). eta goes from half to four
times the paper's 0.01. All 28 share the compiled program of each sequence.
"""

from hcft_jax.experiment.settings import Experiment
from hcft_jax.experiment.sweeps import product

GAMMA = [(1.0, conv4, conv3) for conv4 in (0.5, 0.25, 1.0) for conv3 in (0.02, 0.25)]
SENTENCE = (0.02, 1.0, 0.5)
ETA = (0.01, 0.005, 0.02, 0.04)


def get_sweep() -> list[Experiment]:
    """Return all combinations; differences are to the authors' values, ``hcft``."""
    return product("hcft", gamma=[*GAMMA, SENTENCE], eta=ETA)

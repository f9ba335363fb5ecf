"""The experiment ``learn_features``: its command is ``python -m hcft_jax.experiments.learn_features``."""

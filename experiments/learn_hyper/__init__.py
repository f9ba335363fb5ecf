"""The experiment ``learn_hyper``: its command is ``python -m hcft_jax.experiments.learn_hyper``."""

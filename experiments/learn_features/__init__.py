"""Learn a small backbone: ``python -m hcft_jax.experiments.learn_features``."""

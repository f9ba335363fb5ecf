"""Learn the filter's constants: ``python -m hcft_jax.experiments.learn_hyper``."""

"""The experiment ``compare``: its command is ``python -m hcft_jax.experiments.compare``."""

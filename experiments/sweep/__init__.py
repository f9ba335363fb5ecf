"""The experiment ``sweep``: its command is ``python -m hcft_jax.experiments.sweep``."""

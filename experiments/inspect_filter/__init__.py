"""The experiment ``inspect_filter``: its command is ``python -m hcft_jax.experiments.inspect_filter``."""

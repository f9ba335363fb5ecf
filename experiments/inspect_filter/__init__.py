"""Show what a learned filter looks at: ``python -m hcft_jax.experiments.inspect_filter``."""

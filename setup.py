"""Where the packages lie: ``configs`` and ``experiments`` are installed inside ``hcft_jax``.

Everything else about the distribution stands in pyproject.toml.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["hcft_jax", "hcft_jax.*"]),
        *(f"hcft_jax.{name}" for name in find_packages(include=["configs*", "experiments*"])),
    ],
    package_data={
        "hcft_jax": ["py.typed"],
        "hcft_jax.backbones": ["*.npz", "*.json"],
        "hcft_jax.evaluation.report": ["*.html", "*.css", "*.js"],
    },
    package_dir={"hcft_jax.configs": "configs", "hcft_jax.experiments": "experiments"},
)

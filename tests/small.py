"""A small tracker with three levels: the first blocks of EfficientNet-Lite0, at few pixels."""

from hcft_jax.core.config import TrackerConfig

NAME = "efficientnet_lite0"
LAYERS = ("block4", "block2", "block0")
SMALL = TrackerConfig(backbone=NAME, layers=LAYERS, input_size=48)

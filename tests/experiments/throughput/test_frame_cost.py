from experiments.throughput import frame_cost
from hcft_jax.backbones.backbone import Params
from hcft_jax.core.config import TrackerConfig
from hcft_jax.data.synthetic import Synthetic


def test_moved_and_unmoved_frames_are_set_against_network_passes(params: Params) -> None:
    config = TrackerConfig(layers=("conv1_2",), gamma=(1.0,), input_size=32)
    drawn = Synthetic(frames=60, height=96, width=96, target=(24, 20), motion=15.0)
    result = frame_cost.measure(params, config, drawn, repeats=2)
    assert set(result["seconds"]) == {"network", "moved", "unmoved"}
    for values in (*result["seconds"].values(), *result["ratios"].values()):
        assert 0 < values["least"] <= values["median"] <= values["most"]

"""The named configurations: what ``--config`` knows, and what each one changes.

    python -m hcft_jax.main --config=cf2 --data_dir=OTB100

The fields are those of ``TrackerConfig`` and ``Experiment``; a field that is not named has its
default, which for the tracker is the paper's value. A flag changes a field once more.
"""

from typing import Any

from hcft_jax.data.synthetic import Synthetic
from hcft_jax.experiment.settings import OwnVideo

_ALEX = {"backbone": "alexnet", "layers": ("conv5", "conv4", "conv3")}

_KCF = {
    "backbone": "hog",
    "layers": ("hog_4",),
    "gamma": (1.0,),
    "padding": 2.5,
    "halved_from": 100.0,
    "update": "cf2",
    "eta": 0.02,
}
_GREY = {"backbone": "grey", "kernel": "gaussian", "bandwidth": 0.2, "eta": 0.075}

_HEAD = {
    "update": "cf2",
    "search": "sum",
    "gamma": (1.0, 0.5, 0.25),
    "normalized": True,
    "scale": "dsst",
}

_LITE0 = {
    "backbone": "efficientnet_lite0",
    "layers": ("block11", "block8", "block2"),
    "search": "sum",
    "gamma": (1.0, 0.5, 0.25),
    "normalized": True,
    "lambda_": 1.0,
}

NAMED: dict[str, dict[str, Any]] = {
    # The paper's equations: Eq. 5's coarse-to-fine search and Eq. 6's update.
    "hcft": {},
    # The same, for those who think of the benchmark first.
    "otb": {},
    # The authors' program, to the last pixel: averaged alpha, and the sum of all responses.
    "cf2": {"update": "cf2", "search": "sum"},
    # The authors' newest program (2018): each response by its own maximum, other weights, and the
    # target's size, to the last pixel.
    "cf2_head": _HEAD,
    # For use: the same, with positions between cells, a search window that follows the size, and a
    # memory that says when the target is lost and where it is found again.
    "hcft_plus": _HEAD | {"search": "soft", "window": "scaled", "redetect": True},
    # Without a download: EfficientNet-Lite0's levels, whitened, so that a lambda of 1 is about as
    # strong as the mean of their power spectra.
    "lite0": _LITE0,
    # The same at fewer pixels and to an earlier block, for cameras.
    "lite0_fast": _LITE0
    | {"layers": ("block10", "block2"), "gamma": (1.0, 0.5), "input_size": 144},
    # The family that HCFT is judged against, each as its authors have it. KCF and DCF (Henriques et
    # al., PAMI 2015) on fHOG, KCF on grey values, and CSK (Henriques et al., ECCV 2012).
    "kcf": _KCF | {"kernel": "gaussian", "bandwidth": 0.5},
    "dcf": _KCF,
    "kcf_grey": _KCF | _GREY | {"layers": ("centred",)},
    "csk": _KCF
    | _GREY
    | {
        "layers": ("grey",),
        "kernel": "csk",
        "padding": 2.0,
        "lambda_": 1e-2,
        "sigma": 1 / 16,
    },
    # DSST (Danelljan et al., BMVC 2014). Its lambda of 0.01 is relative to sums over all cells and
    # channels, where ours is relative to means: next to nothing either way.
    "dsst": {
        "backbone": "hog",
        "layers": ("hog_1", "grey"),
        "gamma": (1.0, 1.0),
        "hypercolumn": True,
        "padding": 2.0,
        "lambda_": 1e-8,
        "sigma": 1 / 16,
        "eta": 0.025,
        "scale": "dsst",
        "scale_eta": 0.025,
        "scale_margin": 0.0,
        "window": "scaled",
    },
    # The ablation of the paper's Figure 7: one layer, two, and one filter on the hypercolumn.
    "c5": {"layers": ("conv5_4",), "gamma": (1.0,)},
    "c4": {"layers": ("conv4_4",), "gamma": (1.0,)},
    "c3": {"layers": ("conv3_4",), "gamma": (1.0,)},
    "c5_c4": {"layers": ("conv5_4", "conv4_4"), "gamma": (1.0, 0.5)},
    "c543": {"hypercolumn": True},
    # The same on AlexNet's layers, also in Figure 7.
    "alex": _ALEX,
    "alex_c5": _ALEX | {"layers": ("conv5",), "gamma": (1.0,)},
    "alex_c4": _ALEX | {"layers": ("conv4",), "gamma": (1.0,)},
    "alex_c3": _ALEX | {"layers": ("conv3",), "gamma": (1.0,)},
    "alex_c5_c4": _ALEX | {"layers": ("conv5", "conv4"), "gamma": (1.0, 0.5)},
    "alex_c543": _ALEX | {"hypercolumn": True},
    # The paper's remedy for Singer2 (section 5, failure cases): where target and background mean
    # the same to the network and differ in detail only, the semantics of deep layers mislead, so
    # the first convolution is used alone (``layers=("conv1_2",)`` is the last one of its block).
    "first_layer": {"layers": ("conv1_1",), "gamma": (1.0,)},
    # The paper's remedy for long occlusions (Lemming, Girl2): while the target is covered, the
    # filters learn what covers it; at half the rate they remember the target for twice as many
    # frames. The rate is ours: the paper gives none.
    "slow_update": {"eta": 0.005},
    # No data set is needed: a drawn target moves, turns, is lit unevenly and is covered for a
    # while. lite0 takes over where there are no VGG-19 weights yet.
    "demo": {
        "synthetic": Synthetic(
            seed=1,
            frames=60,
            motion=50.0,
            rotation=15.0,
            illumination=0.2,
            occlusion=0.07,
            noise=4.0,
        ),
        "otherwise": "lite0",
        "overlay": True,
        "output_dir": "demo",
    },
    # Your own video: --video=cat.mp4 --box=210,120,64,48
    "video": {"own": OwnVideo(), "otherwise": "lite0", "overlay": True},
}

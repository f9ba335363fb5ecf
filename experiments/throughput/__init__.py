"""How fast the tracker is, and what its commands have to choose from."""

PARTS = ("startup", "ceilings", "network", "stages", "rows")  # measured without --parts
MORE = ("frame", "video", "feed")
TRACKER = ("backbone", "layers", "gamma", "input_size")  # the tracker's flags that can be set
CHECKS = ("lanes", "stages", "oracle", "stream", "precisions", "feed", "decode")  # in their order

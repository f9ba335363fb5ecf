"""How fast the tracker is and what bounds it: what ``experiments.throughput`` measures with."""

"""Many settings over many sequences, and who can do the work."""

ENGINES = ("local", "ray")

"""Our tracker inside other people's toolkits: GOT-10k's, and whatever speaks TraX (VOT's)."""

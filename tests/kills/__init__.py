"""Commands that are ended at random moments, and given again: ``python -m tests.kills``."""

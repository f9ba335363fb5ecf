"""Hostile and unlucky inputs by kind, for every door of the program: see ``__main__``."""

"""How often a filter of one frame finds the target in another one."""

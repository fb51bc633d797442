"""Instruction sets, as far as constants and calls go: one file for each family."""

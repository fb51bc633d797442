"""``python -m fwcheck``."""

from fwcheck.cli.main import command

command()

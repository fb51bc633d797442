"""fwcheck: what in a firmware image breaks the requirements of a JC-STAR level, with proof down to the byte."""

__all__ = ["__version__"]
__version__ = "0.1.0"

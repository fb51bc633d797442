"""What can go wrong while bytes are read.

FormatError      the bytes are not what their header claims
  Truncated      they are, but the source ends before they do
QuotaExceeded    reading on would cost more than the limits allow
"""

from __future__ import annotations


class ExtractionError(Exception):
    """Base of both: a reason in one line, fit for a recorded gap."""


class FormatError(ExtractionError):
    """The bytes do not form what a format expects. Parsers raise nothing else for bad input."""


class Truncated(FormatError):
    """The header is sound, but what it points at lies beyond the end of the source: told to the user, not tried elsewhere."""


class QuotaExceeded(ExtractionError):
    """A limit on depth, bytes, ratio, nodes or time was hit; what was read until then stands."""

"""What was found in an image, signed: an in-toto statement in a DSSE envelope.

``statement.py`` has what is stated, ``envelope.py`` how it is signed and verified, ``keys.py`` how keys are read.
"""

from __future__ import annotations

from fwcheck.attestation.envelope import NotVerified, sign, verify
from fwcheck.attestation.keys import BadKey, read_private, read_public
from fwcheck.attestation.statement import Statement, state

__all__ = ["BadKey", "NotVerified", "Statement", "read_private", "read_public", "sign", "state", "verify"]

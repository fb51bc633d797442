"""The key of an installation: what webhooks and forms are signed with follows from it. No database holds it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

_BYTES = 32


class InstallationKey:
    """Derives keys for purposes."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, data: Path, given: str) -> InstallationKey:
        """The one given (when several servers share a database), else that of the data folder, made when there is none."""
        if given:
            return cls(given.encode())
        path = data / "key"
        if not path.exists():
            partial = data / f"key.{secrets.token_hex(8)}"
            partial.touch(mode=0o600)
            partial.write_bytes(secrets.token_bytes(_BYTES))
            try:
                path.hardlink_to(partial)  # the first one wins
            except FileExistsError:
                pass
            finally:
                partial.unlink()
        return cls(path.read_bytes())

    def derived(self, purpose: str, of: str) -> str:
        """A secret for one thing."""
        return hmac.new(self._key, f"{purpose}\0{of}".encode(), hashlib.sha256).hexdigest()

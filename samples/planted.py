"""The planted weaknesses: the repaired router with one thing spoilt, and the findings that this one thing must give.

Each plant is one small image of ``planted/``, named after what is wrong in it. ``finds`` is everything a scan may say against it
beyond what it says against the repaired router: rule and path, no more and no less.
"""

from __future__ import annotations

from plants.accounts import ACCOUNTS
from plants.booting import BOOTING
from plants.debug import DEBUG
from plants.files import FILES
from plants.hardening import HARDENING
from plants.network import NETWORK
from plants.plant import BOOT, Plant
from plants.transport import TRANSPORT
from plants.updates import UPDATES
from plants.upkeep import UPKEEP

__all__ = ["BOOT", "PLANTED", "Plant"]

PLANTED = (
    *ACCOUNTS,
    *NETWORK,
    *TRANSPORT,
    *UPDATES,
    *BOOTING,
    *DEBUG,
    *HARDENING,
    *UPKEEP,
    *FILES,
)

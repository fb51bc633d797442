"""The store that an installation is configured with."""

from __future__ import annotations

from fwcheck.service.settings import Settings
from fwcheck.service.storage import Folder


def opened(settings: Settings) -> Folder:
    """The data folder, or ``s3://bucket/prefix``; raises ValueError for anything else."""
    if not settings.storage:
        return Folder(settings.data)
    if not settings.storage.startswith("s3://"):
        raise ValueError(f"{settings.storage}: a store is s3://bucket/prefix, or the data folder when none is named")
    from fwcheck.service.bucket import Bucket  # noqa: PLC0415  # its library is heavy

    return Bucket(settings.data, settings.storage, settings.s3_endpoint)

"""What every request and every worker of one installation shares."""

from __future__ import annotations

from functools import cached_property

from fwcheck.service.database import Database
from fwcheck.service.queue import Queue
from fwcheck.service.settings import Settings
from fwcheck.service.storage import Folder
from fwcheck.service.tokens import Tokens


class Context:
    """The installation: settings, database, store, tokens, queue."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.database = Database(settings.database_url)
        self.store = Folder(settings.data)
        self.tokens = Tokens(self.database)
        self.queue = Queue(self.database, settings.lease)

    @cached_property
    def standing(self) -> tuple[str, str]:
        """The rules and the knowledge that a scan would be made with now."""
        from fwcheck.pipeline import knowledge_date, rules_digest  # noqa: PLC0415  # half a second that the first upload waits

        return rules_digest(), knowledge_date(self.settings.knowledge)

    def close(self) -> None:
        """Lets everything go."""
        self.database.close()

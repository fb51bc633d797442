"""What every request and every worker of one installation shares."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from fwcheck.service.audit import Audit
from fwcheck.service.database import Database
from fwcheck.service.knowledge import file_state
from fwcheck.service.metrics import Metrics
from fwcheck.service.queue import Queue
from fwcheck.service.rates import Rate
from fwcheck.service.readiness import Readiness
from fwcheck.service.secret import InstallationKey
from fwcheck.service.settings import Settings
from fwcheck.service.store import opened
from fwcheck.service.tokens import Tokens

if TYPE_CHECKING:
    from fwcheck.service.oidc import Provider


class Context:
    """The installation: settings, database, store, tokens, queue."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.database = Database(settings.database_url)
        self.store = opened(settings)
        self.tokens = Tokens(self.database)
        self.queue = Queue(self.database, settings.lease)
        self.key = InstallationKey.of(settings.data, settings.secret)
        self.audit = Audit(self.database)
        self.metrics = Metrics()
        self.requests = Rate(settings.requests_per_minute)
        self.failures = Rate(settings.failures_per_minute, burst=60.0)
        self._standing: tuple[object, tuple[str, str]] | None = None
        self._writing: set[str] = set()  # uploads that a request writes to

    @staticmethod
    def tell(request: Any, what: str) -> None:
        """Notes in the audit log what this request changed, where its path does not say it."""
        request.scope["fwcheck.what"] = what

    def claim_upload(self, id: str) -> bool:
        """Whether nobody else writes to it; called in the event loop alone."""
        if id in self._writing:
            return False
        self._writing.add(id)
        return True

    def release_upload(self, id: str) -> None:
        """Others may write to it."""
        self._writing.discard(id)

    @property
    def standing(self) -> tuple[str, str]:
        """The rules and the knowledge that a scan would be made with now. The knowledge file may be replaced while we run."""
        from fwcheck.pipeline import rules_digest  # noqa: PLC0415  # half a second that the first upload waits
        from fwcheck.vulnerabilities.database import Knowledge  # noqa: PLC0415

        state = file_state(self.settings.knowledge)
        if self._standing is None or self._standing[0] != state:
            knowledge = Knowledge.open(self.settings.knowledge)
            self._standing = (state, (rules_digest(), knowledge.date))
            knowledge.close()
        return self._standing[1]

    @cached_property
    def readiness(self) -> Readiness:
        """Whether everything that is needed answers."""
        return Readiness(self.settings, self.database, self.store)

    @cached_property
    def provider(self) -> Provider | None:
        """The identity provider that people may sign in by."""
        if not self.settings.oidc_issuer:
            return None
        from fwcheck.service.oidc import Provider  # noqa: PLC0415  # few installations have one

        return Provider(self.settings, self.key)

    def close(self) -> None:
        """Lets everything go."""
        self.database.close()

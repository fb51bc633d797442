"""Workers on any number of machines: Celery carries the ids of scans, the database stays the truth.

A message that is lost is sent again, one that comes twice finds its scan claimed. So the broker may die at any moment.
"""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import cache
from typing import Any

import celery
from celery import Celery
from sqlalchemy import or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from fwcheck.service.confinement import sandboxed
from fwcheck.service.context import Context
from fwcheck.service.log import log
from fwcheck.service.runner import Runner
from fwcheck.service.settings import Settings
from fwcheck.service.tables import Scan, now

_TASK = "fwcheck.scan"
_EVERY = 1.0  # seconds between two looks for scans that no message was sent for
_AGAIN = timedelta(seconds=120)  # after which a message counts as lost
_BATCH = 500
_PROBE = 3  # seconds that a broker has to answer
_RECYCLED = 200  # scans after which a worker process is replaced


def application(settings: Settings) -> Celery:
    """The Celery application of an installation."""
    app = Celery("fwcheck", broker=settings.broker, set_as_current=False)
    redis = settings.broker.startswith("redis")
    taken_for_lost = {"visibility_timeout": int(settings.scan_seconds) + 600}
    by_priority = {"priority_steps": list(range(10)), "queue_order_strategy": "priority"}
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=True,
        task_soft_time_limit=settings.scan_seconds + 120,  # the runner ends what takes too long before, and says so
        task_time_limit=settings.scan_seconds + 180,
        worker_prefetch_multiplier=1,
        worker_max_tasks_per_child=_RECYCLED,
        worker_max_memory_per_child=(settings.scan_memory // 4) >> 10,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=5,
        broker_transport_options=taken_for_lost | by_priority if redis else {"confirm_publish": True},
        task_default_queue="fwcheck",
        task_queue_max_priority=None if redis else 10,
        task_serializer="json",
        accept_content=["json"],
        task_publish_retry=False,
    )
    return app


def broker_alive(settings: Settings) -> bool:
    """Whether the broker takes a connection and answers on it; raises what its library raises when not."""
    waits = {"socket_connect_timeout": _PROBE, "socket_timeout": _PROBE} if settings.broker.startswith("redis") else {}
    with application(settings).connection_for_write(connect_timeout=_PROBE, transport_options=waits) as broker:
        broker.connect()  # one try
        broker.channel().close()  # Redis is asked here for the first time
    return True


class Dispatcher:
    """Sends a message for each scan that waits, and again when nobody took it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._app = application(context.settings)
        self._redis = context.settings.broker.startswith("redis")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._stop.set()
        self._thread.join(30)

    def _loop(self) -> None:
        rounds = 0
        while not self._stop.wait(_EVERY / 4):
            try:
                if rounds % 20 == 0 and (count := self._context.queue.reclaim()):
                    log("reclaimed", scans=count)
                self.send()
            except SQLAlchemyError as error:
                log("database", error=type(error).__name__)
                self._stop.wait(_EVERY)
            rounds += 1

    def send(self) -> None:
        """One round. What could not be sent is sent in a later one."""
        moment = now()
        due = select(Scan.id, Scan.priority).where(
            Scan.state == "queued",
            Scan.not_before <= moment,
            or_(Scan.dispatched.is_(None), Scan.dispatched < moment - _AGAIN),
        )
        with self._context.database.read() as session:
            waiting = session.execute(due.order_by(Scan.priority, Scan.id).limit(_BATCH)).all()
        for id, priority in waiting:
            try:
                urgency = priority if self._redis else 10 - priority  # Redis: small is first; RabbitMQ: large is
                self._app.send_task(_TASK, args=[id], priority=urgency, retry=False)
            except Exception as error:  # noqa: BLE001  # brokers fail in many ways; all of them pass
                log("broker", error=type(error).__name__)
                self._stop.wait(_EVERY)
                return
            with self._context.database.write() as session:
                session.execute(update(Scan).where(Scan.id == id).values(dispatched=moment))


def work(settings: Settings, concurrency: int) -> int:
    """A worker: takes messages until it is told to stop; the scan at hand is finished first."""
    if not sandboxed(settings):
        return 1
    app = application(settings)

    @cache
    def runner() -> tuple[Context, Runner]:
        context = Context(settings)  # in the process that does the work: connections do not cross a fork
        return context, Runner(settings, context.database, context.store, context.queue)

    @app.task(name=_TASK, bind=True, max_retries=None)  # type: ignore[untyped-decorator]
    def scan(task: Any, id: str) -> None:
        context, mine = runner()
        held = context.queue.claim(f"{task.request.hostname}", scan=id)
        if held is None:
            return  # done, or at work elsewhere
        ending = mine.run(held)
        log("scan", scan=id, ending=ending, tries=held.tries, size=held.size)

    log("worker", broker=settings.broker.split("://")[0], concurrency=concurrency, celery=celery.__version__)
    arguments = ["worker", "--concurrency", str(concurrency), "--loglevel", "WARNING", "--without-gossip", "--without-mingle"]
    app.worker_main([*arguments, "--without-heartbeat"])
    return 0

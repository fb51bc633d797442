"""PostgreSQL, Redis, RabbitMQ and an object store on loopback ports, from Debian's packages; each ends with its test."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def missing(*names: str) -> str:
    """Why the test cannot run here; empty when it can."""
    have = {
        "postgresql": POSTGRES is not None,
        "redis-server": bool(shutil.which("redis-server")),
        "rabbitmq-server": RABBIT.exists(),
    }
    absent = [name for name in names if not have[name]]
    return f"needs {' '.join(absent)} (apt-get install)" if absent else ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def listening(port: int, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nothing listens at {port}: {process.args}")


def ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def postgres() -> Iterator[Any]:
    """Gives a function that makes an empty database and gives its address; it has ``crash`` and ``start``, too."""
    assert POSTGRES is not None
    as_user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="fwcheck-pg") as folder:
        if as_user:
            shutil.chown(folder, "postgres", "postgres")
        port, quiet = free_port(), {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder}
        command = [str(POSTGRES / "initdb"), "-D", f"{folder}/data", "-U", "fwcheck", "-A", "trust", "--no-sync"]
        subprocess.run(command, check=True, **as_user, **quiet)  # type: ignore[call-overload]
        command = [str(POSTGRES / "postgres"), "-D", f"{folder}/data", "-p", str(port), "-h", "127.0.0.1", "-k", folder]
        command += ["-c", "fsync=off", "-c", "max_connections=200"]
        running: list[subprocess.Popen[bytes]] = []

        def start() -> None:
            running[:] = [subprocess.Popen(command, **as_user, **quiet)]  # type: ignore[call-overload]
            listening(port, running[0])
            until = time.monotonic() + 120
            ready = [str(POSTGRES / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
            while subprocess.run(ready, check=False, **quiet).returncode and time.monotonic() < until:  # type: ignore[call-overload]
                time.sleep(0.1)

        def crash() -> None:
            running[0].send_signal(signal.SIGQUIT)  # all sessions end at once, nothing is written down in good order
            running[0].wait()

        def made(name: str) -> str:
            create = [str(POSTGRES / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "fwcheck", name]
            subprocess.run(create, check=True, **quiet)  # type: ignore[call-overload]
            return f"postgresql+pg8000://fwcheck@127.0.0.1:{port}/{name}"

        made.crash, made.start = crash, start  # type: ignore[attr-defined]
        try:
            start()
            yield made
        finally:
            running[0].send_signal(signal.SIGINT)  # fast: open sessions are ended
            ended(running[0])


class Redis:
    """A Redis that may be killed and come back with what it had written down."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        command = [
            "redis-server",
            "--port",
            str(self._port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self._folder),
            "--appendonly",
            "yes",
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        listening(self._port, self.process)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        ended(self.process)


@contextmanager
def rabbitmq() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="fwcheck-mq") as folder:
        port = free_port()
        environment = {
            **os.environ, "HOME": folder, "RABBITMQ_NODENAME": f"fwcheck{port}@localhost", "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1", "RABBITMQ_DIST_PORT": str(free_port()), "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia", "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_PID_FILE": f"{folder}/pid", "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        }  # fmt: skip
        process = subprocess.Popen(
            [str(RABBIT)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            listening(port, process, 180)
            yield f"amqp://guest:guest@127.0.0.1:{port}//"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()
            subprocess.run(["epmd", "-port", environment["ERL_EPMD_PORT"], "-kill"], check=False, capture_output=True)


@contextmanager
def object_store() -> Iterator[dict[str, str]]:
    """The settings for a bucket of an object store that speaks S3 (moto)."""
    import boto3

    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    try:
        listening(port, process)
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )
        client.create_bucket(Bucket="firmware")
        client.close()
        yield {**keys, "FWCHECK_STORAGE": "s3://firmware/checks", "FWCHECK_S3_ENDPOINT": f"http://127.0.0.1:{port}"}
    finally:
        ended(process)

"""A real service on a loopback port, started the way users start it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
INSECURE, REPAIRED = (ROOT / "samples" / f"router-{name}.bin" for name in ("insecure", "repaired"))


class Served:
    """A running service: its address, its administrator's token, its log."""

    def __init__(
        self, folder: Path, *, workers: int = 1, environment: dict[str, str] | None = None, arguments: tuple[str, ...] = (),
        token: str = "", helped: bool = True,
    ):  # fmt: skip
        self.folder = folder
        self.data = folder / "data"
        self.workers = workers
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "FWCHECK_RESERVE": "1",
            "FWCHECK_JOBS": "1",
            "FWCHECK_FAILURES_PER_MINUTE": "100000",
            "FWCHECK_REQUESTS_PER_MINUTE": "100000",
            **(environment or {}),
        }
        self.environment.pop("FWCHECK_TOKEN", None)
        self.arguments = arguments
        self.token = token  # known already, of an installation that has other servers
        self.helped = helped  # whether there is a worker where there is a broker
        self.helper: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def embedded(self) -> bool:
        """Whether everything is in its data folder."""
        return "FWCHECK_DATABASE" not in self.environment

    def start(self) -> None:
        self._serve()
        if "FWCHECK_BROKER" in self.environment and self.helped:
            self.helper = self.worker()

    def worker(self, *arguments: str) -> subprocess.Popen[bytes]:
        """``fwcheck worker`` beside the service."""
        log = self.folder / f"log{len(list(self.folder.glob('log*')))}"
        command = [sys.executable, "-m", "fwcheck", "worker", "--data", str(self.data), *arguments]
        with log.open("wb") as file:
            return subprocess.Popen(command, stderr=file, stdout=file, env=self.environment, cwd=self.folder)

    def _serve(self) -> None:
        self.log = self.folder / f"log{len(list(self.folder.glob('log*')))}"
        command = [sys.executable, "-m", "fwcheck", "serve", "--data", str(self.data), "--port", "0"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--workers", str(self.workers), *self.arguments],
                stderr=log,
                stdout=log,
                env=self.environment,
                cwd=self.folder,
            )
        self.url = self._said(r"serving (\S+)")
        self._alive()
        self.token = self.token or self._said(r"this once: (\S+)")

    def _said(self, pattern: str) -> str:
        until = time.monotonic() + 120
        while time.monotonic() < until and self.process.poll() is None:
            if found := re.search(pattern + r"\n", self.log.read_text()):
                return found[1]
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def _alive(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if httpx.get(f"{self.url}/health", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def http(self, token: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"} if token != "" else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def issue(self, role: str, products: tuple[str, ...] = (), **more: Any) -> str:
        with self.http() as http:
            answer = http.post("/api/v1/tokens", json={"name": f"a {role}", "role": role, "products": list(products), **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["secret"])

    def upload(
        self, image: Path | bytes, product: str = "router", version: str = "1.0", token: str | None = None, **more: str
    ) -> httpx.Response:
        content, name = (image, "image.bin") if isinstance(image, bytes) else (image.read_bytes(), image.name)
        with self.http(token) as http:
            return http.post(
                "/api/v1/scans", data={"product": product, "version": version, **more}, files={"image": (name, content)}
            )

    def running(self, id: str, tries: int = 1) -> None:
        """Waits until the scan runs for this time. From one try to the next it may be queued for too short a time to be seen."""
        with self.http() as http:
            until = time.monotonic() + 240
            while ((scan := http.get(f"/api/v1/scans/{id}").json())["status"], scan["tries"]) != ("running", tries):
                assert scan["status"] in ("queued", "running")
                assert time.monotonic() < until, self.log.read_text()
                time.sleep(0.01)

    def settled(self, id: str, seconds: float = 240) -> dict[str, Any]:
        """The scan when it is at its end."""
        until = time.monotonic() + seconds
        with self.http() as http:
            while time.monotonic() < until:
                scan: dict[str, Any] = http.get(f"/api/v1/scans/{id}").json()
                if scan["status"] in {"done", "failed"}:
                    return scan
                time.sleep(0.1)
        raise AssertionError((scan, self.log.read_text()))

    def events(self, event: str) -> list[dict[str, Any]]:
        import json

        lines = [
            line for log in sorted(self.folder.glob("log*")) for line in log.read_text().splitlines() if line.startswith("{")
        ]
        return [each for each in map(json.loads, lines) if each["event"] == event]

    def stop(self, how: int = signal.SIGTERM) -> int:
        helpers = [self.helper] if self.helper is not None else []
        for process in (*helpers, self.process):
            if process.poll() is None:
                process.send_signal(how)
        for process in helpers:
            process.wait(60)
        self.helper = None
        return self.process.wait(60)

    def command(self, *arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
        """``fwcheck`` as a release job runs it."""
        environment = {**self.environment, "FWCHECK_SERVER": self.url, "FWCHECK_TOKEN": self.token if token is None else token}
        return subprocess.run(
            [sys.executable, "-m", "fwcheck", *arguments],
            check=False,
            capture_output=True,
            text=True,
            env=environment,
            cwd=self.folder,
            timeout=300,
        )

"""The client keeps on when the connection does not."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from pathlib import Path

import pytest
from support.serving import REPAIRED, Served

from fwcheck.service import client as module
from fwcheck.service.client import Client

pytestmark = pytest.mark.parametrize(
    "served", ["embedded"], indirect=True, scope="session"
)  # what is outside makes no difference


class Cutting:
    """Passes connections on to the service, and cuts the first ones after so many bytes."""

    def __init__(self, url: str, cuts: list[int]) -> None:
        host, port = url.removeprefix("http://").split(":")
        self._target, self._cuts = (host, int(port)), cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            left = self._cuts.pop(0) if self._cuts else None
            threading.Thread(target=self._pass, args=(near, far, left), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, None), daemon=True).start()

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket, left: int | None) -> None:
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
                if left is not None:
                    left -= len(piece)
                    if left < 0:
                        break
        except OSError:
            pass  # one side is gone: so is the other
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_large_upload_goes_on_where_it_broke_off(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "large.bin"
    content = REPAIRED.read_bytes() + bytes(9 << 20)
    image.write_bytes(content)
    waits: list[str] = []
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    proxy = Cutting(served.url, [10**9, 3 << 20, 10**9, 3 << 20])  # the connections that carry bytes break off after 3 MiB
    try:
        sent: list[int] = []
        client = Client(proxy.url, served.token, retry=lambda _, why: waits.append(why))
        accepted = client.upload(image, {"product": "large", "version": "1"}, lambda done, _: sent.append(done))
    finally:
        proxy.close()
    with served.http() as http:
        assert http.get(accepted["status_url"]).json()["image"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert len(waits) >= 2  # more when the service was still busy with what had come
    assert all("bytes have arrived" in why for why in waits)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_small_upload_is_sent_again(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    proxy = Cutting(served.url, [1000, 30000])
    try:
        waits: list[str] = []
        client = Client(proxy.url, served.token, retry=lambda _, why: waits.append(why))
        accepted = client.upload(REPAIRED, {"product": "small", "version": "1"}, lambda *_: None)
    finally:
        proxy.close()
    assert accepted["status_url"].startswith("/api/v1/scans/")
    assert len(waits) == 2


def test_an_upload_that_the_service_lost_is_begun_again(served: Served, tmp_path: Path) -> None:
    image = tmp_path / "large.bin"
    image.write_bytes(REPAIRED.read_bytes() + bytes(9 << 20))
    client = Client(served.url, served.token, retry=lambda _, why: waits.append(why))
    waits: list[str] = []
    once, ask = [True], client._once

    def lose(method: str, path: str, *more: object) -> object:
        if method == "PATCH" and once:
            once.clear()
            for each in (served.data / "incoming").iterdir():
                each.unlink()
        return ask(method, path, *more)  # type: ignore[arg-type]

    client._once = lose  # type: ignore[method-assign, assignment]
    accepted = client.upload(image, {"product": "lost", "version": "1"}, lambda *_: None)
    assert accepted["id"]
    assert any("begin again" in each for each in waits)

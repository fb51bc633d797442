import http.server
import json
import threading

import pytest

from fwcheck.vulnerabilities.database import Knowledge
from fwcheck.vulnerabilities.imports.documents import BadDocument
from fwcheck.vulnerabilities.imports.fetch import addresses, check, fetch, sources
from fwcheck.vulnerabilities.imports.run import run

KEV = {
    "dateReleased": "2026-10-02",
    "catalogVersion": "1",
    "vulnerabilities": [{"cveID": "CVE-2026-0001", "dateAdded": "2026-10-02"}],
}


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        raw = json.dumps(KEV).encode()
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://example.org/kev.json")
            self.end_headers()
            return
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw) + (10 if self.path == "/short.json" else 0)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as held:
        thread = threading.Thread(target=held.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{held.server_port}"
        held.shutdown()
        thread.join()


def test_what_a_server_gives_is_imported(tmp_path, server):
    files = list(fetch([f"{server}/kev.json"], tmp_path))
    run(files, tmp_path / "own.sqlite")
    assert Knowledge.open(tmp_path / "own.sqlite").exploited_since("CVE-2026-0001") == "2026-10-02"


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/missing", "answers 404"), ("/away", "only https is spoken"), ("/short.json", "(ends in the middle|cannot be fetched)")],
)
def test_an_answer_that_is_none_is_told_in_one_sentence(tmp_path, server, path, reason):
    with pytest.raises(BadDocument, match=reason) as refused:
        list(fetch([server + path], tmp_path))
    assert "\n" not in str(refused.value)


def test_without_a_network_the_reason_is_one_sentence(tmp_path):
    with pytest.raises(BadDocument, match=r"^http://127\.0\.0\.1:1/x: cannot be fetched: Connection refused$"):
        list(fetch(["http://127.0.0.1:1/x"], tmp_path))


@pytest.mark.parametrize(
    "url", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd", "https://", "x", "http://[::1"]
)
def test_only_https_is_spoken(url):
    with pytest.raises(BadDocument):
        check(url)


def test_every_source_has_addresses():
    assert all(each.url.startswith("https://") for each in sources().values())
    usual = addresses([], year=2026)
    assert sum("nvdcve-2.0-20" in each for each in usual) == 25
    assert "https://endoflife.date/api/v1/products/full" in usual
    assert not any("{" in each for name in sources() for each in addresses([name], year=2026))
    with pytest.raises(BadDocument, match="no such source"):
        addresses(["nowhere"])

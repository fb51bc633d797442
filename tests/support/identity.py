"""A small OpenID Connect provider on a loopback port, which can be told to do each thing wrong. Everybody is let in at once."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

CLIENT, SECRET = "fwcheck", "s:e c+ret"


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def number(value: int) -> str:
    return encoded(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Key:
    """A signing key with its name."""

    def __init__(self, kind: str = "RSA") -> None:
        self.kid = secrets.token_hex(4)
        self.kind = kind
        self.private: Any = (
            rsa.generate_private_key(public_exponent=65537, key_size=2048)
            if kind == "RSA"
            else ec.generate_private_key(ec.SECP256R1())
        )

    @property
    def algorithm(self) -> str:
        return "RS256" if self.kind == "RSA" else "ES256"

    def public(self) -> dict[str, str]:
        numbers = self.private.public_key().public_numbers()
        if self.kind == "RSA":
            return {"kty": "RSA", "kid": self.kid, "use": "sig", "n": number(numbers.n), "e": number(numbers.e)}
        x, y = (encoded(each.to_bytes(32, "big")) for each in (numbers.x, numbers.y))
        return {"kty": "EC", "kid": self.kid, "crv": "P-256", "x": x, "y": y}

    def sign(self, text: bytes) -> bytes:
        if self.kind == "RSA":
            return bytes(self.private.sign(text, padding.PKCS1v15(), hashes.SHA256()))
        r, s = decode_dss_signature(self.private.sign(text, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class Identity:
    """The provider. ``claims`` go into each ID token; ``spoil`` may change header, claims and signature of the next ones."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.keys = [Key()]
        self.claims: dict[str, Any] = {"sub": "17", "preferred_username": "mika", "groups": ["auditors"]}
        self.spoil: Callable[[dict[str, Any], dict[str, Any]], None] = lambda _header, _claims: None
        self.signer: Key | None = None
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []  # paths
        self.refuse = ""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._get(self)

            def do_POST(self) -> None:
                provider._post(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.issuer = f"http://{host}:{self._server.server_port}/realm"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def token(self, nonce: str) -> str:
        key = self.signer or self.keys[0]
        header: dict[str, Any] = {"alg": key.algorithm, "kid": key.kid, "typ": "JWT"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce, **self.claims}
        self.spoil(header, claims)
        text = ".".join(encoded(json.dumps(each).encode()) for each in (header, claims))
        return text + "." + ("" if header["alg"] == "none" else encoded(key.sign(text.encode())))

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        self.asked.append(parts.path)
        if parts.path == "/realm/.well-known/openid-configuration":
            found = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
            found |= {
                f"{name}_endpoint": f"{self.issuer}/{path}"
                for name, path in (("authorization", "authorize"), ("token", "token"), ("end_session", "leave"))
            }
            return self._say(request, 200, found)
        if parts.path == "/realm/keys":
            return self._say(request, 200, {"keys": [{"kty": "new"}, *(each.public() for each in self.keys)]})
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/favicon.ico":
            return self._say(request, 200, {})
        if parts.path == "/realm/leave":
            return self._say(request, 200, {"left": asked["post_logout_redirect_uri"]})
        if parts.path != "/realm/authorize" or asked.get("code_challenge_method") != "S256":
            return self._say(request, 404, {"error": "not_found"})
        said = {"state": asked["state"], "iss": self.issuer}
        if self.refuse:
            said |= {"error": self.refuse}
        else:
            said |= {"code": secrets.token_hex(8)}
            self.codes[said["code"]] = asked
        request.send_response(302)
        request.send_header("Location", f"{asked['redirect_uri']}?{urlencode(said)}")
        request.end_headers()
        return None

    def _post(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        body = request.rfile.read(int(request.headers["Content-Length"])).decode()
        said = {name: values[0] for name, values in parse_qs(body).items()}
        basic = base64.b64decode(request.headers.get("Authorization", "Basic ").split()[-1]).decode()
        who = tuple(unquote_plus(each) for each in basic.split(":", 1))
        asked = self.codes.pop(said.get("code", ""), None)
        challenge = encoded(hashlib.sha256(said.get("code_verifier", "").encode()).digest())
        good = asked is not None and asked["code_challenge"] == challenge and asked["redirect_uri"] == said["redirect_uri"]
        if who != (CLIENT, SECRET) or not good or asked is None:
            return self._say(request, 400, {"error": "invalid_grant"})
        return self._say(request, 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.token(asked["nonce"])})

    @staticmethod
    def _say(request: BaseHTTPRequestHandler, status: int, said: dict[str, Any]) -> None:
        content = json.dumps(said).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

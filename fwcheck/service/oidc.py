"""Signing in by an identity provider: OpenID Connect, authorization code flow with PKCE.

Sources: OpenID Connect Core 1.0 (3.1 code flow, 3.1.3.7 validation of ID tokens), Discovery 1.0, RP-Initiated Logout 1.0,
RFC 7636 (PKCE, S256), RFC 9207 (``iss`` in the answer), RFC 8414. A browser's try is held in a cookie from which state, nonce and
verifier follow by the key of the installation: any server of it can finish what another one began, and nothing is
stored for strangers.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from fwcheck.service.log import log
from fwcheck.service.secret import InstallationKey
from fwcheck.service.settings import OidcGrant, Settings
from fwcheck.service.tables import Grant, Token
from fwcheck.service.tokens import Role

MINUTES = 10  # that somebody has at the provider's page
_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}  # of keys, by the beginning of an algorithm
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")  # none that is symmetric
_LEEWAY = 60  # seconds that clocks may differ
_TIMEOUT = 10.0
_LARGEST = 1 << 20  # bytes of an answer
_KNOWN = 3600.0  # seconds that what the provider says of itself is believed
_AGAIN = 10.0  # seconds between two looks at its keys for one that is not known
_NAME = 100


class SignInError(Exception):
    """Nobody was signed in. ``reason`` is for the log; people are told ``word``, a word of the pages."""

    def __init__(self, reason: str, word: str = "oidc_failed") -> None:
        super().__init__(reason)
        self.word = word


class Provider:
    """The identity provider of an installation."""

    def __init__(self, settings: Settings, key: InstallationKey) -> None:
        self._settings = settings
        self._key = key
        self._lock = threading.Lock()
        self._about: dict[str, Any] = {}
        self._about_until = 0.0
        self._keys: list[RSAKey | ECKey | OKPKey] = []
        self._keys_at = float("-inf")

    def begin(self, redirect: str) -> tuple[str, str]:
        """A cookie for a browser, and where it has to go."""
        cookie = self._sealed(f"{int(time.time())}.{secrets.token_hex(16)}")
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self._of("verifier", cookie).encode()).digest()).rstrip(b"=")
        asked = {
            "response_type": "code", "client_id": self._settings.oidc_client, "redirect_uri": redirect,
            "scope": self._settings.oidc_scope, "state": self._of("state", cookie), "nonce": self._of("nonce", cookie),
            "code_challenge": challenge.decode(), "code_challenge_method": "S256",
        }  # fmt: skip
        page = self._endpoint("authorization_endpoint")
        return cookie, page + ("&" if "?" in page else "?") + urlencode(asked)

    def finish(self, cookie: str, answer: dict[str, str], redirect: str) -> dict[str, Any]:
        """The claims of who came back; raises SignInError for everything that is not as it has to be."""
        stamp = cookie.partition(".")[0]
        if not hmac.compare_digest(self._sealed(cookie.rpartition(".")[0]).encode(), cookie.encode()) or not stamp.isdigit():
            raise SignInError("no sign-in was begun in this browser")
        if not 0 <= time.time() - int(stamp) <= 60 * MINUTES:
            raise SignInError("the sign-in took too long", "oidc_late")
        if not hmac.compare_digest(answer.get("state", "").encode(), self._of("state", cookie).encode()):
            raise SignInError("the state is not that of this browser")
        if answer.get("iss", self._settings.oidc_issuer) != self._settings.oidc_issuer:
            raise SignInError("the answer is of another issuer")
        if "code" not in answer:
            raise SignInError(f"the provider refused: {answer.get('error', 'no code')[:100]}", "oidc_refused")
        token = self._exchanged(answer["code"], self._of("verifier", cookie), redirect)
        return self.claims(token, self._of("nonce", cookie))

    def claims(self, token: str, nonce: str) -> dict[str, Any]:
        """The claims of an ID token, when it is one for us and for this try."""
        header = _header(token)
        algorithm = header.get("alg")
        if algorithm not in _ALGORITHMS:
            raise SignInError(f"ID token: algorithm {str(algorithm)[:20]} is not taken")
        key = self._signer(header.get("kid"), _KINDS[algorithm[:2]])
        try:
            found = jwt.decode(token, key, algorithms=[algorithm]).claims
        except (JoseError, ValueError) as error:
            raise SignInError(f"ID token: {type(error).__name__}") from error
        self._check(found, nonce)
        return dict(found)

    def leaving(self, home: str) -> str | None:
        """Where a browser signs out of the provider too, if it has such a page."""
        try:
            page = self._discovered().get("end_session_endpoint")
        except SignInError:
            return None
        if not isinstance(page, str) or not _sound(page):
            return None
        return page + ("&" if "?" in page else "?") + urlencode(
            {"client_id": self._settings.oidc_client, "post_logout_redirect_uri": home}
        )  # fmt: skip

    def _check(self, claims: dict[str, Any], nonce: str) -> None:
        now, client = time.time(), self._settings.oidc_client
        audience = claims.get("aud")
        everybody = audience if isinstance(audience, list) else [audience]
        expires, issued, begins = (claims.get(name) for name in ("exp", "iat", "nbf"))
        wrong = (
            (claims.get("iss") != self._settings.oidc_issuer, "another issuer"),
            (client not in everybody, "another audience"),
            (len(everybody) > 1 and claims.get("azp") != client, "authorized for another party"),
            ("azp" in claims and claims["azp"] != client, "authorized for another party"),
            (not _number(expires) or expires < now - _LEEWAY, "expired"),  # type: ignore[operator]
            (not _number(issued) or issued > now + _LEEWAY, "from the future"),  # type: ignore[operator]
            (begins is not None and (not _number(begins) or begins > now + _LEEWAY), "not valid yet"),
            (
                not isinstance(claims.get("nonce"), str) or not hmac.compare_digest(claims["nonce"].encode(), nonce.encode()),
                "nonce",
            ),
            (not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= 255, "no subject"),
        )
        for bad, reason in wrong:
            if bad:
                raise SignInError(f"ID token: {reason}")

    def _exchanged(self, code: str, verifier: str, redirect: str) -> str:
        """The ID token for a code."""
        said = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier}
        client, secret = self._settings.oidc_client, self._settings.oidc_secret
        ways = self._discovered().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        basic = None
        if secret and "client_secret_basic" in ways:
            basic = httpx.BasicAuth(_form(client), _form(secret))
        else:
            said |= {"client_id": client} | ({"client_secret": secret} if secret else {})
        answer = _answer("POST", self._endpoint("token_endpoint"), data=said, auth=basic)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise SignInError(f"the provider gave no ID token: {str(answer.get('error', ''))[:100]}")
        return token

    def _signer(self, kid: object, kind: str) -> RSAKey | ECKey | OKPKey:
        """The provider's key of this name; its keys are asked for again when it is not known, for they change."""
        for fresh in (False, True):
            fitting = [
                each for each in self._known_keys(fresh=fresh)
                if each.key_type == kind and each.get("use") in (None, "sig") and (kid is None or each.kid == kid)
            ]  # fmt: skip
            if len(fitting) == 1:
                return fitting[0]
        raise SignInError("ID token: signed by a key that the provider does not publish")

    def _known_keys(self, *, fresh: bool) -> list[RSAKey | ECKey | OKPKey]:
        with self._lock:
            old = time.monotonic() - self._keys_at
            if not (old > _KNOWN or (fresh and old > _AGAIN) or not self._keys):
                return self._keys
        answer = _answer("GET", self._endpoint("jwks_uri"))
        keys = []
        for each in answer.get("keys", []) if isinstance(answer.get("keys"), list) else []:
            try:
                keys += [key for key in KeySet.import_key_set({"keys": [each]}).keys if isinstance(key, RSAKey | ECKey | OKPKey)]
            except (JoseError, ValueError, TypeError, KeyError, AttributeError):
                continue  # a kind of key that we do not know takes no other away
        with self._lock:
            self._keys, self._keys_at = keys, time.monotonic()
            return self._keys

    def _discovered(self) -> dict[str, Any]:
        with self._lock:
            if self._about and self._about_until > time.monotonic():
                return self._about
        about = _answer("GET", f"{self._settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration")
        if about.get("issuer") != self._settings.oidc_issuer:
            raise SignInError("the discovery document is of another issuer")
        with self._lock:
            self._about, self._about_until = about, time.monotonic() + _KNOWN
            return about

    def _endpoint(self, name: str) -> str:
        address = self._discovered().get(name)
        if not isinstance(address, str) or not _sound(address):
            raise SignInError(f"the discovery document names no {name}")
        return address

    def _of(self, purpose: str, cookie: str) -> str:
        return self._key.derived(f"oidc {purpose}", cookie)

    def _sealed(self, text: str) -> str:
        return f"{text}.{self._key.derived('oidc cookie', text)}"


def granted(settings: Settings, claims: dict[str, Any]) -> tuple[Role, tuple[str, ...]]:
    """Role and products (none: all) of somebody with these claims; raises SignInError for who has no role here.

    Of the grants that match, those of the highest role count, so that none lends its products or its width to another's role.
    """
    held = _values(claims, settings.oidc_claim)
    mine: list[OidcGrant] = [each for each in settings.oidc_grants if each.value in held or each.value == "*"]
    if not mine:
        raise SignInError(f"no grant for {str(claims.get('sub'))[:100]}", "oidc_no_role")
    role = max(Role[each.role.upper()] for each in mine)
    highest = [each for each in mine if Role[each.role.upper()] is role]
    if any(not each.products for each in highest):
        return role, ()
    return role, tuple(dict.fromkeys(name for each in highest for name in each.products))


def enter(session: Session, settings: Settings, claims: dict[str, Any]) -> Token:
    """What stands for somebody here: a token that nobody can present, with the role and products of this sign-in."""
    role, products = granted(settings, claims)
    subject = hashlib.sha256(f"{settings.oidc_issuer}\0{claims['sub']}".encode()).hexdigest()
    token = session.scalar(select(Token).where(Token.subject == subject))
    if token is None:
        token = Token(id=secrets.token_hex(6), subject=subject, salt=secrets.token_hex(16), digest="")  # no secret has no digest
        session.add(token)
    if token.revoked is not None:
        raise SignInError(f"{token.id} was revoked", "oidc_no_role")
    token.name, token.role = _called(claims), role.word
    session.flush()
    session.execute(delete(Grant).where(Grant.token_id == token.id))
    session.add_all(Grant(token_id=token.id, product=product) for product in products)
    session.flush()
    return token


def _called(claims: dict[str, Any]) -> str:
    names = (claims.get(name) for name in ("preferred_username", "email", "name", "sub"))
    text = next(each for each in names if isinstance(each, str) and each)
    return "".join(letter if letter.isprintable() else "_" for letter in text)[:_NAME]


def _values(claims: dict[str, Any], path: str) -> set[str]:
    """The texts of a claim; dots go into objects, where no claim has the whole name."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for name in path.split("."):
            found = found.get(name) if isinstance(found, dict) else None
    return {each for each in (found if isinstance(found, list) else [found]) if isinstance(each, str)}


def _header(token: str) -> dict[str, Any]:
    try:
        first = token.partition(".")[0]
        found = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (ValueError, RecursionError) as error:
        raise SignInError("ID token: is none") from error
    if not isinstance(found, dict):
        raise SignInError("ID token: is none")
    return found


def _answer(method: str, address: str, **more: Any) -> dict[str, Any]:
    """The JSON that the provider answers with. Redirects are not followed."""
    try:
        with (
            httpx.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=True) as http,
            http.stream(method, address, headers={"Accept": "application/json"}, **more) as answer,
        ):
            content = bytearray()
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > _LARGEST:
                    raise SignInError(f"{urlsplit(address).path}: too long an answer")
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        log("identity provider", error=type(error).__name__)
        raise SignInError(f"the provider does not answer: {type(error).__name__}", "oidc_away") from error
    try:
        found = msgspec.json.decode(bytes(content))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SignInError(f"{urlsplit(address).path}: status {status}, no JSON", "oidc_away") from error
    if not isinstance(found, dict) or (status != 200 and "error" not in found):
        raise SignInError(f"{urlsplit(address).path}: status {status}", "oidc_away")
    return found


def _sound(address: str) -> bool:
    """Whether a browser or we may go there: TLS, or this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"})


def _form(text: str) -> str:
    """RFC 6749, 2.3.1: what goes into basic authentication is form-encoded before."""
    return urlencode({"": text})[1:]


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

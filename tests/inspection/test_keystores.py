"""Java key stores, as keytool and Bouncy Castle's provider write them: what is open, what default passwords open."""

from __future__ import annotations

import base64
import time

import pytest

from fwcheck.inspection import keystores
from fwcheck.inspection.inspect import inspect

# keytool -genkeypair -keyalg EC -groupname secp256r1 -alias unit, under changeit, android and password.
JKS = base64.b64decode(
    "/u3+7QAAAAIAAAABAAAAAQAEdW5pdAAAAaIhIXJhAAAAfzB9MA4GCisGAQQBKgIRAQEFAARrXBHX6Ttghz8Po3tf50Y6UFItzLSQSycqH1Bk7bK1bA0Btc"
    "qmv513DEC3zEcpFfgcC8PR6pU8S+w6K8XxLljWoXme85rznZDdQZcetuLHkxK++xfk855/UaXPmoGqpnfUFGXQ5oSVjN+PXqgAAAABAAVYLjUwOQAAATsw"
    "ggE3MIHdoAMCAQICCFw2Eln0nRhoMAoGCCqGSM49BAMCMA8xDTALBgNVBAMTBHVuaXQwIBcNMjYxMTI4MDc0OTI5WhgPMjA1NDA0MTQwNzQ5MjlaMA8xDT"
    "ALBgNVBAMTBHVuaXQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQLkku6IhZyqeUzsyCDweIqxu+Hnw6dPv0gJVIN/A1PbuICFfS+Wy+iCt6ixNgJrmgi"
    "czBZdE1/WTL7LhRppQdjoyEwHzAdBgNVHQ4EFgQUm7t9aADDjE7MF4txpJDr5bQw//gwCgYIKoZIzj0EAwIDSQAwRgIhAPjjcXhsoQCR9QX98jDlYsWyQR"
    "RxoWsBrcubSJYjwvjQAiEAzeimhLSPdlfmBMzlghpvWzxWLMSTwNXqkU8g/C/pGQCGxCWLK90DHA2NTipQynVpzmVWZQ=="
)
JCEKS = base64.b64decode(
    "zs7OzgAAAAIAAAABAAAAAQAEdW5pdAAAAaIhIX9xAAAAajBoMBwGCSsGAQQBKgITATAPBAjBW24UQuZkUwIDAw1ABEhy//6vcsPhFy2ee74dH92yeJ0j4G"
    "KD3AT/Ia7kGBFOPxWod9Dh3oqTIHw1OMFcIyob1aoWIm7uBExGI/5UJDxunBCoRIyD5b4AAAABAAVYLjUwOQAAATswggE3MIHeoAMCAQICCQCpCQ5TipSY"
    "ujAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDEwR1bml0MCAXDTI2MTEyODA3NDkzMloYDzIwNTQwNDE0MDc0OTMyWjAPMQ0wCwYDVQQDEwR1bml0MFkwEwYHKo"
    "ZIzj0CAQYIKoZIzj0DAQcDQgAEcm8OrzWWrnyo04wxSSyVXd3S6+jcBtXplnuA9CWNWynUvPW8c0ymfA9fI/6+zk2jgRg1m0FJgRk3NEy9EgQv5KMhMB8w"
    "HQYDVR0OBBYEFPgv/6iKARUewqlIlzjUqm4NRHPAMAoGCCqGSM49BAMCA0gAMEUCIQCK2qpxYjBRUzPjiDJaLwDujK8l1yYRvf8BcLRemU0m9gIgG3dwSc"
    "0edbfMQGUucbsf7o86BSaSsmwefef1TeDea0Hh9IgiZxYEgL7QWJkNwL7PQODlfA=="
)
BKS = base64.b64decode(
    "AAAAAgAAABSlbXgv+r5bseZHRPKU3aIg+/bJcQAABNEEAAR1bml0AAABoiEhjosAAAABAAVYLjUwOQAAATowggE2MIHdoAMCAQICCAaRkTW5Wu9cMAoGCC"
    "qGSM49BAMCMA8xDTALBgNVBAMTBHVuaXQwIBcNMjYxMTI4MDc0OTM2WhgPMjA1NDA0MTQwNzQ5MzZaMA8xDTALBgNVBAMTBHVuaXQwWTATBgcqhkjOPQIB"
    "BggqhkjOPQMBBwNCAASk7AoMiIm13rdSfg1kbWpWJIRhth+DsA5yfHhKy301JKw5cCiuREq0ApSfi2PqZCUQux+BeQpwPweyuElZHnZwoyEwHzAdBgNVHQ"
    "4EFgQUuvqrrRgia31vHU/FgRNnEiF0m4wwCgYIKoZIzj0EAwIDSAAwRQIgRDNJ3UG09kBalBTj2H/le/+7xjOy8U8Qmzh4U7ujIgQCIQCwfelxNi7gkQxI"
    "aYrHzLNUjeCQONATEvKddUo2ppAmpgAAAHQAAAAU46q3ivbJcnztLEpUW+c882JCjFUAAAcitDhRfY+GlGkPJJ9iAqj36v0Ej/aZFvU85/GhJoz3wbR02x"
    "NSXWOKgby/8LbTczm2iwNVrvdK3dplyVhezpZOyrCGuT6QXjXoMKYbeP4tDQbFIKRd3E99ygCU9V+wG32YbBHlc4k1B6ZaMFuLow=="
)
ALL = pytest.mark.parametrize(("store", "container"), [(JKS, "JKS"), (JCEKS, "JCEKS"), (BKS, "BKS")])


@ALL
@pytest.mark.parametrize("before", [b"", b"\xff" * 4099])
def test_a_key_under_a_default_password_is_opened(store: bytes, container: str, before: bytes) -> None:
    facts = inspect(before + store + b"\xff" * 64)
    (key,) = [each for each in facts.keys if each.private]
    assert (key.container, key.algorithm, key.bits, key.comment) == (container, "EC", 256, "unit")
    assert (key.encrypted, key.valid) == (True, True)
    assert [each.key_fingerprint for each in facts.certificates] == [key.fingerprint]
    assert facts.problems == ()


@ALL
def test_a_key_under_a_password_of_its_own_stays_shut_but_its_public_half_is_known(
    store: bytes, container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keystores, "_PASSWORDS", ("another",))
    facts = inspect(store)
    (key,) = [each for each in facts.keys if each.private]
    assert (key.container, key.encrypted, key.valid) == (container, True, False)
    assert [each.key_fingerprint for each in facts.certificates] == [key.fingerprint]


@ALL
def test_a_changed_store_is_not_opened(store: bytes, container: str) -> None:
    damaged = bytearray(store)
    damaged[-1] ^= 1  # the check value
    assert [(each.container, each.valid) for each in inspect(bytes(damaged)).keys if each.private] == [(container, False)]


def test_a_store_of_certificates_alone_holds_no_key() -> None:
    at = JKS.index(b"X.509") - 2
    entry = b"\0\0\0\2" + b"\0\4root" + bytes(8) + JKS[at:-20]
    facts = inspect(b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1" + entry + bytes(20))
    assert [each for each in facts.keys if each.private] == []
    assert len(facts.certificates) == 1


def test_a_secret_key_is_told_though_its_object_is_not_read() -> None:
    store = b"\xce\xce\xce\xce\0\0\0\2\0\0\0\1\0\0\0\3\0\4data" + bytes(8) + b"\xac\xed\0\5sr" + bytes(200)
    (key,) = inspect(store).keys
    assert (key.container, key.private, key.encrypted, key.valid, key.comment) == ("JCEKS", True, True, False, "data")


@ALL
def test_stumps_are_no_stores(store: bytes, container: str) -> None:
    assert container
    for size in range(0, len(store) - 24, 7):
        facts = inspect(store[:size])
        assert [each for each in facts.keys if each.private] == []
        assert facts.problems == ()


def test_many_stores_cost_little() -> None:
    dear = bytearray(BKS)
    dear[28:32] = b"\0\0\x07\xff"
    content = (JCEKS + bytes(dear)) * 200
    started = time.process_time()
    inspect(content)
    assert time.process_time() - started < 20

"""What the place of a file says of the keys in it: whether it is an example, or a library with constants of its own."""

from __future__ import annotations

import re

EXAMPLE = re.compile(
    r"(?i)/(?:docs?|examples?|samples?|demos?|tests?|testdata|test[-_]?certs?|unittests?|testing|regress|fixtures|sample-keys)/|/man\d?/"
)
LIBRARY = re.compile(r"(?i)^lib(?:mbed|polarssl|ssl|crypto|gnutls|wolfssl|cyassl|axtls|matrixssl|tls|nss|ssh|curl)")
# Tests that programming languages and their packages bring along.
TESTS = re.compile(
    r"(?i)/lib(?:64)?/python[\d.]*/(?:[^/]+/){0,12}(?:test|tests|idle_test)/|/(?:site|dist)-packages/(?:[^/]+/){0,12}tests?/"
    r"|/(?:node_modules|nodejs|gems)/(?:[^/]+/){0,12}(?:tests?|specs?|__tests__|fixtures)/|/(?:go|golang)/src/(?:[^/]+/){0,12}testdata/"
)

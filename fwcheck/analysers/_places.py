"""What the place of a file says of the keys in it: whether it is an example, or a library with constants of its own."""

from __future__ import annotations

import re

EXAMPLE = re.compile(
    r"(?i)/(?:docs?|examples?|samples?|demos?|tests?|testdata|test[-_]?certs?|unittests?|testing|regress|fixtures|sample-keys)/|/man\d?/"
)
LIBRARY = re.compile(r"(?i)^lib(?:mbed|polarssl|ssl|crypto|gnutls|wolfssl|cyassl|axtls|matrixssl|tls|nss|ssh|curl)")

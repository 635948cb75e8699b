"""Tokens for the clients, as JSON: those that one server printed, and others for a second server.

usage: tokens.py PRINTED MINTED SECRET

PRINTED and MINTED hold the first lines of the two servers, SECRET the HS256 key of the second.
"""

import base64
import hashlib
import hmac
import json
import re
import sys
import time
from pathlib import Path

HOUR = 60 * 60
# What the server reads at most, unless told otherwise.
MAX_TOKEN_BYTES = 16 * 1024


def address(lines):
    found = re.fullmatch(r"listening on http://(\S+)", lines[0])
    if not found:
        sys.exit(f"expected `listening on http://ADDR`, got {lines[0]!r}")
    return found[1]


def printed(lines):
    """The tokens of the `curl` lines, each named by the comment above it."""
    tokens, comment = {}, ""
    for line in lines:
        if line.startswith("# "):
            comment = line.lower()
        elif line.startswith("curl "):
            token = re.search(r"authorization: bearer ([^'\s]+)", line, re.IGNORECASE)
            for name in ("good", "forged", "expired"):
                if token and f"{name} token" in comment:
                    tokens[name] = token[1]
    missing = {"good", "forged", "expired"} - tokens.keys()
    if missing:
        sys.exit(f"no curl line with a token that is {', '.join(sorted(missing))}")
    return tokens


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(secret, header, claims):
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    if header["alg"] == "none":
        return f"{signed}."
    return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def minted(secret):
    now = int(time.time())
    base = {"iss": "https://issuer.example", "aud": "orders", "sub": "bob", "iat": now, "exp": now + HOUR}

    def token(key=secret, header=None, without=None, **claims):
        claims = {name: value for name, value in {**base, **claims}.items() if name != without}
        return sign(key, {"alg": "HS256", "typ": "JWT", **(header or {})}, claims)

    return {
        "read": token(scope="read"),
        "write": token(scope="write"),
        "read_write": token(scope="read write"),
        "no_scope": token(),
        "expired": token(scope="read", exp=now - HOUR),
        "refused": {
            "no exp": token(scope="read", without="exp"),
            "an exp that is text": token(scope="read", exp=str(now + HOUR)),
            "an nbf to come": token(scope="read", nbf=now + HOUR),
            "another issuer": token(scope="read", iss="https://other.example"),
            "no issuer": token(scope="read", without="iss"),
            "another audience": token(scope="read", aud="invoices"),
            "no audience": token(scope="read", without="aud"),
            "another secret": token(key=b"x" * 32, scope="read"),
            "alg none": token(header={"alg": "none"}, scope="read"),
            "an unknown crit": token(header={"crit": ["policy"], "policy": 1}, scope="read"),
            "another typ": token(header={"typ": "logout+jwt"}, scope="read"),
            "too many bytes": token(scope="read", padding="x" * MAX_TOKEN_BYTES),
        },
    }


def main():
    first, second = (Path(path).read_text().splitlines() for path in sys.argv[1:3])
    secret = Path(sys.argv[3]).read_bytes().removesuffix(b"\n")
    tokens = {
        "printed": {"address": address(first), **printed(first)},
        "minted": {"address": address(second), **minted(secret)},
    }
    json.dump(tokens, sys.stdout)


main()

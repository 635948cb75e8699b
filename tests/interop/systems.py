"""The five systems, as their public descriptions' own samples call them, with the standard library and with the
crate's client.

usage: systems.py ADDRESS CLIENTS CLIENT
"""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from checks import TIMEOUT, Checks, equal, holds

BASE = f"http://{sys.argv[1]}"
CLIENTS = {row["contract"]: row for row in json.loads(Path(sys.argv[2]).read_text())}
CLIENT = sys.argv[3]


def call(method, path, headers=None, fields=None, body=None):
    data = urllib.parse.urlencode(fields).encode() if fields is not None else body
    request = urllib.request.Request(BASE + path, data=data, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def good(outcome):
    status, headers, text = outcome
    equal(status, 200, f"status of {text}")
    holds("no-store" in headers["cache-control"], "no-store")
    return headers, text


def me(token, subject, issuer="https://issuer.example", scheme="Bearer"):
    status, _, text = call("GET", "/me", {"Authorization": f"{scheme} {token}"})
    equal(status, 200, "status of /me")
    body = json.loads(text)
    equal((body["subject"], body["issuer"], body["scheme"]), (subject, issuer, scheme), "who")


def basic(row):
    return {"Authorization": "Basic " + base64.b64encode(f"{row['id']}:{row['secret']}".encode()).decode()}


def two_bttns():
    row = CLIENTS["two-bttns"]
    query = urllib.parse.urlencode({"app_id": row["id"], "secret": row["secret"], "expires_in": "1h"})
    token = json.loads(good(call("GET", f"/api/authentication/token?{query}"))[1])
    me(token, row["id"], None)
    bearer = {"Authorization": f"Bearer {token}"}
    equal(json.loads(good(call("GET", "/api/authentication/checkAuthType", bearer))[1]), "api_key_token", "type")
    equal(call("GET", "/api/authentication/checkAuthType")[0], 401, "no token")
    refused = call("GET", "/api/authentication/checkAuthType", {"Authorization": f"Bearer {token}x"})
    equal((refused[0], json.loads(refused[2])["message"][:13]), (400, "Invalid token"), "a bad token")


def gifthub():
    row = CLIENTS["gifthub"]
    own = {"client-id": row["id"], "client-secret": row["secret"]}
    for method in ("GET", "POST"):
        headers, _ = good(call(method, "/auth/jwt", own))
        me(headers["Authorization"].split(" ")[1], row["subject"])
    equal(call("GET", "/auth/jwt", {**own, "client-secret": "x"})[0], 403, "a wrong secret")
    equal(call("GET", "/auth/jwt", {"client-id": row["id"]})[0], 400, "no secret")


def botlhale():
    row = CLIENTS["botlhale"]
    text = good(call("POST", "/generateAuthToken", fields={"REFRESH_TOKEN": row["secret"]}))[1]
    me(json.loads(text)["AuthenticationResult"]["IdToken"], row["id"], "https://issuer.example/botlhale")
    status, _, text = call("POST", "/generateAuthToken", fields={"REFRESH_TOKEN": "x"})
    equal((status, json.loads(text)["__type"]), (400, "NotAuthorizedException"), "an unknown refresh token")


def spotnana():
    row = CLIENTS["spotnana"]
    fields = {"client_id": row["id"], "client_secret": row["secret"], "grant_type": "client_credentials"}
    answer = json.loads(good(call("POST", "/v2/auth/oauth2-token", fields=fields))[1])
    equal(sorted(answer), ["access_token", "expires_in", "token_type"], "members")
    me(answer["access_token"], row["id"])
    status, _, text = call("POST", "/v2/auth/oauth2-token", fields={**fields, "client_secret": "x"})
    equal((status, json.loads(text)["error"]), (401, "invalid_client"), "a wrong secret")


def oauth():
    row = CLIENTS["netbird"]
    fields = {"grant_type": "client_credentials", "scope": "read offline_access"}
    answer = json.loads(good(call("POST", "/oauth2/token", basic(row), fields))[1])
    me(answer["access_token"], row["subject"])
    turned = {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"]}
    second = json.loads(good(call("POST", "/oauth2/token", basic(row), turned))[1])
    me(second["access_token"], row["subject"])
    asked = {"token": second["access_token"]}
    equal(json.loads(good(call("POST", "/oauth2/introspect", basic(row), asked))[1])["active"], True, "active")
    good(call("POST", "/oauth2/revoke", basic(row), asked))
    equal(json.loads(call("POST", "/oauth2/introspect", basic(row), asked)[2]), {"active": False}, "revoked")
    equal(call("GET", "/me", {"Authorization": f"Bearer {second['access_token']}"})[0], 401, "revoked at once")
    equal(json.loads(call("POST", "/oauth2/token", basic(row), turned)[2])["error"], "invalid_grant", "used twice")


def netbird():
    row = CLIENTS["netbird"]
    fields = {"grant_type": "client_credentials", "client_id": row["id"], "client_secret": row["secret"]}
    bearer = json.loads(good(call("POST", "/oauth2/token", fields=fields))[1])["access_token"]
    own = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    path = f"/api/users/{urllib.parse.quote(row['subject'], safe='')}/tokens"
    equal(json.loads(call("GET", path, own)[2]), [], "an empty list")
    made = json.loads(good(call("POST", path, own, body=b'{"name":"ci","expires_in":30}'))[1])
    token, number = made["plain_token"], made["personal_access_token"]["id"]
    me(token, row["subject"], None, "Token")
    me(token, row["subject"], None)
    personal = {"Authorization": f"Token {token}"}
    deadline = time.monotonic() + TIMEOUT
    while "last_used" not in json.loads(call("GET", f"{path}/{number}", personal)[2]):
        holds(time.monotonic() < deadline, "the use is written down")
    equal(call("GET", "/api/users/bob/tokens", personal)[0], 403, "another user")
    for body, status in ((b"{", 400), (b"{}", 422), (b'{"name":"","expires_in":1}', 422), (b'{"name":"a","expires_in":366}', 422)):
        status_of, _, text = call("POST", path, own, body=body)
        equal((status_of, json.loads(text)["code"]), (status, status), text)
    equal(json.loads(good(call("DELETE", f"{path}/{number}", own))[1]), {}, "deleted")
    equal(call("GET", f"{path}/{number}", own)[0], 404, "gone")
    equal(call("GET", "/me", personal)[0], 401, "refused at once")


def published():
    document = json.loads(call("GET", "/.well-known/oauth-authorization-server")[2])
    equal(document["issuer"], "https://issuer.example", "issuer")
    equal(document["token_endpoint"], f"{BASE}/oauth2/token", "token endpoint")
    keys = json.loads(urllib.request.urlopen(document["jwks_uri"], timeout=TIMEOUT).read())["keys"]
    holds(keys and not any(set(key) & {"d", "k", "p", "q"} for key in keys), "public keys alone")


def ours(contract, path):
    row = CLIENTS[contract]
    kind = "client-credentials" if contract == "netbird" else contract
    command = [CLIENT, "--contract", kind, "--token-url", BASE + path, "--id", row["id"], "--secret-env", "SECRET"]
    command += ["--insecure-http-loopback", "--calls", "20", "--concurrency", "4", "GET", f"{BASE}/me"]
    done = subprocess.run(command, env={**os.environ, "SECRET": row["secret"]}, capture_output=True, timeout=TIMEOUT)
    total = json.loads(done.stdout.splitlines()[-1])
    equal((total["ok"], total["token_fetches"]), (20, 1), done.stderr.decode())


def main():
    checks = Checks()
    for check in (two_bttns, gifthub, botlhale, spotnana, oauth, netbird, published):
        checks(check.__name__, check)
    for contract, path in (
        ("two-bttns", "/api/authentication/token"),
        ("gifthub", "/auth/jwt"),
        ("botlhale", "/generateAuthToken"),
        ("spotnana", "/v2/auth/oauth2-token"),
        ("netbird", "/oauth2/token"),
    ):
        checks(f"our client, {contract}", ours, contract, path)
    checks.close()


main()

"""The routes of the server over HTTP/1.1, with the standard library."""

import base64
import http.client
import json

from checks import TIMEOUT, Checks, equal, holds, tokens


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def challenges(self):
        return self.headers.get_all("www-authenticate", [])


class Client:
    """One connection for all requests; each value of `authorization` goes out as a line of its own."""

    def __init__(self, address, offered):
        self.offered = offered
        self.connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
        self.connection.connect()
        self.port = self.local_port()

    def local_port(self):
        return self.connection.sock and self.connection.sock.getsockname()[1]

    def send(self, method, path, *authorization, content_type=None):
        self.connection.putrequest(method, path)
        for value in authorization:
            self.connection.putheader("Authorization", value)
        if content_type:
            self.connection.putheader("Content-Type", content_type)
        if method in ("POST", "PUT"):
            # With a body that no handler reads the server may close the connection.
            self.connection.putheader("Content-Length", "0")
        self.connection.endheaders()
        return Answer(self.connection.getresponse())


def accepts(client, method, path, *authorization, **members):
    answer = client.send(method, path, *authorization)
    equal(answer.status, 200, "status")
    body = answer.json()
    for name, value in members.items():
        equal(body.get(name), value, name)


def refuses(client, method, path, *authorization, status, error=None, saying=""):
    answer = client.send(method, path, *authorization)
    equal(answer.status, status, "status")
    equal(answer.headers["cache-control"], "no-store", "cache-control")
    challenges = answer.challenges()
    # A token is answered in its own scheme; whoever brought none is offered all.
    schemes = [challenge.split(" ")[0] for challenge in challenges]
    own = error in ("invalid_token", "insufficient_scope")
    equal(schemes, ["Bearer"] if own else client.offered, "challenges")
    challenge = challenges[0]
    holds(challenge.startswith('Bearer realm="'), f"no Bearer challenge: {challenge}")
    if error:
        holds(f'error="{error}"' in challenge, f"the error is not {error}: {challenge}")
    else:
        holds("error" not in challenge, f"an error without a credential: {challenge}")
    holds(saying in challenge, f"the challenge does not say {saying!r}: {challenge}")


def answers_as_grpc(client, path, *authorization, status):
    answer = client.send("POST", path, *authorization, content_type="application/grpc")
    equal(answer.status, 200, "HTTP status")
    equal(answer.headers["grpc-status"], status, "grpc-status")
    holds(answer.headers["grpc-message"], "the message is empty")
    equal(answer.headers.get_content_type(), "application/grpc", "content-type")
    equal(answer.challenges(), [], "challenges")


def publishes(client, token):
    answer = client.send("GET", "/.well-known/jwks.json")
    equal(answer.status, 200, "status")
    equal(answer.headers.get_content_type(), "application/jwk-set+json", "content-type")
    keys = answer.json()["keys"]
    header = token.split(".")[0]
    kid = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    equal([key["kid"] for key in keys], [kid], "kid")
    holds(not any(set(key) & {"d", "k", "p", "q"} for key in keys), "a private member is published")


def kept_one_connection(client):
    equal(client.local_port(), client.port, "the client's port")


def check_printed(checks, printed):
    client = Client(printed["address"], ["Bearer", "Token"])
    good, forged, expired = (f"Bearer {printed[name]}" for name in ("good", "forged", "expired"))
    alice = {"subject": "alice", "issuer": "https://issuer.example", "scopes": ["read"], "scheme": "Bearer"}
    invalid = {"status": 401, "error": "invalid_token"}
    malformed = {"status": 400, "error": "invalid_request"}

    for method in ("GET", "POST", "PUT", "DELETE"):
        checks(f"{method} /me, good token", accepts, client, method, "/me", good, **alice)
    checks("/me, scheme in capitals", accepts, client, "GET", "/me", good.replace("Bearer", "BEARER"), **alice)
    checks("/me, no token", refuses, client, "GET", "/me", status=401)
    checks("/me, another scheme", refuses, client, "GET", "/me", "Basic YWxpY2U6c2VjcmV0", status=401)
    checks("/me, token in the query", refuses, client, "GET", f"/me?access_token={printed['good']}", status=401)
    checks("/me, forged token", refuses, client, "GET", "/me", forged, **invalid)
    checks("/me, expired token", refuses, client, "GET", "/me", expired, saying="expired", **invalid)
    checks("/me, a scheme alone", refuses, client, "GET", "/me", "Bearer", **malformed)
    checks("/me, two lines, good and good", refuses, client, "GET", "/me", good, good, **malformed)
    checks("/me, two lines, good and forged", refuses, client, "GET", "/me", good, forged, **malformed)
    checks("/me, two tokens in one line", refuses, client, "GET", "/me", f"{good}, {good}", **malformed)
    checks("/me as gRPC, no token", answers_as_grpc, client, "/me", status="16")
    checks("/me as gRPC, two lines", answers_as_grpc, client, "/me", good, good, status="16")
    checks("/orders as gRPC, missing scope", answers_as_grpc, client, "/orders", good, status="7")
    checks("GET /orders, good token", accepts, client, "GET", "/orders", good)
    checks("GET /orders, no token", refuses, client, "GET", "/orders", status=401)
    scope = {"status": 403, "error": "insufficient_scope", "saying": 'scope="write"'}
    checks("POST /orders, missing scope", refuses, client, "POST", "/orders", good, **scope)
    checks("/public, no token", accepts, client, "GET", "/public", subject="anonymous")
    checks("/public, good token", accepts, client, "GET", "/public", good, subject="alice")
    checks("/public, forged token", refuses, client, "GET", "/public", forged, **invalid)
    checks("/public, two lines", refuses, client, "GET", "/public", good, good, **malformed)
    checks("/healthz, no token", accepts, client, "GET", "/healthz")
    checks("/healthz, forged token", accepts, client, "GET", "/healthz", forged)
    checks("/.well-known/jwks.json, the key of the good token", publishes, client, printed["good"])
    checks("one connection for all of it", kept_one_connection, client)


def check_minted(checks, minted):
    client = Client(minted["address"], ["Bearer"])
    bearer = {name: f"Bearer {token}" for name, token in minted.items() if name != "refused"}
    denied = {"status": 403, "error": "insufficient_scope"}
    invalid = {"status": 401, "error": "invalid_token"}

    checks("/me, two scopes", accepts, client, "GET", "/me", bearer["read_write"], scopes=["read", "write"])
    checks("/me, no scope", accepts, client, "GET", "/me", bearer["no_scope"], subject="bob", scopes=[])
    for name in ("read", "read_write"):
        checks(f"GET /orders, scope {name}", accepts, client, "GET", "/orders", bearer[name])
    for name in ("write", "read_write"):
        checks(f"POST /orders, scope {name}", accepts, client, "POST", "/orders", bearer[name])
    for name in ("write", "no_scope"):
        checks(f"GET /orders, scope {name}", refuses, client, "GET", "/orders", bearer[name], **denied)
    checks("POST /orders, scope read", refuses, client, "POST", "/orders", bearer["read"], **denied)
    checks("/me, expired HS256 token", refuses, client, "GET", "/me", bearer["expired"], saying="expired", **invalid)
    for name, token in minted["refused"].items():
        checks(f"/me, {name}", refuses, client, "GET", "/me", f"Bearer {token}", **invalid)
    checks("/.well-known/jwks.json, no shared secret", accepts, client, "GET", "/.well-known/jwks.json", keys=[])
    checks("one connection for all of it", kept_one_connection, client)


def main():
    checks, all_tokens = Checks(), tokens()
    check_printed(checks, all_tokens["printed"])
    check_minted(checks, all_tokens["minted"])
    checks.close()


main()

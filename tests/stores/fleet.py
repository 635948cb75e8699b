"""Servers, and callers of theirs."""

import base64
import itertools
import json
import os
import random
import secrets
import signal
import subprocess
import time
import zlib
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote, urlencode

from checks import holds

# No answer may take longer.
LONGEST = 20
# A caller waits a little longer than that, to see how long it took.
TIMEOUT = LONGEST + 5
# Well below what one address may fail.
FAILURES = 60
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# What a caller meets when a server dies.
BROKEN = (OSError, HTTPException)

addresses = itertools.count(1)


def fresh_address():
    """One of 127.0.0.0/8 that nobody called from before: failures are counted by address."""
    number = next(addresses)
    return f"127.{1 + number // 62500 % 254}.{number // 250 % 250}.{1 + number % 250}"


def wait_until(condition, seconds, what):
    """The first true answer, asked for again and again."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer:
            return answer
        holds(time.monotonic() < deadline, f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Client:
    """A row of the file of clients."""

    def __init__(self, contract, name, subject=None, scopes=("read",)):
        self.contract, self.id, self.subject, self.scopes = contract, name, subject or name, list(scopes)
        self.secret = secrets.token_urlsafe(36)

    def row(self):
        row = {"contract": self.contract, "id": self.id, "secret": self.secret}
        return row | {"subject": self.subject, "scopes": self.scopes}

    def basic(self):
        pair = f"{quote(self.id)}:{quote(self.secret)}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


class Clients:
    """One of each system, in a file."""

    def __init__(self, folder):
        self.bttns = Client("two-bttns", "the-app", scopes=[])
        self.gifthub = Client("gifthub", "gift-shop")
        self.botlhale = Client("botlhale", "chat-bot")
        self.spotnana = Client("spotnana", "travel-desk")
        self.netbird = Client("netbird", "netbird-cli", "alice", ["read", "offline_access"])
        self.all = [self.bttns, self.gifthub, self.botlhale, self.spotnana, self.netbird]
        self.file = folder / "clients.json"
        self.file.write_text(json.dumps([client.row() for client in self.all]))


class Server:
    """The example, as a process; its port is another after each start."""

    def __init__(self, name, store, clients, folder):
        self.name, self.store, self.clients = name, store, clients
        self.out, self.log = folder / f"{name}.out", folder / f"{name}.log"
        self.process = None
        self.address = ""

    def start(self):
        command = [os.environ["TOWER_BEARER_SERVER"], "--listen", "127.0.0.1:0"]
        command += ["--store", self.store, "--clients", str(self.clients.file)]
        environment = os.environ | {"RUST_LOG": "info,tower_bearer=debug", "RUST_BACKTRACE": "0"}
        with open(self.out, "wb") as out, open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=out, stderr=log, env=environment)
        line = wait_until(self.listening, 30, f"{self.name} listens")
        self.address = line.removeprefix("listening on http://").strip()
        return self

    def listening(self):
        holds(self.process.poll() is None, f"{self.name} ended with {self.process.poll()}: {self.tail()}")
        lines = self.out.read_text().splitlines(keepends=True)
        return next((line for line in lines if line.startswith("listening on ") and line.endswith("\n")), None)

    def stop(self, how=signal.SIGKILL):
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(10)

    def tail(self):
        return self.log.read_text(errors="replace")[-300:]


class Answer:
    def __init__(self, response, sent):
        self.body, self.got = response.read(), time.monotonic()
        self.status, self.headers, self.sent = response.status, response.headers, sent

    def json(self):
        return json.loads(self.body)

    def is_outage(self):
        """503, and when to ask again."""
        return self.status == 503 and self.headers.get("retry-after", "").isdigit()

    def __repr__(self):
        return f"{self.status} {self.body[:200]!r}"


class Line:
    """A connection that is kept, from the address that is given or from one that has not failed often."""

    def __init__(self, server, address=None):
        self.server, self.connection, self.failures = server, None, 0
        self.address, self.own = address, fresh_address()

    def send(self, method, path, headers=None, body=None):
        if self.connection is None:
            self.connect()
        sent = time.monotonic()
        try:
            self.connection.request(method, path, body, headers or {})
            answer = Answer(self.connection.getresponse(), sent)
        except BROKEN:
            self.close()
            raise
        self.failures += answer.status in (400, 401, 403)
        # A refusal need not read the body, and then it may end the connection.
        is_unread = body and answer.status != 200
        if is_unread or self.failures >= FAILURES and self.address is None:
            self.close()
        return answer

    def connect(self):
        host, port = self.server.address.split(":")
        if self.failures >= FAILURES:
            self.own, self.failures = fresh_address(), 0
        source = (self.address or self.own, 0)
        self.connection = HTTPConnection(host, int(port), timeout=TIMEOUT, source_address=source)

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None


class Caller:
    """What clients say to a server."""

    def __init__(self, server, address=None):
        self.server, self.clients, self.line = server, server.clients, Line(server, address)

    def me(self, token, scheme="Bearer", **headers):
        return self.line.send("GET", "/me", {"Authorization": f"{scheme} {token}"} | headers)

    def form(self, path, headers=None, **fields):
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.line.send("POST", path, kind | (headers or {}), urlencode(fields))

    def token(self, **fields):
        return self.form("/oauth2/token", self.clients.netbird.basic(), **fields)

    def get_token(self):
        return self.token(grant_type="client_credentials")

    def begin_grant(self):
        return self.token(grant_type="client_credentials", scope="read offline_access")

    def rotate(self, token):
        return self.token(grant_type="refresh_token", refresh_token=token)

    def revoke(self, token):
        return self.form("/oauth2/revoke", self.clients.netbird.basic(), token=token)

    def introspect(self, token):
        return self.form("/oauth2/introspect", self.clients.netbird.basic(), token=token)

    def jwks(self):
        return self.line.send("GET", "/.well-known/jwks.json")

    def pats(self, bearer, method, path="", body=None):
        headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
        return self.line.send(method, f"/api/users/alice/tokens{path}", headers, body)

    def make_pat(self, bearer):
        return self.pats(bearer, "POST", body=json.dumps({"name": "test", "expires_in": 30}))

    def get_pat(self, bearer, name):
        return self.pats(bearer, "GET", f"/{name}")

    def delete_pat(self, bearer, name):
        return self.pats(bearer, "DELETE", f"/{name}")

    def bttns(self):
        client = self.clients.bttns
        query = urlencode({"app_id": client.id, "secret": client.secret})
        return self.line.send("GET", f"/api/authentication/token?{query}")

    def gifthub(self):
        client = self.clients.gifthub
        headers = {"client-id": client.id, "client-secret": client.secret}
        return self.line.send("GET", "/auth/jwt", headers)

    def botlhale(self):
        return self.form("/generateAuthToken", REFRESH_TOKEN=self.clients.botlhale.secret)

    def spotnana(self):
        client = self.clients.spotnana
        fields = {"grant_type": "client_credentials", "client_id": client.id, "client_secret": client.secret}
        return self.form("/v2/auth/oauth2-token", **fields)

    def systems(self):
        """Of each system: its name, the subject of its tokens, the call for one, and where it is in the answer."""
        clients = self.clients
        return [
            ("2bttns", clients.bttns.subject, self.bttns, lambda answer: answer.json()),
            ("GiftHub", clients.gifthub.subject, self.gifthub, in_header),
            ("Botlhale", clients.botlhale.subject, self.botlhale, id_token),
            ("Spotnana", clients.spotnana.subject, self.spotnana, access_token),
            ("NetBird", clients.netbird.subject, self.get_token, access_token),
        ]


def in_header(answer):
    return answer.headers["authorization"].removeprefix("Bearer ")


def id_token(answer):
    return answer.json()["AuthenticationResult"]["IdToken"]


def access_token(answer):
    return answer.json()["access_token"]


class Token:
    """A token, and what became of it."""

    def __init__(self, kind, text, name=None, is_unknown=False):
        self.kind, self.text, self.name, self.is_unknown = kind, text, name, is_unknown
        self.revoke_sent = self.revoked = None
        # One scheme for one token: what is known of it as one says nothing of it as the other.
        self.scheme = random.choice(["Token", "Bearer"]) if kind == "PAT" else "Bearer"

    def ask(self, caller):
        return caller.me(self.text, self.scheme)

    def revoke(self, caller, bearer):
        self.revoke_sent = time.monotonic()
        if self.kind == "PAT":
            answer = caller.delete_pat(bearer, self.name)
        else:
            answer = caller.revoke(self.text)
        if answer.status == 200:
            self.revoked = answer.got
        return answer

    def __repr__(self):
        return f"{self.kind} {self.name or self.text[-8:]}"


class Chain:
    """A grant: refresh tokens one after the other, and the access tokens that came of them."""

    def __init__(self, answer):
        self.refresh, self.access = [], []
        # Set when a rotation was sent, and when the end of the grant was; `ended` when that was answered.
        self.rotating = self.ending = self.ended = False
        self.take(answer)

    def take(self, answer):
        self.rotating = False
        self.refresh.append(answer.json()["refresh_token"])
        self.access.append(access_token(answer))


def made(answer, what):
    holds(answer.status == 200, f"{what}: {answer}")
    return answer


def new_jwt(caller):
    return Token("JWT", access_token(made(caller.get_token(), "an access token")))


def new_pat(caller, bearer):
    pat = made(caller.make_pat(bearer), "a personal access token").json()
    return Token("PAT", pat["plain_token"], pat["personal_access_token"]["id"])


class Granted(Token):
    """An access token that ends with its grant: by the end of that, or by a second use of a refresh token."""

    def __init__(self, chain, by_reuse):
        super().__init__("JWT of a grant", chain.access[-1])
        self.chain, self.by_reuse = chain, by_reuse

    def revoke(self, caller, _):
        self.revoke_sent = time.monotonic()
        if self.by_reuse:
            answer = caller.rotate(self.chain.refresh[0])
            holds(answer.status == 400, f"second use of a refresh token: {answer}")
            self.revoked = answer.got
            return made(caller.revoke("unknown"), "revocation of what is no token")
        answer = made(caller.revoke(self.chain.refresh[-1]), "the end of a grant")
        self.revoked = answer.got
        return answer


def new_granted(caller, by_reuse):
    chain = Chain(made(caller.begin_grant(), "the begin of a grant"))
    chain.take(made(caller.rotate(chain.refresh[0]), "a rotation"))
    return Granted(chain, by_reuse)


def unknown_pat():
    """Of the right form, and nobody's."""
    secret = "".join(random.choice(ALPHABET) for _ in range(30))
    number, digits = zlib.crc32(secret.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = ALPHABET[digit] + digits
    return Token("PAT", f"nbp_{secret}{digits}", "of nobody", is_unknown=True)

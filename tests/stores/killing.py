"""One server, killed at random moments: what it said it did is done, and what it ended stays ended."""

import random
import signal
import sqlite3
import stat
import threading
import time
from pathlib import Path

from checks import equal, holds
from fleet import BROKEN, LONGEST, TIMEOUT, Caller, Chain, Server, access_token, made, new_jwt, new_pat, wait_until

ROUNDS = 32
# The kill comes within so many seconds after the first answers.
MOMENT = 0.4
ROTATIONS = 6


class Story:
    """A store, the server on it, and what was said."""

    def __init__(self, store, clients, folder):
        self.folder, self.path, self.clients = folder, Path(store.removeprefix("sqlite:")), clients
        self.server = Server(f"killed-{store.split(':')[0]}", store, clients, folder)
        self.tokens, self.plain, self.keys, self.bearer = [], [], None, ""
        self.interrupted, self.counts, self.slowest_start = 0, {}, 0

    def tell(self):
        self.start()
        for _ in range(ROUNDS):
            fresh = self.live_and_die()
            self.start()
            self.check(*fresh)
        # Of all that was ever said, not of the last round alone.
        self.check(self.tokens, [])

    def start(self):
        began = time.monotonic()
        self.server.start()
        self.slowest_start = max(self.slowest_start, time.monotonic() - began)
        caller = Caller(self.server)
        keys = caller.jwks().body
        self.keys = self.keys or keys
        equal(keys, self.keys, "the key set after a restart")
        self.bearer = access_token(made(caller.get_token(), "a token to make others with"))
        self.plain.append(self.bearer)

    def live_and_die(self):
        """The tokens and the grants of one life."""
        tokens, chains, faults = [], [], []
        lives = [self.signed, self.personal, self.personal, self.rotated, self.rotated]
        answered = [threading.Event() for _ in lives]

        def run(live, answered):
            caller = Caller(self.server)
            mine = []
            try:
                while True:
                    live(caller, mine, chains if live == self.rotated else tokens)
                    answered.set()
            except BROKEN:
                self.interrupted += 1
            except Exception as error:
                faults.append(f"{type(error).__name__}: {error}")
                answered.set()

        threads = [threading.Thread(target=run, args=pair) for pair in zip(lives, answered)]
        for thread in threads:
            thread.start()
        for event in answered:
            holds(event.wait(20), "no answer before the kill")
        time.sleep(random.uniform(0, MOMENT))
        self.server.stop(signal.SIGKILL)
        for thread in threads:
            thread.join(30)
        holds(not faults, f"before the kill: {faults}")
        self.tokens += tokens
        return tokens, chains

    def signed(self, caller, mine, tokens):
        self.one(caller, mine, tokens, lambda: new_jwt(caller))

    def personal(self, caller, mine, tokens):
        self.one(caller, mine, tokens, lambda: new_pat(caller, self.bearer))

    def one(self, caller, mine, tokens, make):
        """A new token, and sometimes the end of one; `mine` are those that nobody else ends."""
        token = make()
        mine.append(token)
        tokens.append(token)
        if random.random() < 0.3:
            made(token.ask(caller), f"{token}, new")
        if random.random() < 0.6:
            over = mine.pop(random.randrange(len(mine)))
            made(over.revoke(caller, self.bearer), f"revocation of {over}")

    def rotated(self, caller, mine, chains):
        if not mine or len(mine[-1].refresh) > ROTATIONS or mine[-1].ended:
            mine.append(Chain(made(caller.begin_grant(), "the begin of a grant")))
            chains.append(mine[-1])
            return
        chain = mine[-1]
        if random.random() < 0.1:
            chain.ending = True
            made(caller.revoke(chain.refresh[-1]), "the end of a grant")
            chain.ended = True
            return
        chain.rotating = True
        chain.take(made(caller.rotate(chain.refresh[-1]), "a rotation"))

    def check(self, tokens, chains):
        caller = Caller(self.server)
        for token in tokens:
            self.check_token(caller, token)
        for chain in chains:
            if chain.ended:
                self.is_over(caller, chain, "a grant whose end was answered")
            elif chain.ending:
                self.perhaps_over(caller, chain)
            elif chain.rotating:
                self.perhaps_rotated(caller, chain)
            else:
                self.count("grants with all rotations answered")
                self.is_good(caller, chain)
            self.plain += chain.refresh + chain.access

    def check_token(self, caller, token):
        status = token.ask(caller).status
        if token.revoked:
            self.count(f"{token.kind}s revoked")
            equal(status, 401, f"status of {token}, whose revocation was answered")
        elif token.revoke_sent is None:
            self.count(f"{token.kind}s kept")
            equal(status, 200, f"status of {token}, which was never revoked")
        else:
            self.count(f"{token.kind}s whose revocation was cut short")
            holds(status in (200, 401), f"{token}, whose revocation was not answered: {status}")
            if status == 401:
                # From now on it counts as answered.
                token.revoked = time.monotonic()

    def is_good(self, caller, chain):
        """The last refresh token works, once; the second use of any ends all that came of the grant."""
        for access in chain.access:
            equal(caller.me(access).status, 200, "status of an access token of a good grant")
        chain.take(made(caller.rotate(chain.refresh[-1]), "the rotation after the kill"))
        equal(caller.rotate(chain.refresh[-2]).status, 400, "status of a refresh token that was spent")
        self.is_over(caller, chain, "a grant of which a spent token was used")

    def perhaps_over(self, caller, chain):
        answer = caller.rotate(chain.refresh[-1])
        if answer.status == 200:
            self.count("grants whose end was cut short, which go on")
            chain.take(answer)
            self.is_good(caller, chain)
        else:
            self.count("grants whose end was cut short, which ended")
            self.is_over(caller, chain, "a grant whose end was not answered, and which ended")

    def perhaps_rotated(self, caller, chain):
        """It was rotated or it was not; there are never two good tokens of one step."""
        answer = caller.rotate(chain.refresh[-1])
        if answer.status == 200:
            self.count("rotations cut short, which did not happen")
            chain.take(answer)
            self.is_good(caller, chain)
        else:
            self.count("rotations cut short, which happened")
            equal(answer.status, 400, "status of a refresh token whose rotation was not answered")
            self.is_over(caller, chain, "a grant whose successor nobody knows")

    def is_over(self, caller, chain, what):
        self.count("grants ended")
        for token in chain.refresh:
            answer = caller.rotate(token)
            equal((answer.status, answer.json().get("error")), (400, "invalid_grant"), what)
        for access in chain.access:
            equal(caller.me(access).status, 401, f"status of an access token of {what}")

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def summary(self):
        counts = ", ".join(f"{number} {what}" for what, number in sorted(self.counts.items()))
        return f"{self.interrupted} requests cut short; slowest start {self.slowest_start:.2f} s; {counts}"

    def secrets(self):
        """What must be nowhere in plain."""
        clients = [client.secret for client in self.clients.all if client is not self.clients.bttns]
        return [token.text for token in self.tokens] + self.plain + clients

    def restarts(self):
        """In order, as at each deployment."""
        caller = Caller(self.server)
        pat, jwt, over = new_pat(caller, self.bearer), new_jwt(caller), new_pat(caller, self.bearer)
        chain = Chain(made(caller.begin_grant(), "the begin of a grant"))
        made(over.revoke(caller, self.bearer), "a revocation")
        self.tokens += [pat, jwt, over]
        self.server.stop(signal.SIGTERM)
        equal(self.server.process.returncode, 0, "how the server ended")
        self.start()
        self.check(self.tokens, [chain])
        listed = {entry["id"]: entry for entry in Caller(self.server).pats(self.bearer, "GET").json()}
        good = {token.name for token in self.tokens if token.kind == "PAT" and not token.revoked}
        holds(good <= listed.keys(), "a token is missing in the list")
        holds(over.name not in listed, "a revoked token is in the list")


def locked(story):
    """Another process holds the lock of the file for longer than anybody waits: what is read is read all the same."""
    caller, answers = Caller(story.server), {}
    pat, cold = new_pat(caller, story.bearer), [new_pat(caller, story.bearer), new_jwt(caller)]
    story.tokens += [pat, *cold]

    def write(name, call, *args):
        answers[name] = call(story.bearer, *args)

    holder = sqlite3.connect(story.path, isolation_level=None, timeout=10)
    try:
        holder.execute("BEGIN IMMEDIATE")
        begun = [Caller(story.server) for _ in range(2)]
        writers = [
            threading.Thread(target=write, args=["make", begun[0].make_pat]),
            threading.Thread(target=write, args=["delete", begun[1].delete_pat, pat.name]),
        ]
        for writer in writers:
            writer.start()
        for token in cold:
            made(token.ask(caller), f"{token}, while the file is locked")
        for writer in writers:
            writer.join(TIMEOUT)
        for name, answer in answers.items():
            holds(answer.is_outage() and answer.got - answer.sent < LONGEST, f"{name}: {answer}")
        equal(len(answers), len(writers), "number of answers")
        holder.execute("ROLLBACK")
    finally:
        holder.close()
    wait_until(lambda: caller.make_pat(story.bearer).status == 200, 10, "it is written again")
    # A write that was given up may have been done.
    holds(pat.ask(caller).status in (200, 401), f"{pat}, whose deletion was given up")
    holds(pat.revoke(caller, story.bearer).status in (200, 404), f"deletion of {pat}")
    pat.revoked = time.monotonic()
    wait_until(lambda: pat.ask(caller).status == 401, 1, f"{pat} is refused")


def at_rest(story):
    """The files, as a thief of the disk finds them: after a kill, with what is not yet in the main file."""
    caller = Caller(story.server)
    late = [new_pat(caller, story.bearer), new_jwt(caller)]
    story.tokens += late
    chain = Chain(made(caller.begin_grant(), "the begin of a grant"))
    story.plain += chain.refresh + chain.access
    for token in late:
        made(token.ask(caller), f"{token}")
    wait_until(lambda: "last_used" in caller.get_pat(story.bearer, late[0].name).json(), 5, "the use is written")
    story.server.stop(signal.SIGKILL)
    files = [file for file in story.folder.iterdir() if file.name.startswith(story.path.name)]
    holds({file.name for file in files} >= {story.path.name, f"{story.path.name}-wal"}, f"files: {files}")
    content = b"".join(file.read_bytes() for file in files)
    for file in files:
        equal(stat.S_IMODE(file.stat().st_mode) & 0o077, 0, f"what others may do with {file.name}")
    for secret in story.secrets():
        holds(secret.encode() not in content, "a secret is in the files in plain")
    # The search finds what is there.
    for present in (late[0].name, story.clients.bttns.secret):
        holds(present.encode() in content, f"{present} is not in the files")
    database = sqlite3.connect(f"file:{story.path}?mode=ro", uri=True)
    try:
        equal(database.execute("PRAGMA integrity_check").fetchall(), [("ok",)], "integrity of the file")
        twice = "SELECT grant_id FROM bearer_refresh WHERE spent = 0 GROUP BY grant_id HAVING COUNT(*) > 1"
        equal(database.execute(twice).fetchall(), [], "grants with two good refresh tokens")
        orphans = "SELECT COUNT(*) FROM bearer_refresh WHERE grant_id NOT IN (SELECT grant_id FROM bearer_grants)"
        equal(database.execute(orphans).fetchall(), [(0,)], "refresh tokens of a grant that ended")
    finally:
        database.close()


def silent(story):
    quiet([story.server], story.secrets())


def quiet(servers, texts):
    for server in servers:
        log = server.log.read_text(errors="replace")
        holds("panicked" not in log, f"{server.name} panicked: {log[log.find('panicked'):][:300]}")
        holds(not any(text in log for text in texts), f"a secret is in the log of {server.name}")

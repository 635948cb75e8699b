"""Asks all the time, from several threads, and judges afterwards what was answered."""

import threading
import time
from typing import NamedTuple

from checks import holds
from fleet import BROKEN, LONGEST, Caller, Token


class Seen(NamedTuple):
    server: str
    token: Token
    sent: float
    got: float
    status: int
    # Of a 503: it says when to ask again.
    is_outage: bool
    note: str

    def __str__(self):
        took = self.got - self.sent
        return f"{self.server}, {self.token}: {self.status} {self.note} after {took:.3f} s"


class Watch:
    def __init__(self):
        self.seen, self.last = [], {}
        self.ended, self.threads, self.faults = threading.Event(), [], []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(60)

    def repeat(self, work, *args):
        """Calls `work` until the end; what goes wrong is told then."""

        def run():
            try:
                while not self.ended.is_set():
                    work(*args)
            except Exception as error:
                self.faults.append(f"{type(error).__name__}: {error}")

        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def ask(self, server, tokens, pause=0.04):
        """Asks a server about tokens by turns: a list that may change meanwhile, or what makes one."""
        caller = Caller(server)

        def turn():
            for token in tokens() if callable(tokens) else list(tokens):
                self.one(caller, token)
                self.ended.wait(pause)
            if not tokens:
                self.ended.wait(pause)

        self.repeat(turn)

    def one(self, caller, token):
        sent, name = time.monotonic(), caller.server.name
        try:
            answer = token.ask(caller)
            seen = Seen(name, token, answer.sent, answer.got, answer.status, answer.is_outage(), "")
        except BROKEN as error:
            seen = Seen(name, token, sent, time.monotonic(), 0, False, f"{type(error).__name__}: {error}")
        self.seen.append(seen)
        self.last[name, token] = seen
        return seen

    def is_answered(self, servers, tokens, status, since=0):
        """True if the last answer of each server about each token is this, and was asked for since then."""
        last = [self.last.get((server.name, token)) for server in servers for token in tokens]
        return all(seen and seen.status == status and seen.sent > since for seen in last)

    def judge(self, lag):
        """No answer of all may be wrong; `lag` is how long a server may accept what was revoked."""
        self.close()
        holds(not self.faults, f"{len(self.faults)} watchers gave up: {self.faults[:1]}")
        wrong = [f"{seen}: {why}" for seen in self.seen if (why := fault(seen, lag))]
        holds(not wrong, f"{len(wrong)} of {len(self.seen)} answers are wrong, the first: {wrong[:1]}")


def fault(seen, lag):
    token = seen.token
    if seen.got - seen.sent > LONGEST:
        return "too late"
    if seen.status == 503:
        return "" if seen.is_outage else "without Retry-After"
    if seen.status == 200:
        if token.is_unknown:
            return "accepted, and nobody's"
        late = seen.sent - token.revoked if token.revoked else 0
        return f"accepted {late:.3f} s after its revocation" if late > 0 and late > lag(seen) else ""
    if seen.status == 401:
        is_over = token.is_unknown or token.revoke_sent and seen.got >= token.revoke_sent
        return "" if is_over else "refused, and good"
    return "no answer to expect"

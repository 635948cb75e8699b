"""The database goes away in different ways while everybody asks."""

import random
import time

from checks import equal, holds
from desk import Desk
from fleet import LONGEST, made, new_jwt, new_pat, unknown_pat, wait_until
from watch import Watch

# For so long a machine that cannot ask goes on accepting what it knows.
WARM = 30
# Of clocks, and of threads that wait for their turn.
MARGIN = 1
# A machine that lost the connection on which it hears of revocations notices, and connects again.
DEAF = 10
RECOVERY = 30
FLAPPING = 8


class Outage:
    """Tokens of each kind, and who asks about them."""

    def __init__(self, fleet, away):
        self.fleet, self.away, self.watch = fleet, away, Watch()
        first, bearer = fleet.callers[0], fleet.bearer

        def pair():
            return [fleet.keep(new_pat(first, bearer)), fleet.keep(new_jwt(first))]

        self.cold, self.revoked, self.warm = pair(), pair(), pair() + pair()
        # Revoked elsewhere, while some are away: at once, and later.
        self.early, self.late = pair(), pair()
        for token in self.revoked:
            made(token.revoke(first, bearer), f"revocation of {token}")
        for caller in fleet.callers:
            for token in self.revoked:
                wait_until(lambda: token.ask(caller).status == 401, 5, f"{caller.server.name} refuses {token}")
        self.known = {}
        for caller in fleet.callers:
            for token in self.warm + self.early + self.late:
                answer = made(token.ask(caller), f"{token} at {caller.server.name}")
                self.known[caller.server.name, token] = answer
        self.desks = [Desk(server, fleet, self.warm[:2], self.revoked[1]) for server in fleet.servers]
        for server in fleet.servers:
            self.watch.ask(server, self.warm, pause=0.02)

    def begin(self):
        self.began = time.monotonic()
        for server in self.fleet.servers:
            for token in self.cold + self.early + self.late:
                self.watch.ask(server, [token], pause=0.05)
            self.watch.ask(server, self.revoked, pause=0.1)
            self.watch.ask(server, lambda: [unknown_pat()], pause=0.1)
        for desk in self.desks:
            self.watch.repeat(desk.turn)

    def last(self, seconds):
        end = self.began + seconds
        wait_until(lambda: time.monotonic() >= end, seconds + 5, "the outage lasts")

    def revoke(self, tokens):
        for token in tokens:
            made(token.revoke(self.fleet.callers[0], self.fleet.bearer), f"revocation of {token} elsewhere")

    def end(self):
        self.ended = time.monotonic()
        good = self.warm + self.cold
        servers, since = self.fleet.servers, self.ended
        wait_until(lambda: self.watch.is_answered(servers, good, 200, since), RECOVERY, "good tokens are accepted")
        left = RECOVERY + self.ended - time.monotonic()
        wait_until(lambda: all(desk.is_well(since) for desk in self.desks), left, "all endpoints answer")
        gone = [token for token in self.early + self.late if token.revoked]
        if gone:
            what = f"all refuse the {len(gone)} that were revoked"
            wait_until(lambda: self.watch.is_answered(servers, gone, 401, since), DEAF, what)
        self.back = time.monotonic() - self.ended

    def judge(self, lag, goes_on=True):
        self.watch.judge(lag)
        for desk in self.desks:
            holds(not desk.wrong, f"{len(desk.wrong)} wrong answers of endpoints, the first: {desk.wrong[:1]}")
        self.stays_refused()
        if goes_on:
            self.goes_on()
        made_meanwhile = [token for desk in self.desks for token in desk.made]
        for caller in self.fleet.callers:
            for token in made_meanwhile:
                made(token.ask(caller), f"{token}, made in the outage, at {caller.server.name}")

    def stays_refused(self):
        """A token that was revoked elsewhere is never accepted again by who did not accept it once."""
        over = set()
        for seen in self.watch.seen:
            key = seen.server, seen.token
            if seen.token.revoked and seen.sent > seen.token.revoked:
                holds(not (seen.status == 200 and key in over), f"{seen}: accepted again")
                if seen.status == 401:
                    over.add(key)

    def goes_on(self):
        """While nobody can be asked, what was known is accepted for as long as is said."""
        for seen in self.watch.seen:
            if seen.token in self.warm and seen.got < min(self.known[seen.server, seen.token].sent + WARM, self.ended):
                equal(seen.status, 200, f"{seen.server}, {seen.token}, which was known")

    def was_felt(self, cold=None):
        """The outage was one, for those who were away: what they did not know was a 503, and in time."""
        for server in self.away:
            for token in cold or self.cold:
                waits = [
                    seen.got - seen.sent
                    for seen in self.watch.seen
                    if (seen.server, seen.token, seen.status) == (server.name, token, 503)
                ]
                holds(waits, f"{server.name}, {token}: no outage was felt")
                holds(max(waits) <= LONGEST, f"{server.name}, {token}: {max(waits):.1f} s")

    def report(self, name):
        bad = [seen for seen in self.watch.seen if seen.status == 503]
        longest = max((seen.got - seen.sent for seen in self.watch.seen), default=0)
        desks = max((desk.longest for desk in self.desks), default=0)
        after = [seen.got - self.ended for seen in bad if seen.got > self.ended]
        text = f"{name}: {len(self.watch.seen)} answers, {len(bad)} of them 503; the longest wait {longest:.1f} s, "
        text += f"{desks:.1f} s at the other endpoints; the last 503 {max(after, default=0):.1f} s after the end, "
        self.fleet.measured(text + f"all well after {self.back:.1f} s")


def none(_):
    return 0


def restarted(fleet, mode):
    outage = Outage(fleet, fleet.servers)
    with outage.watch:
        outage.begin()
        fleet.postgres.restart(mode)
        outage.end()
    outage.judge(none)
    outage.report(f"restart, {mode}")


def paused(fleet):
    outage = Outage(fleet, fleet.servers)
    with outage.watch:
        resume = fleet.postgres.pause()
        try:
            outage.begin()
            outage.last(12)
        finally:
            resume()
        outage.end()
    outage.judge(none)
    outage.was_felt()
    outage.report("pause")


def cut_off(fleet, refused, swallowed):
    """For a while: back before what was known runs out. Of what was revoked meanwhile nothing is believed then."""
    outage = Outage(fleet, fleet.servers[1:])
    with outage.watch:
        fleet.proxies[refused].refuse()
        fleet.proxies[swallowed].swallow()
        outage.begin()
        outage.revoke(outage.early)
        outage.last(10)
        outage.revoke(outage.late)
        for proxy in fleet.proxies.values():
            proxy.forward()
        outage.end()
    outage.judge(until(outage, DEAF))
    outage.was_felt()
    outage.report(f"cut off for 10 s, {refused} by resets, {swallowed} without a word")


def cut_off_for_long(fleet, refused, swallowed):
    """Until all that was known runs out: nothing is accepted for longer than is said."""
    outage = Outage(fleet, fleet.servers[1:])
    with outage.watch:
        fleet.proxies[refused].refuse()
        fleet.proxies[swallowed].swallow()
        outage.begin()
        outage.revoke(outage.early)
        outage.last(12)
        outage.revoke(outage.late)
        known = outage.warm + outage.early + outage.late

        def run_out():
            return outage.watch.is_answered(outage.away, known, 503)

        wait_until(run_out, WARM + LONGEST, "nothing is known any more")
        for proxy in fleet.proxies.values():
            proxy.forward()
        outage.end()
    outage.judge(until(outage, 0))
    outage.was_felt()
    runs_out(outage)
    outage.report(f"cut off until nothing was known, {refused} by resets, {swallowed} without a word")


def lost(fleet):
    """The connections that there are go silent; new ones work."""
    outage = Outage(fleet, fleet.servers[1:])
    with outage.watch:
        for proxy in fleet.proxies.values():
            proxy.lose()
        outage.begin()
        outage.revoke(outage.early)

        def refused():
            return outage.watch.is_answered(fleet.servers, outage.early, 401)

        wait_until(refused, DEAF, f"all refuse {outage.early}")
        heard = time.monotonic() - outage.began
        outage.end()
    outage.judge(lambda seen: none(seen) if seen.server == "a" else DEAF)
    outage.report("connections lost silently")
    fleet.measured(f"connections lost silently: what was revoked is refused by all after {heard:.1f} s")


def flapping(fleet):
    """Connections end again and again while others revoke: whoever listens anew believes nothing of before."""
    outage = Outage(fleet, fleet.servers[1:])
    tokens, first = [], fleet.callers[0]
    with outage.watch:
        for server in fleet.servers * 2:
            outage.watch.ask(server, tokens, pause=0.005)
        outage.begin()
        while time.monotonic() < outage.began + FLAPPING:
            for proxy in fleet.proxies.values():
                if random.random() < 0.7:
                    proxy.reset()
            pair = [fleet.keep(new_pat(first, fleet.bearer)), fleet.keep(new_jwt(first))]
            tokens += pair
            good = [token for token in tokens[:-2] if not token.revoked]
            outage.revoke(random.sample(good, min(2, len(good))))
            tokens[:] = [token for token in tokens if not token.revoked or token.revoked > time.monotonic() - 3]
            time.sleep(random.uniform(0, 0.3))
        outage.early = [token for token in fleet.tokens if token.revoked and token.revoked > outage.began]
        tokens[:] = outage.early
        outage.end()
    # What is unknown again after each loss may have to be asked for in the middle of the next.
    outage.judge(until(outage, DEAF), goes_on=False)
    outage.report(f"connections end for {FLAPPING} s, while {len(outage.early)} tokens are revoked")


def until(outage, after):
    """Who was away may accept what it knew, for as long as is said, and no longer than until it hears again."""

    def lag(seen):
        if seen.server not in [server.name for server in outage.away]:
            return 0
        known = outage.known.get((seen.server, seen.token))
        longest = known.got + WARM + MARGIN if known else float("inf")
        return min(longest, outage.ended + after) - seen.token.revoked

    return lag


def runs_out(outage):
    for server in outage.away:
        for token in outage.early + outage.late:
            known = outage.known[server.name, token].got
            accepted = [
                seen.sent - known
                for seen in outage.watch.seen
                if (seen.server, seen.token, seen.status) == (server.name, token, 200)
            ]
            outage.fleet.measured(f"{server.name}, {token}: accepted until {max(accepted):.2f} s after the last check")

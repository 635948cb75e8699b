"""Three machines on one database: what one issues all accept, what one revokes all refuse."""

import time

from checks import equal, holds
from fleet import Caller, Line, made, new_granted, new_jwt, new_pat, unknown_pat, wait_until
from watch import Watch

ROUNDS = 20
# A machine that hears of a revocation refuses after no longer than this.
LAG = 1
# A last use is written down once in so many seconds.
RESOLUTION = 60
# Failures of one address in quick succession; one more each second.
BURST = 100


def shared(fleet):
    """Tokens of each system, whoever issued them."""
    for issuing in fleet.callers:
        for system, subject, get, pick in issuing.systems():
            token = pick(made(get(), f"{system} at {issuing.server.name}"))
            for caller in fleet.callers:
                answer = made(caller.me(token), f"{system} of {issuing.server.name} at {caller.server.name}")
                equal(answer.json()["subject"], subject, f"{system}, subject")
    equal(len({caller.jwks().body for caller in fleet.callers}), 1, "number of key sets")


def schemes(fleet):
    """A personal access token of each machine, under either scheme."""
    for issuing in fleet.callers:
        pat = fleet.keep(new_pat(issuing, fleet.bearer))
        for caller in fleet.callers:
            for scheme in ("Token", "Bearer"):
                body = made(caller.me(pat.text, scheme), f"{pat} at {caller.server.name} as {scheme}").json()
                equal((body["subject"], body["scopes"]), ("alice", ["read"]), f"{pat} as {scheme}")


def revoked(fleet):
    """Revoked by one while all are asked all the time: refused by that one at once, by all within a second."""
    current, results = [], []
    with Watch() as watch:
        for server in fleet.servers * 2:
            watch.ask(server, current, pause=0.002)
        for number in range(ROUNDS):
            revoking = fleet.callers[number % len(fleet.callers)]
            minting = fleet.callers[number // len(fleet.callers) % len(fleet.callers)]
            tokens = [new_pat(minting, fleet.bearer), new_jwt(minting), new_granted(minting, number % 2)]
            for token in tokens:
                fleet.keep(token)
            # The last of before, for what comes late.
            current[:] = current[-4:] + tokens
            wait_until(lambda: watch.is_answered(fleet.servers, tokens, 200), 10, f"all accept {tokens}")
            for token in tokens:
                made(token.revoke(revoking, fleet.bearer), f"revocation of {token}")
                token.revoked_by = revoking.server.name
            wait_until(lambda: watch.is_answered(fleet.servers, tokens, 401), 10, f"all refuse {tokens}")
            results += tokens
        watch.judge(lambda seen: 0 if seen.server == getattr(seen.token, "revoked_by", "") else LAG)
    outages = sum(seen.status == 503 for seen in watch.seen)
    equal(outages, 0, "number of outages")
    for kind in ("PAT", "JWT", "JWT of a grant"):
        tokens = [token for token in results if token.kind == kind]
        late = [seen.sent - seen.token.revoked for seen in watch.seen if seen.status == 200 and seen.token in tokens]
        refused = {}
        for seen in watch.seen:
            if seen.status == 401 and seen.token in tokens:
                refused.setdefault((seen.server, seen.token), seen.got - seen.token.revoked)
        fleet.measured(f"{kind}: last accepted {max(late) * 1000:+.1f} ms after its revocation was answered")
        fleet.measured(f"{kind}: first refused {max(refused.values()) * 1000:+.1f} ms after it, at the latest")
    fleet.measured(f"{len(watch.seen)} answers while tokens were revoked")


def used(fleet):
    """Of a token that all machines see at once, the use is written down soon, and once."""
    pat = fleet.keep(new_pat(fleet.callers[0], fleet.bearer))
    bearer, began = fleet.bearer, time.time()
    holds("last_used" not in fleet.callers[1].get_pat(bearer, pat.name).json(), "used before it is used")
    asked = time.monotonic()
    with Watch() as watch:
        for server in fleet.servers * 2:
            watch.ask(server, [pat], pause=0.005)
        wait_until(lambda: "last_used" in fleet.callers[2].get_pat(bearer, pat.name).json(), 5, "the use is seen")
        took = time.monotonic() - asked
        # Whatever others were about to write is written by the time that all were asked a hundred times more.
        count = len(watch.seen)
        wait_until(lambda: len(watch.seen) > count + 600, 20, "600 answers")
        watch.judge(lambda seen: 0)
    writes = fleet.touches(pat)
    equal(len(writes), 1, f"how often the use of {pat} was written")
    holds(began - 1 < writes[0] < time.time() + 1, f"the time that was written: {writes[0]}")
    fleet.measured(f"a use is seen {took * 1000:.0f} ms after it")


def never_too_often(fleet):
    """In all of the time, with all of the outages, no use was written twice in a minute, and none was lost."""
    good = {token.name for token in fleet.tokens if token.kind == "PAT" and token.revoke_sent is None}

    def written():
        by_token = {}
        for name, at in fleet.all_touches():
            by_token.setdefault(name, []).append(at)
        return by_token if good <= by_token.keys() else None

    # What could not be written in an outage is tried again after a minute at most.
    by_token = wait_until(written, 70, "the use of every token is written")
    for name, times in by_token.items():
        gaps = [later - earlier for earlier, later in zip(times, times[1:])]
        holds(all(gap >= RESOLUTION for gap in gaps), f"uses of {name}, written after {gaps} s")
    steady = by_token.get(fleet.steady.name, [])
    holds(len(steady) >= 2, f"a token was used for {fleet.age():.0f} s, and its use written {len(steady)} times")
    fleet.measured(f"uses of {len(by_token)} tokens were written {sum(map(len, by_token.values()))} times")


def limited(fleet):
    """Failures count by address; what a caller writes into a header does not."""
    bad, other = "127.255.1.1", "127.255.1.2"
    server = fleet.servers[0]
    good = fleet.keep(new_pat(fleet.callers[0], fleet.bearer)).text
    jwt = fleet.bearer
    caller = Caller(server, bad)
    began, failures = time.monotonic(), 0
    while (answer := caller.me(unknown_pat().text, "Token")).status == 401:
        failures += 1
        holds(failures < 2 * BURST, "nobody is limited")
    took = time.monotonic() - began
    is_limited(answer)
    holds(BURST <= failures <= BURST + took + 1, f"{failures} failures in {took:.1f} s before the limit")
    is_limited(caller.me(good, "Token"))
    is_limited(caller.me(good))
    made(caller.me(jwt), "a JWT, which cannot be guessed")
    spoofs = [
        {"X-Forwarded-For": "192.0.2.7"},
        {"Forwarded": "for=192.0.2.7", "X-Real-IP": "192.0.2.7"},
        {"User-Agent": "somebody else", "True-Client-IP": "192.0.2.7"},
    ]
    for headers in spoofs:
        is_limited(caller.me(unknown_pat().text, "Token", **headers))
        made(Caller(server, other).me(good, **{name: bad for name in headers}), "another address")
    began = time.monotonic()
    wait_until(lambda: caller.me(good).status == 200, 10, "the limited address is heard again")
    fleet.measured(f"{failures} failures before the limit; heard again after {time.monotonic() - began:.1f} s")

    desk, failures = Line(server, bad), 0
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    wrong = "grant_type=client_credentials&client_id=netbird-cli&client_secret=wrong"
    while (answer := desk.send("POST", "/oauth2/token", form, wrong)).status in (400, 401):
        failures += 1
        holds(failures < 2 * BURST, "nobody is limited at the token endpoint")
    is_limited(answer)
    holds(failures >= BURST, f"limited after {failures} failures at the token endpoint")
    is_limited(desk.send("POST", "/oauth2/token", form | spoofs[0], wrong))
    made(Caller(server, other).get_token(), "a token for another address")


def is_limited(answer):
    equal(answer.status, 429, "status of a limited address")
    holds(int(answer.headers["retry-after"]) >= 1, "Retry-After")


def for_good(fleet):
    """What was revoked stays so, and what was not stays good, on every machine."""
    for caller in fleet.callers:
        for token in fleet.tokens:
            answer = token.ask(caller)
            if token.revoked:
                equal(answer.status, 401, f"status of {token} at {caller.server.name}, which was revoked")
            elif token.revoke_sent is None:
                equal(answer.status, 200, f"status of {token} at {caller.server.name}")
    fleet.measured(f"{len(fleet.tokens)} tokens at {len(fleet.callers)} machines in the end")

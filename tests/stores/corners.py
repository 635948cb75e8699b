"""Moments that are rare, made on purpose."""

import signal
import subprocess
import threading
import time

from checks import equal, holds
from fleet import LONGEST, Caller, Chain, Server, made, new_jwt, new_pat, wait_until
from outages import Outage, none
from revoking import LAG

RACES = 10


def first_uses(fleet):
    """Tokens that are revoked just as they are used for the first time, everywhere."""
    for number in range(RACES):
        revoking = fleet.callers[number % len(fleet.callers)]
        pair = [fleet.keep(new_pat(revoking, fleet.bearer)), fleet.keep(new_jwt(revoking))]
        callers = [Caller(server) for server in fleet.servers for _ in pair]
        asked = [threading.Thread(target=token.ask, args=[caller]) for caller, token in zip(callers, pair * 3)]
        for thread in asked:
            thread.start()
        for token in pair:
            made(token.revoke(revoking, fleet.bearer), f"revocation of {token}")
            equal(token.ask(revoking).status, 401, f"status of {token} where it was revoked")
        for thread in asked:
            thread.join()
        for token in pair:
            for caller in callers:
                left = token.revoked + LAG - time.monotonic()
                wait_until(lambda: token.ask(caller).status == 401, left, f"{caller.server.name} refuses {token}")


def one_step(fleet):
    """A refresh token at all machines at once: one of them takes it at most, and the grant ends."""
    for _ in range(RACES):
        chain = Chain(made(fleet.callers[0].begin_grant(), "the begin of a grant"))
        answers, gate = [], threading.Barrier(len(fleet.servers))

        def rotate(server):
            caller = Caller(server)
            made(caller.jwks(), "the key set")
            gate.wait(10)
            answers.append(caller.rotate(chain.refresh[0]))

        threads = [threading.Thread(target=rotate, args=[server]) for server in fleet.servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        good = [answer for answer in answers if answer.status == 200]
        equal(sorted(answer.status for answer in answers), [200, 400, 400], "statuses of one step")
        chain.take(good[0])
        for caller in fleet.callers:
            for token in chain.refresh:
                equal(caller.rotate(token).status, 400, "status of a token of a grant that ended")


def late_answers(fleet):
    """What the database said before a revocation, and what arrives after the news of it, counts no more."""
    server, proxy = fleet.servers[2], fleet.proxies["c"]
    for make in (lambda: new_pat(fleet.callers[0], fleet.bearer), lambda: new_jwt(fleet.callers[0])):
        token, answers = fleet.keep(make()), {}

        def ask(name):
            answers[name] = token.ask(Caller(server))

        first, second = (threading.Thread(target=ask, args=[name]) for name in ("before", "after"))
        proxy.hold()
        try:
            first.start()
            wait_until(proxy.holds_an_answer, 3, "the database answers")
            made(token.revoke(fleet.callers[0], fleet.bearer), f"revocation of {token}")
            wait_until(lambda: time.monotonic() > token.revoked + LAG, 5, "all have heard")
            second.start()
            # It waits for the answer that is on its way, or has asked by itself.
            second.join(0.3)
        finally:
            proxy.forward()
        first.join()
        second.join()
        equal(answers["after"].status, 401, f"status of {token}, asked {LAG} s after its revocation")


def standing_still(fleet):
    """A machine that did not run hears of what was revoked as soon as it runs again."""
    server, caller = fleet.servers[1], Caller(fleet.servers[1])
    pair = [fleet.keep(new_pat(fleet.callers[0], fleet.bearer)), fleet.keep(new_jwt(fleet.callers[0]))]
    for token in pair:
        made(token.ask(caller), f"{token}")
    server.process.send_signal(signal.SIGSTOP)
    try:
        for token in pair:
            made(token.revoke(fleet.callers[0], fleet.bearer), f"revocation of {token}")
        wait_until(lambda: time.monotonic() > token.revoked + 2, 5, "the machine stands still")
    finally:
        server.process.send_signal(signal.SIGCONT)
    began = time.monotonic()
    for token in pair:
        left = began + LAG - time.monotonic()
        wait_until(lambda: token.ask(caller).status == 401, left, f"{server.name} refuses {token}")
    fleet.measured(f"stood still: refused {(time.monotonic() - began) * 1000:.0f} ms after it ran again")


def locked(fleet):
    """Somebody else's transaction holds the table of personal access tokens."""
    outage = Outage(fleet, fleet.servers)
    psql = fleet.postgres.psql(fleet.database)
    quiet = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with outage.watch, subprocess.Popen(psql, **quiet) as session:
        session.stdin.write("BEGIN; LOCK TABLE bearer_tokens IN ACCESS EXCLUSIVE MODE; SELECT 'locked';\n")
        session.stdin.flush()
        while "locked" not in (line := session.stdout.readline()):
            holds(line, "psql ended")
        outage.begin()
        outage.last(8)
        session.stdin.close()
        session.wait(10)
        outage.end()
    outage.judge(none)
    outage.was_felt([token for token in outage.cold if token.kind == "PAT"])
    outage.report("a table is locked")


def read_only(fleet):
    """As where another server of a cluster took over, and may not write yet."""
    first, bearer = fleet.callers[0], fleet.bearer
    cold = [new_pat(first, bearer), new_jwt(first)]
    chain = Chain(made(first.begin_grant(), "the begin of a grant"))
    set_read_only(fleet, "on")
    try:
        for caller in fleet.callers:
            for token in cold:
                wait_until(lambda: token.ask(caller).status == 200, 10, f"{token} is read")
            is_outage(caller.make_pat(bearer), "making a personal access token")
            is_outage(caller.begin_grant(), "the begin of a grant")
            is_outage(caller.rotate(chain.refresh[0]), "a rotation")
            is_outage(caller.revoke(chain.refresh[0]), "the end of a grant")
            is_outage(caller.revoke(cold[1].text), "revocation")
            is_outage(caller.delete_pat(bearer, cold[0].name), "deletion")
            made(caller.get_token(), "an access token, which is written nowhere")
    finally:
        set_read_only(fleet, "off")
    for caller in fleet.callers:
        for token in cold:
            wait_until(lambda: token.ask(caller).status == 200, 10, f"{token} is good, since nothing was revoked")
        wait_until(lambda: caller.make_pat(bearer).status == 200, 10, "it is written again")
    made(first.rotate(chain.refresh[0]), "the rotation that failed before")


def set_read_only(fleet, value):
    sessions = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{fleet.database}'"
    change = f'ALTER DATABASE "{fleet.database}" SET default_transaction_read_only = {value}'
    fleet.postgres.query(fleet.postgres.own, change)
    fleet.postgres.query(fleet.postgres.own, sessions)


def is_outage(answer, what):
    holds(answer.is_outage(), f"{what}: {answer}")


def no_start(fleet, folder):
    """Without its database a server ends, soon, and says why, and no secret."""
    proxy, url = fleet.proxies["b"], fleet.servers[1].store
    for fail in (proxy.refuse, proxy.swallow):
        fail()
        try:
            server = Server("no-start", url, fleet.clients, folder)
            began = time.monotonic()
            try:
                server.start()
                raise AssertionError("it started")
            except AssertionError as error:
                holds("ended with 2" in str(error), str(error))
            finally:
                server.stop()
            took = time.monotonic() - began
            holds(took < LONGEST, f"it took {took:.1f} s to give up")
            log = server.log.read_text()
            holds("--store" in log and url not in log, f"what it says: {log}")
        finally:
            proxy.forward()
    for caller in fleet.callers:
        wait_until(lambda: new_pat_works(caller, fleet), 30, f"{caller.server.name} is back")


def new_pat_works(caller, fleet):
    answer = caller.make_pat(fleet.bearer)
    return answer.status == 200 and caller.me(answer.json()["plain_token"], "Token").status == 200

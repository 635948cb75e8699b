"""Several servers on one database, and one server that is killed again and again."""

import os
import random
import signal
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import corners
import killing
import outages
import revoking
from checks import Checks
from database import Postgres, Proxy
from fleet import Caller, Clients, Server, access_token, made, new_pat
from watch import Watch


class Fleet:
    """Three machines: `a` beside the database, `b` and `c` behind a network each."""

    def __init__(self, postgres, folder):
        self.postgres, self.clients = postgres, Clients(folder)
        self.database = postgres.make(f"tower_bearer_fleet_{os.getpid()}")
        self.proxies = {name: Proxy(postgres.host, postgres.port) for name in ("b", "c")}
        ports = {"a": None} | {name: proxy.port for name, proxy in self.proxies.items()}
        stores = {name: postgres.at(self.database, port) for name, port in ports.items()}
        self.servers = [Server(name, store, self.clients, folder) for name, store in stores.items()]
        self.watch, self.tokens, self.began = Watch(), [], time.monotonic()

    def start(self):
        # At once: each would make the tables, the keys and the clients.
        faults = at_once([server.start for server in self.servers])
        if faults:
            raise faults[0]
        self.callers = [Caller(server) for server in self.servers]
        self.bearer = access_token(made(self.callers[0].get_token(), "a token to make others with"))
        self.postgres.query(self.database, TOUCHES)
        self.steady = self.keep(new_pat(self.callers[0], self.bearer))
        for server in self.servers:
            self.watch.ask(server, [self.steady], pause=0.2)
        self.began = time.monotonic()

    def age(self):
        return time.monotonic() - self.began

    def steadily(self):
        """A token that is in use all of the time."""
        self.watch.judge(lambda seen: 0)

    def keep(self, token):
        self.tokens.append(token)
        return token

    def all_touches(self):
        rows = self.postgres.query(self.database, "SELECT id, last_used FROM touches ORDER BY number")
        return [(name, int(micros) / 1e6) for name, micros in rows]

    def touches(self, token):
        return [at for name, at in self.all_touches() if name == token.name]

    def measured(self, text):
        print(f"        {text}", flush=True)

    def quiet(self):
        killing.quiet(self.servers, [token.text for token in self.tokens])

    def stop(self):
        self.watch.close()
        for server in self.servers:
            server.stop()
        for proxy in self.proxies.values():
            proxy.close()


# Each write of a last use, also of one that is the same as before.
TOUCHES = """
    CREATE TABLE touches (number SERIAL, id TEXT, last_used BIGINT);
    CREATE FUNCTION note_touch() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO touches (id, last_used) VALUES (NEW.id, NEW.last_used); RETURN NULL; END $$;
    CREATE TRIGGER touched AFTER UPDATE OF last_used ON bearer_tokens
        FOR EACH ROW EXECUTE FUNCTION note_touch();
"""


def at_once(calls):
    """What went wrong with each, if something did."""
    faults = []

    def run(call):
        try:
            call()
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=run, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return faults


def check_fleet(checks, fleet, folder):
    checks("three machines start at once on an empty database", fleet.start)
    checks("tokens of five systems, issued by one, accepted by all", revoking.shared, fleet)
    checks("personal access tokens of one, accepted by all", revoking.schemes, fleet)
    checks("a revocation is heard by all within a second", revoking.revoked, fleet)
    checks("revoked as they are used first", corners.first_uses, fleet)
    checks("one refresh token at all machines at once", corners.one_step, fleet)
    checks("an answer that is older than the news", corners.late_answers, fleet)
    checks("a machine stands still", corners.standing_still, fleet)
    checks("a last use is written once", revoking.used, fleet)
    checks("failures are limited by address", revoking.limited, fleet)
    checks("the database restarts, at once", outages.restarted, fleet, "immediate")
    checks("the database restarts, in order", outages.restarted, fleet, "fast")
    checks("the database stands still", outages.paused, fleet)
    checks("machines are cut off for a while", outages.cut_off, fleet, refused="c", swallowed="b")
    checks("machines are cut off for long", outages.cut_off_for_long, fleet, refused="b", swallowed="c")
    checks("connections are lost silently", outages.lost, fleet)
    checks("connections end again and again", outages.flapping, fleet)
    checks("a table is locked", corners.locked, fleet)
    checks("the database can only be read", corners.read_only, fleet)
    checks("no start without the database", corners.no_start, fleet, folder)
    checks("what is in use all of the time is never refused", fleet.steadily)
    checks("revoked is revoked, and good is good", revoking.for_good, fleet)
    checks("no last use is written too often, none is lost", revoking.never_too_often, fleet)
    checks("no server panicked, or wrote a token into its log", fleet.quiet)


def check_kills(checks, postgres, folder):
    database = postgres.make(f"tower_bearer_kills_{os.getpid()}")
    stores = {"sqlite": f"sqlite:{folder}/tokens.sqlite", "postgres": postgres.at(database)}
    clients = Clients(folder)
    stories = {name: killing.Story(store, clients, folder) for name, store in stores.items()}
    faults = {}

    def tell(name):
        try:
            stories[name].tell()
        except Exception as error:
            faults[name] = error

    def outcome(name):
        if name in faults:
            raise faults[name]
        print(f"        {stories[name].summary()}", flush=True)

    try:
        at_once([partial(tell, name) for name in stories])
        for name, story in stories.items():
            checks(f"{name}: killed {killing.ROUNDS} times, nothing is lost and nothing comes back", outcome, name)
            checks(f"{name}: no panic, and no secret in the log", killing.silent, story)
        story = stories["sqlite"]
        checks("sqlite: a restart keeps everything", story.restarts)
        checks("sqlite: another process holds the lock of the file", killing.locked, story)
        checks("sqlite: the file is whole, for its owner alone, and without secrets", killing.at_rest, story)
    finally:
        for story in stories.values():
            story.server.stop()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    seed = int(os.environ.get("TOWER_BEARER_SEED", random.randrange(1 << 32)))
    print(f"TOWER_BEARER_SEED={seed}")
    random.seed(seed)
    only = sys.argv[1:] or ["fleet", "kills"]
    checks, postgres = Checks(), Postgres(os.environ["TOWER_BEARER_POSTGRES"])
    with tempfile.TemporaryDirectory(prefix="tower-bearer-") as folder:
        try:
            if "fleet" in only:
                fleet = Fleet(postgres, Path(folder))
                try:
                    check_fleet(checks, fleet, Path(folder))
                finally:
                    fleet.stop()
            if "kills" in only:
                check_kills(checks, postgres, Path(folder))
        finally:
            postgres.drop_all()
    checks.close()


main()

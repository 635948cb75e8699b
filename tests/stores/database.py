"""The PostgreSQL server under test, and a proxy that stands for the network in front of it."""

import os
import pwd
import re
import select
import selectors
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from checks import holds

# When the server's side of a connection that the network lost notices by itself.
KEEPALIVE = 10


class Postgres:
    def __init__(self, url):
        self.url = urlsplit(url)
        self.host, self.port = self.url.hostname, self.url.port or 5432
        process = Path("/proc") / str(self.postmaster())
        self.data = os.readlink(process / "cwd")
        self.binaries = Path(os.readlink(process / "exe")).parent
        self.own, self.databases = self.url.path.strip("/"), []

    def at(self, database, port=None):
        user = self.url.netloc.rpartition("@")[0]
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.url._replace(netloc=f"{user}@{host}:{port or self.port}", path=f"/{database}").geturl()

    def make(self, database):
        self.query(self.own, f'CREATE DATABASE "{database}"')
        self.databases.append(database)
        return database

    def drop_all(self):
        while self.databases:
            self.query(self.own, f'DROP DATABASE IF EXISTS "{self.databases.pop()}" WITH (FORCE)')

    def query(self, database, sql):
        """The rows, as texts."""
        done = subprocess.run([*self.psql(database), "-c", sql], capture_output=True, text=True, timeout=30)
        holds(done.returncode == 0, f"{sql}: {done.stderr}")
        return [line.split("|") for line in done.stdout.splitlines()]

    def psql(self, database):
        return [self.binaries / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.at(database)]

    def postmaster(self):
        """Who listens on the port: of a family, the parent."""
        listening = set()
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == self.port:
                    listening.add(f"socket:[{fields[9]}]")
        owners = {pid for pid in processes() if listening & open_files(pid)}
        found = [pid for pid in owners if parent(pid) not in owners]
        holds(len(found) == 1, f"expected one process to listen on port {self.port}: {found}")
        return found[0]

    def restart(self, mode):
        command = [self.binaries / "pg_ctl", "restart", "-D", self.data, "-m", mode, "-w", "-t", "60"]
        owner = os.stat(self.data).st_uid
        if owner != os.geteuid():
            command = ["runuser", "-u", pwd.getpwuid(owner).pw_name, "--"] + command
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        # The options of the first start are used again, and its data directory may be relative.
        done = subprocess.run(command, timeout=90, cwd=Path(self.data).parent, **quiet)
        holds(done.returncode == 0, f"pg_ctl restart -m {mode} failed")

    def pause(self):
        """All of its processes stand still. What is sent to them is taken by the kernel, and lies there."""
        parent_pid = self.postmaster()
        os.kill(parent_pid, signal.SIGSTOP)
        stopped = [parent_pid] + [pid for pid in processes() if parent(pid) == parent_pid]
        for pid in stopped[1:]:
            send(pid, signal.SIGSTOP)
        return lambda: [send(pid, signal.SIGCONT) for pid in reversed(stopped)]


def processes():
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def open_files(pid):
    try:
        return {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return set()


def parent(pid):
    try:
        return int(re.sub(r"^.*\) ", "", Path(f"/proc/{pid}/stat").read_text(), flags=re.DOTALL).split()[1])
    except OSError:
        return 0


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Proxy:
    """Forwards to a port, or fails in a way of its own.

    - `refuse`: all connections are reset, and new ones refused.
    - `swallow`: connections are open, and new ones accepted; nothing comes through, not even later.
    - `reset`: the connections that there are end; new ones work.
    - `lose`: the connections that there are swallow; new ones work.
    - `hold`: statements get through, and their answers lie here until `forward`. Those of the simple protocol, by
      which a listener listens and shows that it is alive, come through.
    """

    def __init__(self, host, port):
        self.target, self.mode = (host, port), "forward"
        self.selector, self.peers, self.lost = selectors.DefaultSelector(), {}, {}
        self.servers_ends, self.held = set(), set()
        self.wake, self.woken = socket.socketpair()
        self.orders, self.ended = [], False
        self.listener = self.listen(0)
        self.port = self.listener.getsockname()[1]
        self.selector.register(self.woken, selectors.EVENT_READ)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def refuse(self):
        self.order("refuse")

    def reset(self):
        self.order("reset")

    def swallow(self):
        self.order("swallow")

    def lose(self):
        self.order("lose")

    def hold(self):
        self.order("hold")

    def holds_an_answer(self):
        return any(select.select([end], [], [], 0)[0] for end in list(self.held))

    def forward(self):
        self.order("forward")

    def close(self):
        self.order("close")
        self.thread.join(5)

    def order(self, what):
        """Returns when it is so."""
        done = threading.Event()
        self.orders.append((what, done))
        self.wake.send(b"!")
        holds(done.wait(5), f"the proxy does not {what}")

    def listen(self, port):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
        self.selector.register(listener, selectors.EVENT_READ)
        return listener

    def run(self):
        while not self.ended:
            for key, _ in self.selector.select(0.5):
                if key.fileobj is self.listener:
                    self.accept()
                elif key.fileobj is self.woken:
                    self.woken.recv(1)
                    self.obey(*self.orders.pop(0))
                elif key.fileobj in self.peers:
                    self.pump(key.fileobj)
            self.bury()

    def obey(self, what, done):
        while self.held:
            self.selector.register(self.held.pop(), selectors.EVENT_READ)
        if what in ("refuse", "close"):
            self.selector.unregister(self.listener)
            self.listener.close()
        elif self.mode == "refuse":
            self.listener = self.listen(self.port)
        if what in ("refuse", "reset", "close"):
            for end in [*self.peers, *self.lost]:
                self.drop(end)
            self.lost.clear()
        if what in ("swallow", "lose"):
            self.lose_all()
        self.mode = "forward" if what in ("lose", "reset") else what
        self.ended = what == "close"
        done.set()

    def accept(self):
        near, _ = self.listener.accept()
        if self.mode == "swallow":
            self.lost[near] = float("inf")
            return
        try:
            far = socket.create_connection(self.target, timeout=5)
        except OSError:
            near.close()
            return
        for one, other in ((near, far), (far, near)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.settimeout(5)
            self.peers[one] = other
            self.selector.register(one, selectors.EVENT_READ)
        self.servers_ends.add(near)

    def pump(self, end):
        other = self.peers[end]
        try:
            data = end.recv(1 << 16)
            # Parse or Bind: a statement with values (PostgreSQL's protocol, §55.7).
            if self.mode == "hold" and end in self.servers_ends and data[:1] in (b"P", b"B"):
                if other not in self.held:
                    self.selector.unregister(other)
                    self.held.add(other)
            if data:
                other.sendall(data)
                return
        except OSError:
            pass
        self.drop(end)
        self.drop(other)

    def drop(self, end):
        """A reset, not a farewell."""
        if self.peers.pop(end, None) and end not in self.held:
            self.selector.unregister(end)
        self.held.discard(end)
        self.servers_ends.discard(end)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()

    def lose_all(self):
        now = time.monotonic()
        while self.peers:
            end, _ = self.peers.popitem()
            self.selector.unregister(end)
            self.lost[end] = float("inf") if end in self.servers_ends else now + KEEPALIVE

    def bury(self):
        """The servers' ends stay open; the database's do not for ever."""
        for end in [end for end, due in self.lost.items() if due < time.monotonic()]:
            del self.lost[end]
            self.drop(end)

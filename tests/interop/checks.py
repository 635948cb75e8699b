"""One line per check, and a count at the end."""

import json
import sys
from pathlib import Path

# For every wait on the server, in seconds.
TIMEOUT = 10


def tokens():
    return json.loads(Path(sys.argv[1]).read_text())


class Checks:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def __call__(self, name, test, *args, **options):
        try:
            test(*args, **options)
        except Exception as error:
            self.failed += 1
            print(f"FAILED  {name}: {type(error).__name__}: {error}")
        else:
            self.passed += 1
            print(f"ok      {name}")

    def close(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(self.failed > 0)


def equal(got, expected, what):
    if got != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {got!r}")


def holds(condition, what):
    if not condition:
        raise AssertionError(what)

"""The endpoints of a server other than the guarded ones, while something is wrong."""

import time

from fleet import LONGEST, Caller, Token, access_token, made


class Desk:
    """The other endpoints of a server, by turns: what they answer is right, or a 503."""

    def __init__(self, server, fleet, good, revoked):
        self.fleet, self.server, self.good, self.void = fleet, server, good, revoked
        self.wrong, self.made, self.longest, self.refresh_token = [], [], 0, None
        # A round in which every answer was good, and when it began.
        self.well = 0
        self.app = made(Caller(server).bttns(), "a token of 2bttns").json()

    def is_well(self, since):
        return self.well > since

    def turn(self):
        caller, began = Caller(self.server), time.monotonic()
        steps = [lambda call=call, pick=pick: self.token(call, pick) for _, _, call, pick in caller.systems()]
        steps += [
            lambda: self.pat(caller),
            lambda: self.introspected(caller, self.good[0], True),
            lambda: self.introspected(caller, self.good[1], True),
            lambda: self.introspected(caller, self.void, False),
            lambda: self.rotated(caller),
            lambda: self.probed(caller),
            lambda: self.always(caller.jwks()),
            lambda: self.always(caller.line.send("GET", "/healthz")),
        ]
        if all([step() for step in steps]):
            self.well = began

    def token(self, call, pick):
        answer = call()
        if self.is_good(answer, call.__name__):
            self.keep(Token("JWT", pick(answer)))
            return True
        return False

    def pat(self, caller):
        answer = caller.make_pat(self.fleet.bearer)
        if self.is_good(answer, "make_pat"):
            body = answer.json()
            self.keep(Token("PAT", body["plain_token"], body["personal_access_token"]["id"]))
            return True
        return False

    def keep(self, token):
        """The last ones: the most likely to have been made on the edge."""
        self.made = self.made[-40:] + [token]

    def introspected(self, caller, token, active):
        answer = caller.introspect(token.text)
        if not self.is_good(answer, f"introspection of {token}"):
            return False
        if answer.json()["active"] != active:
            self.wrong.append(f"{self.server.name}, introspection of {token}: {answer}")
        return True

    def rotated(self, caller):
        """After a 503, nobody knows whether the token was spent; the next grant begins anew."""
        token = self.refresh_token
        answer = caller.rotate(token) if token else caller.begin_grant()
        self.refresh_token = None
        if self.is_good(answer, "rotation" if token else "the begin of a grant"):
            self.refresh_token = answer.json()["refresh_token"]
            self.keep(Token("JWT", access_token(answer)))
            return True
        return False

    def probed(self, caller):
        headers = {"Authorization": f"Bearer {self.app}"}
        answer = caller.line.send("GET", "/api/authentication/checkAuthType", headers)
        return self.is_good(answer, "checkAuthType")

    def always(self, answer):
        if answer.status != 200:
            self.wrong.append(f"{self.server.name}: {answer}")
        return answer.status == 200

    def is_good(self, answer, what):
        took = answer.got - answer.sent
        self.longest = max(self.longest, took)
        if took > LONGEST or not (answer.status == 200 or answer.is_outage()):
            self.wrong.append(f"{self.server.name}, {what}: {answer} after {took:.1f} s")
        return answer.status == 200

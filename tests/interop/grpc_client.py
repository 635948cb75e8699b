"""The health service, called with grpcio."""

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from checks import TIMEOUT, Checks, equal, holds, tokens

SERVING = health_pb2.HealthCheckResponse.SERVING
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED


class Client:
    """One connection; the credentials of a call go out as one metadata entry each."""

    def __init__(self, address):
        self.channel = grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)])
        self.stub = health_pb2_grpc.HealthStub(self.channel)

    def check(self, *credentials, service=""):
        return self.stub.Check(request(service), metadata=entries(credentials), timeout=TIMEOUT).status

    def watch(self, *credentials):
        """The first message of the stream."""
        stream = self.stub.Watch(request(""), metadata=entries(credentials), timeout=TIMEOUT)
        try:
            return next(stream).status
        finally:
            stream.cancel()


def request(service):
    return health_pb2.HealthCheckRequest(service=service)


def entries(credentials):
    return [("authorization", credential) for credential in credentials]


def serves(call, *credentials):
    equal(call(*credentials), SERVING, "status")


def refuses(call, *credentials, code=UNAUTHENTICATED, saying=""):
    try:
        answer = call(*credentials)
    except grpc.RpcError as error:
        message = error.details()
        equal(error.code(), code, f"code (message {message!r})")
        holds(message, "the message is empty")
        # grpcio's own words for a response that is plain HTTP name its status.
        holds("http" not in message.lower(), f"the message is of HTTP: {message!r}")
        holds(saying in message, f"the message does not say {saying!r}: {message!r}")
        holds(not any(credential in message for credential in credentials), "the message holds the credential")
    else:
        raise AssertionError(f"expected {code}, got an answer: {answer}")


def reports_not_found(client, credential):
    try:
        client.check(credential, service="absent")
    except grpc.RpcError as error:
        equal(error.code(), grpc.StatusCode.NOT_FOUND, "code")
    else:
        raise AssertionError("expected NOT_FOUND, got an answer")


def main():
    checks, all_tokens = Checks(), tokens()

    printed = all_tokens["printed"]
    client = Client(printed["address"])
    good, forged, expired = (f"Bearer {printed[name]}" for name in ("good", "forged", "expired"))
    checks("Check, good token", serves, client.check, good)
    checks("Check, scheme in small letters", serves, client.check, good.replace("Bearer", "bearer"))
    checks("Check, no token", refuses, client.check)
    checks("Check, forged token", refuses, client.check, forged)
    checks("Check, expired token", refuses, client.check, expired, saying="expired")
    checks("Check, another scheme", refuses, client.check, "Basic YWxpY2U6c2VjcmV0")
    checks("Check, a scheme alone", refuses, client.check, "Bearer")
    checks("Check, two entries, good and good", refuses, client.check, good, good)
    checks("Check, two entries, good and forged", refuses, client.check, good, forged)
    checks("Check, two entries, forged and good", refuses, client.check, forged, good)
    checks("Check, two tokens in one entry", refuses, client.check, f"{good}, {good}")
    checks("Watch, good token", serves, client.watch, good)
    checks("Watch, no token", refuses, client.watch)
    checks("Watch, expired token", refuses, client.watch, expired, saying="expired")
    checks("Watch, two entries", refuses, client.watch, good, good)
    checks("Check of an absent service, good token: the service's own error", reports_not_found, client, good)
    checks("Check, good token, after all refusals", serves, client.check, good)

    minted = all_tokens["minted"]
    client = Client(minted["address"])
    for name in ("read", "read_write"):
        checks(f"Watch, scope {name}", serves, client.watch, f"Bearer {minted[name]}")
    for name in ("write", "no_scope"):
        bearer = f"Bearer {minted[name]}"
        checks(f"Check, scope {name}", serves, client.check, bearer)
        checks(f"Watch, scope {name}", refuses, client.watch, bearer, code=PERMISSION_DENIED, saying="scope")
    checks("Check, expired HS256 token", refuses, client.check, f"Bearer {minted['expired']}", saying="expired")
    for name, token in minted["refused"].items():
        checks(f"Check, {name}", refuses, client.check, f"Bearer {token}")
    checks("Check, a token of the other server", refuses, client.check, good)
    checks.close()


main()

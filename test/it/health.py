"""health.py names PORT           - the answer to Check for each name, and to List: a line each
health.py watch PORT           - what Watch says, a line each, until its end
health.py poll GRPC HEALTH HTTP   - asks all four for health again and again, until eppd has gone

poll asks /readyz, then Check of every name and List on both gRPC ports, then looks at what Watch said
on both, then /readyz again. Where /readyz said the same twice, all in between must agree. Prints a
line for each state that was seen, and in the end how many rounds there were; exit 1 after any that did
not agree.
"""
import http.client
import sys

from extproc import PROCESSOR, deep, field, fields
from h2 import Connection

NAMES = ["liveness", "readiness", "", PROCESSOR, "inference-extension", "anything"]
WORDS = {b"\x08\x01": "SERVING", b"\x08\x02": "NOT_SERVING", b"\x08\x03": "SERVICE_UNKNOWN"}


class Gone(Exception):
    pass


class Service:
    """Watch has a connection of its own: nothing else may make eppd send what it has for it."""

    def __init__(self, port):
        self.c, self.w = Connection(port), Connection(port)
        self.watch = self.call("Watch", b"", self.w)
        self.live = self.call("Watch", field(1, b"liveness"), self.w)

    def call(self, method, message, where=None):
        c = where or self.c
        stream = c.open(f"/grpc.health.v1.Health/{method}")
        c.say(stream, message, not where)
        if not c.wait(lambda: c.messages[stream]):
            raise Gone(method)
        return stream

    def check(self, name):
        return WORDS[self.c.messages[self.call("Check", field(1, name.encode()) if name else b"")][-1]]

    def listed(self):
        answer = self.c.messages[self.call("List", b"")][-1]
        return {deep(e, 1).decode(): WORDS[deep(e, 2)] for n, e in fields(answer) if n == 1}

    def watched(self, stream):
        while self.w.read(0):
            pass
        if self.w.over(stream):
            raise Gone("Watch")
        return WORDS[self.w.messages[stream][-1]]


def page(port, path):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        c.request("GET", path)
        answer = c.getresponse()
        return answer.status, answer.read().decode().strip()
    except OSError as e:
        raise Gone(path) from e
    finally:
        c.close()


def round_of(services, port):
    """[(who, what)] of everything but /readyz, and what should be said by those that follow it."""
    said = [("/healthz", page(port, "/healthz") == (200, "ok"), True)]
    for where, s in services.items():
        for name in NAMES:
            said.append((f"{where} Check {name!r}", s.check(name), name == "liveness"))
        said += [(f"{where} List {k}", v, k == "liveness") for k, v in s.listed().items()]
        said.append((f"{where} Watch", s.watched(s.watch), False))
        said.append((f"{where} Watch liveness", s.watched(s.live), True))
    return said


def poll(grpc, health, port):
    services, rounds, changes, bad, last = None, 0, 0, 0, None
    try:
        services = {"9002": Service(grpc), "9003": Service(health)}
        while True:
            before = page(port, "/readyz")
            said = round_of(services, port)
            if page(port, "/readyz") != before:
                changes += 1
                continue
            rounds += 1
            if before != last:
                print(*before, flush=True)
                last = before
            want = "SERVING" if before[0] == 200 else "NOT_SERVING"
            for who, what, live in said:
                if what is not True and what != ("SERVING" if live else want):
                    print(f"{who}: {what}, while /readyz says {before}", flush=True)
                    bad += 1
    except Gone as e:
        print("gone:", e)
    print(f"rounds {rounds}, changes within one {changes}, disagreements {bad}")
    return bad > 0 or rounds == 0


def names(port):
    s = Service(port)
    for name in NAMES:
        print(f"{name or '(empty)'} {s.check(name)}")
    print("List", " ".join(sorted(s.listed())))


def watch(port):
    s, said = Service(port), 0
    while not s.w.over(s.watch):
        s.w.read(0.1)
        for message in s.w.messages[s.watch][said:]:
            print(WORDS[message], flush=True)
            said += 1
    print("reset" if s.watch in s.w.resets else "over")


if sys.argv[1] == "names":
    names(int(sys.argv[2]))
elif sys.argv[1] == "watch":
    watch(int(sys.argv[2]))
else:
    sys.exit(poll(*map(int, sys.argv[2:5])))

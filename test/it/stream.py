"""stream.py PORT STOP [tls] - one ext_proc stream in the middle of its response: a chunk every 20 ms,
each answered, until the file STOP is there; then its end.

Prints what happens as it happens: open, goaway LAST CODE MS (since it was
connected), reset CODE, closed, done CHUNKS. Exit 0: the
stream came to its own end.
"""
import os
import ssl
import sys
import time

from extproc import DUPLEX, PROCESSOR, body, headers, kinds
from h2 import Connection


def context():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    c.set_alpn_protocols(["h2"])
    return c


class Watched(Connection):
    def __init__(self, *args):
        super().__init__(*args)
        self.began = time.monotonic()

    def take(self, kind, flags, stream, payload):
        told = len(self.goaways)
        super().take(kind, flags, stream, payload)
        for last, code in self.goaways[told:]:
            print("goaway", last, code, int(1000 * (time.monotonic() - self.began)), flush=True)


def main():
    port, stop = int(sys.argv[1]), sys.argv[2]
    c = Watched(port, context() if "tls" in sys.argv else None)
    s = c.open(f"/{PROCESSOR}/Process")
    answers = c.messages[s]

    def answered(message, count):
        want = len(answers) + count
        c.say(s, message)
        return c.wait(lambda: len(answers) >= want or c.over(s)) and len(answers) >= want

    chunks = 0
    going = answered(headers(2, [(":method", "GET"), (":path", "/v1/models")], True, DUPLEX), 1)
    going = going and kinds(answers) == [1]  # a pick, not a refusal
    going = going and answered(headers(3, [(":status", "200")], False), 1)
    print("open" if going else "not routed", flush=True)
    while going and not os.path.exists(stop):
        going = answered(body(5, b"data: x\n\n", False), 1)
        chunks += going
        time.sleep(0.02)
    going = going and answered(body(5, b"", True), 1)
    c.finish(s)
    going = going and c.wait(lambda: s in c.ended)
    if s in c.resets and not going:
        print("reset", c.resets[s])
    print("done" if going else "cut", chunks)
    if c.goaways:  # the server closes by itself
        c.wait(lambda: c.closed, 3)
    if c.closed:
        print("closed")
    sys.exit(not going)


main()

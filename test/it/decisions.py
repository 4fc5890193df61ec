"""decisions.py ask ID MODEL [NAME VALUE]...   one request as a gateway shows it, as gRPC frames, to
                                                stdout; further headers as NAME VALUE
decisions.py see URL [EXPRESSION]               reads a page of decisions as JSON; EXPRESSION over d (its
                                                decisions) and page must hold
The bytes of ID, MODEL and values go in as they are: the argument may be anything but NUL."""
import json
import os
import sys
import urllib.request


def field(number, value):
    size, out = len(value), b""
    while size >= 0x80:
        out, size = out + bytes([size & 0x7F | 0x80]), size >> 7
    return bytes([number << 3 | 2]) + out + bytes([size]) + value


def frame(message):
    return b"\0" + len(message).to_bytes(4, "big") + message


def ask(request_id, model, *more):
    pairs = [(b":method", b"POST"), (b":path", b"/v1/chat/completions"), (b"x-request-id", request_id),
             *zip(more[::2], more[1::2])]
    rows = b"".join(field(1, field(1, k) + field(3, v)) for k, v in pairs)
    body = b'{"model":"' + model + b'","messages":[{"role":"user","content":"hi"}]}'
    sys.stdout.buffer.write(frame(field(2, field(1, rows)) + b"\x5a\x04\x08\x04\x10\x04")
                            + frame(field(4, field(1, body) + b"\x10\x01")))


def see(url, expression="True"):
    with urllib.request.urlopen(url, timeout=60) as answer:
        page = json.loads(answer.read().decode("utf-8"))
    d = page.get("decisions", [])
    if not eval(expression, {"page": page, "d": d}):  # of the test that calls this
        sys.exit(f"not so: {expression}\n{json.dumps(page, indent=1)[:3000]}")


what, *arguments = sys.argv[1:]
if what == "ask":
    ask(*[os.fsencode(a) for a in arguments])
else:
    see(*arguments)

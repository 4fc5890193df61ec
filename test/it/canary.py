"""canary.py CASE - one ext_proc stream as gRPC frames on stdout, with CANARY wherever users' secrets are."""
import sys

from extproc import DUPLEX, body, headers

TOO_LARGE = 70000  # more than canary.sh lets a body have


def frame(message):
    return b"\0" + len(message).to_bytes(4, "big") + message


REQUEST = headers(2, [
    (":method", "POST"), (":path", "/v1/chat/completions?key=CANARY-query"), (":authority", "CANARY-host"),
    ("authorization", "Bearer CANARY-bearer"), ("cookie", "s=CANARY-cookie"),
    ("x-api-key", "CANARY-key"), ("content-type", "application/json")], config=DUPLEX)
ANSWER = headers(3, [(":status", "200"), ("set-cookie", "CANARY-set"), ("content-type", "application/json")])
PROMPT = b'{"model":"%s","messages":[{"role":"user","content":"CANARY-prompt"}],"user":"CANARY-user"}'
TEXT = b'{"choices":[{"message":{"content":"CANARY-text"}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}'
EVENTS = b'data: {"choices":[{"delta":{"content":"CANARY-delta"}}]}\n\ndata: {"CANARY": \n\ndata: [DONE]\n\n'

CASES = {
    "whole": [REQUEST, body(4, PROMPT % b"known"), ANSWER, body(5, TEXT)],
    "split": [REQUEST] + [body(4, bytes([c]), False) for c in PROMPT % b"known"] + [body(4, b""), ANSWER]
             + [body(5, bytes([c]), False) for c in TEXT] + [body(5, b"")],
    "events": [REQUEST, body(4, PROMPT % b"known"),
               headers(3, [(":status", "200"), ("content-type", "text/event-stream")]), body(5, EVENTS)],
    "failed": [REQUEST, body(4, PROMPT % b"known"), headers(3, [(":status", "500"), ("x-why", "CANARY-why")]),
               body(5, b"CANARY-stack")],
    "odd-answer": [REQUEST, body(4, PROMPT % b"known"), ANSWER, body(5, b'{"usage": CANARY-json')],
    "unknown": [REQUEST, body(4, PROMPT % b"unknown")],
    "not-json": [REQUEST, body(4, b'CANARY-plain')],
    "cut-json": [REQUEST, body(4, (PROMPT % b"known")[:-5])],
    "bad-string": [REQUEST, body(4, b'{"model":"known","x":"CANARY-string\x01"}')],
    "model-not-text": [REQUEST, body(4, b'{"model":{"CANARY-object":1}}')],
    "no-model": [REQUEST, body(4, b'{"prompt":"CANARY-nomodel"}')],
    "too-large": [REQUEST, body(4, b'{"prompt":"' + b"CANARY-large" * (TOO_LARGE // 12) + b'"}')],
    "odd-order": [body(4, b"CANARY-first"), REQUEST],
    "bad-protobuf": [b"\x12\xff\xff\xff\x0fCANARY-proto"],
    "stopped": [REQUEST, body(4, b'{"prompt":"CANARY-half', False)],
}
if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(*CASES)
    else:
        sys.stdout.buffer.write(b"".join(frame(m) for m in CASES[sys.argv[1]]))

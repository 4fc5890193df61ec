"""steady.py PORT SECONDS THREADS - chats one after the other on each of so many connections; prints "ok N"
and "failed N", and why the first few failed."""
import http.client
import json
import sys
import threading
import time

PORT, SECONDS, THREADS = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
BODY = json.dumps({"model": "m", "max_tokens": 2, "messages": [{"role": "user", "content": "hi"}]})
good, bad = [0] * THREADS, []


def run(i):
    until, c = time.monotonic() + SECONDS, None
    while time.monotonic() < until:
        try:
            c = c or http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
            c.request("POST", "/v1/chat/completions", BODY, {"Content-Type": "application/json"})
            answer = c.getresponse()
            text = answer.read()
            if answer.status == 200 and b"usage" in text:
                good[i] += 1
            else:
                bad.append(f"{answer.status} {text[:200]}")
        except (OSError, http.client.HTTPException) as e:
            bad.append(f"{type(e).__name__} {e}")
            c = None


threads = [threading.Thread(target=run, args=(i,)) for i in range(THREADS)]
for t in threads:
    t.start()
for t in threads:
    t.join()
print("ok", sum(good))
print("failed", len(bad))
for why in bad[:5]:
    print("#", why)

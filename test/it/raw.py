"""raw.py MODE PORT [ARG] - HTTP peers that no library would be, for admin.sh.
send    what stdin has is sent; prints the status and the body's first line, or "cut"
drip    a request line and then a byte of a header every 0.2 s; prints the status, and whole seconds
many    ARG connections, 0.1 s later a request on each; prints how many had which status
sip     a byte of ARG (a path) is read per second; prints whole seconds until the end
sleepy  16 KiB of ARG at most are read every 0.05 s; prints the bytes of the body
leave   100 requests for ARG whose sender is gone at once"""
import collections
import select
import socket
import sys
import time

MODE, PORT = sys.argv[1], int(sys.argv[2])
ESTABLISHED = 1
ARG = sys.argv[3] if len(sys.argv) > 3 else ""


def connect(receive=0):
    s = socket.socket()
    s.settimeout(30)
    if receive:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    s.connect(("127.0.0.1", PORT))
    return s


def read(s, most=65536):
    """All there is to come; a reset is an end."""
    got = b""
    try:
        while True:
            piece = s.recv(most)
            if not piece:
                return got
            got += piece
    except OSError:
        return got


def told(got):
    head, _, body = got.partition(b"\r\n\r\n")
    if not head:
        return "cut"
    return (head.split(b" ")[1] + b" " + body.split(b"\n")[0]).decode().strip()


def request(path, version="1.1"):
    return f"GET {path} HTTP/{version}\r\n\r\n".encode()


def send():
    s = connect()
    try:
        s.sendall(sys.stdin.buffer.read())
    except OSError:
        pass  # an answer came in the middle of it
    print(told(read(s)))


def drip():
    s, begun = connect(), time.time()
    s.sendall(b"GET / HTTP/1.1\r\nX: ")
    while not select.select([s], [], [], 0.2)[0]:
        s.sendall(b"x")
    print(told(read(s)).split()[0], round(time.time() - begun))


def many():
    peers = [connect() for _ in range(int(ARG))]
    time.sleep(0.1)
    seen = collections.Counter()
    for s in peers:
        try:
            s.sendall(request("/healthz"))
        except OSError:
            pass
        seen[told(read(s)).split()[0]] += 1
    print(" ".join(f"{code} x{n}" for code, n in sorted(seen.items())))


def sip():
    s, begun = connect(4096), time.time()
    s.sendall(request(ARG))
    # What has arrived can be read long after a reset: the connection's state says when that came.
    while s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED:
        s.recv(1)
        time.sleep(1)
    print(int(time.time() - begun))


def sleepy():
    s = connect(16384)
    s.sendall(request(ARG, "1.0"))
    got = b""
    while True:
        piece = s.recv(16384)
        if not piece:
            break
        got += piece
        time.sleep(0.05)
    print(len(got.partition(b"\r\n\r\n")[2]))


def leave():
    for _ in range(100):
        s = connect()
        s.sendall(request(ARG))
        s.close()


globals()[MODE]()

#!/usr/bin/env python3
"""greedy.py PORT PID calls|pings: a peer that sends for ever and reads nothing; at most 64 MB, or
until it is not read from for two seconds. Fails when process PID has grown by 48 MB meanwhile."""
import socket
import sys


def rss_kb(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def frame(kind, flags, stream, payload):
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


def field(name, value):
    return b"\x40" + bytes([len(name)]) + name + bytes([len(value)]) + value


def calls():
    """Each is refused, in ten bytes: the names are in the table after the first."""
    first = b"\x83\x86" + field(b":path", b"/a/b") + field(b":authority", b"x")
    first += field(b"content-type", b"application/grpc")
    stream = 1
    while True:
        block = first if stream == 1 else b"\x83\x86\xc0\xbf\xbe"
        yield frame(1, 4, stream, block)
        stream += 2


def pings():
    """After a thousand unread answers the session is given up."""
    while True:
        yield frame(6, 0, 0, b"12345678")


def main():
    port, pid = int(sys.argv[1]), int(sys.argv[2])
    source = {"calls": calls, "pings": pings}[sys.argv[3]]()
    before, sent = rss_kb(pid), 0
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.connect(("127.0.0.1", port))
    peer.settimeout(2)
    peer.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
    try:
        while sent < 64 << 20:
            piece = b"".join(next(source) for _ in range(4096))
            peer.sendall(piece)
            sent += len(piece)
    except OSError as e:
        print(e)
    grown = rss_kb(pid) - before
    print(f"sent {sent} bytes, the process has grown by {grown} kB")
    sys.exit(grown > 48 << 10)


main()

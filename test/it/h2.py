"""h2.py - an HTTP/2 client for the tests that shows what other clients hide: GOAWAY, RST_STREAM, the
end of a connection. gRPC messages only; header blocks of answers are not read."""
import select
import socket

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8


def frame(kind, flags, stream, payload=b""):
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


def literal(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


class Connection:
    """tls: an ssl.SSLContext; session: one to be resumed."""

    def __init__(self, port, tls=None, session=None):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="eppd.test", session=session)
        self.next, self.buffer = 1, b""
        self.goaways, self.resets, self.ended = [], {}, set()  # (last, code); code by stream; streams
        self.messages, self.partial = {}, {}
        self.closed = False
        window = (1 << 30).to_bytes(4, "big")
        self.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"\x00\x04" + window)
                  + frame(WINDOW_UPDATE, 0, 0, window))

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            self.closed = True

    def open(self, path):
        stream, self.next = self.next, self.next + 2
        block = b"\x83\x86" + literal(b":path", path.encode()) + literal(b":authority", b"eppd")
        block += literal(b"content-type", b"application/grpc") + literal(b"te", b"trailers")
        self.messages[stream], self.partial[stream] = [], b""
        self.send(frame(HEADERS, 4, stream, block))
        return stream

    def say(self, stream, message, end=False):
        data = b"\x00" + len(message).to_bytes(4, "big") + message
        self.send(frame(DATA, 1 if end else 0, stream, data))

    def finish(self, stream):
        self.send(frame(DATA, 1, stream))

    def over(self, stream):
        return self.closed or stream in self.ended or stream in self.resets

    def wait(self, condition, seconds=10):
        """Reads until condition() is true; False when it is not in time, or the connection ends."""
        rounds = int(seconds * 20)
        while not condition():
            if self.closed or rounds == 0:
                return False
            if not self.read(0.05):
                rounds -= 1
        return True

    def read(self, seconds):
        """Takes what has come. False: nothing."""
        pending = getattr(self.sock, "pending", lambda: 0)()
        if not pending and not select.select([self.sock], [], [], seconds)[0]:
            return False
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        self.closed = self.closed or not data
        self.buffer += data
        while len(self.buffer) >= 9:
            n = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + n:
                break
            kind, flags = self.buffer[3], self.buffer[4]
            stream = int.from_bytes(self.buffer[5:9], "big") & 0x7FFFFFFF
            payload, self.buffer = self.buffer[9:9 + n], self.buffer[9 + n:]
            self.take(kind, flags, stream, payload)
        return bool(data)

    def take(self, kind, flags, stream, payload):
        if kind == SETTINGS and not flags & 1:
            self.send(frame(SETTINGS, 1, 0))
        elif kind == PING and not flags & 1:
            self.send(frame(PING, 1, 0, payload))
        elif kind == GOAWAY:
            self.goaways.append((int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big")))
        elif kind == RST_STREAM:
            self.resets[stream] = int.from_bytes(payload, "big")
        elif kind == DATA:
            data = self.partial[stream] + payload
            while len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[1:5], "big"):
                n = int.from_bytes(data[1:5], "big")
                self.messages[stream].append(data[5:5 + n])
                data = data[5 + n:]
            self.partial[stream] = data
        if kind in (DATA, HEADERS) and flags & 1:
            self.ended.add(stream)

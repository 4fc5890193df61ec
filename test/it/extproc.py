"""extproc.py - ext_proc messages, written and read by hand; for the clients of the tests."""

PROCESSOR = "envoy.service.ext_proc.v3.ExternalProcessor"
DUPLEX = b"\x5a\x04\x08\x04\x10\x04"  # protocol_config: full duplex, both ways


def varint(n):
    out = b""
    while n >= 0x80:
        out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
    return out + bytes([n])


def field(number, value):
    return varint(number << 3 | 2) + varint(len(value)) + value


def headers(number, pairs, end=False, config=b""):
    rows = b"".join(field(1, field(1, k.encode()) + field(3, v.encode())) for k, v in pairs)
    return field(number, field(1, rows) + (b"\x18\x01" if end else b"")) + config


def body(number, data, end=True):
    return field(number, (field(1, data) if data else b"") + (b"\x10\x01" if end else b""))


def fields(data):
    """[(number, value)] of one message; varints and bytes are all that eppd writes."""
    out, at = [], 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
            if byte < 0x80:
                return value

    while at < len(data):
        tag, value = take(), take()
        if tag & 7 == 2:
            value, at = data[at:at + value], at + value
        out.append((tag >> 3, value))
    return out


def deep(data, *path):
    for number in path:
        data = dict(fields(data)).get(number, b"")
    return data


def kinds(answers):
    return [next(n for n, _ in fields(a) if n < 8) for a in answers]

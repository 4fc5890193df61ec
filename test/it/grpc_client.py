"""grpc_client.py TARGET LIMIT [CERT NAME] - a grpcio client against eppd.

Messages are written by hand. LIMIT is eppd's max-request-body. Prints "pass WHAT" or
"fail WHAT: why" per case, as clients.sh wants it.
"""
import queue
import sys

import grpc

from extproc import DUPLEX, PROCESSOR, body, deep, field, fields, headers, kinds

SECONDS = 20
POST = [(":method", "POST"), (":path", "/v1/chat/completions"),
        ("content-type", "application/json")]
GET = [(":method", "GET"), (":path", "/v1/models")]
JSON = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * 100000 + b'"}]}'


class Client:
    def __init__(self, target, limit, cert=None, name=None):
        self.limit = int(limit)
        options = [("grpc.max_receive_message_length", -1)]
        if cert:
            with open(cert, "rb") as f:
                credentials = grpc.ssl_channel_credentials(f.read())
            options.append(("grpc.ssl_target_name_override", name))
            self.channel = grpc.secure_channel(target, credentials, options)
        else:
            self.channel = grpc.insecure_channel(target, options)

    def unary(self, method, message=b"", **more):
        return self.channel.unary_unary("/grpc.health.v1.Health/" + method)(
            message, timeout=SECONDS, **more)

    def stream(self, messages, path=f"/{PROCESSOR}/Process", **more):
        call = self.channel.stream_stream(path)(iter(messages), timeout=SECONDS, **more)
        answers = list(call)
        assert call.code() == grpc.StatusCode.OK, call.code()
        return answers

    # Each case below is run once; its docstring is the name of the result.

    def case_check(self):
        """health Check of every known name"""
        for name in ["", "liveness", "readiness", "inference-extension", PROCESSOR]:
            answer = self.unary("Check", field(1, name.encode()) if name else b"")
            assert answer == b"\x08\x01", (name, answer)

    def case_list(self):
        """health List names what there is"""
        listed = {deep(e, 1).decode(): deep(e, 2) for n, e in fields(self.unary("List")) if n == 1}
        assert listed == {PROCESSOR: b"\x08\x01"}, listed

    def case_watch(self):
        """health Watch gives a first status and stays"""
        call = self.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"", timeout=SECONDS)
        assert next(call) == b"\x08\x01"
        assert call.is_active()
        call.cancel()

    def case_long_name(self):
        """health Check of a name of 1 MB is RESOURCE_EXHAUSTED"""
        self.refused("RESOURCE_EXHAUSTED", lambda: self.unary("Check", field(1, b"x" * 1000000)))

    def case_get(self):
        """a GET gets a pick"""
        answers = self.stream([headers(2, GET, True, DUPLEX)])
        assert kinds(answers) == [1], kinds(answers)
        self.has_pick(answers[0])

    def case_duplex(self):
        """a full-duplex body comes back whole behind its pick; half-close right after it"""
        cuts = [JSON[i:i + 7000] for i in range(0, len(JSON), 7000)]
        answers = self.stream([headers(2, POST, False, DUPLEX)] + [body(4, c, False) for c in cuts]
                              + [body(4, b"", True)])
        self.has_pick(answers[0])
        parts = [fields(deep(a, 3, 1, 3, 3)) for a in answers[1:]]
        assert b"".join(dict(p).get(1, b"") for p in parts) == JSON
        assert [dict(p).get(2, 0) for p in parts] == [0] * (len(parts) - 1) + [1]

    def case_conversation(self):
        """request and response, message by message"""
        said = queue.Queue()
        call = self.channel.stream_stream(f"/{PROCESSOR}/Process")(
            iter(said.get, None), timeout=SECONDS)
        seen = []
        for message, answers in [
                (headers(2, POST, False, DUPLEX), 0), (body(4, JSON, True), 3),
                (headers(3, [(":status", "200")], False), 1), (body(5, b"hello", False), 1),
                (body(5, b"", True), 1), (None, 0)]:
            said.put(message)
            seen += [next(call) for _ in range(answers)]
        assert list(call) == [] and call.code() == grpc.StatusCode.OK
        assert kinds(seen) == [1, 3, 3, 2, 4, 4], kinds(seen)

    def case_nothing(self):
        """half-close without a message is OK"""
        assert self.stream([]) == []

    def case_abandoned(self):
        """half-close behind the headers of a body that never comes is OK, without a pick"""
        assert self.stream([headers(2, POST, False, DUPLEX)]) == []

    def case_bad_json(self):
        """a body that is not JSON gets 400, and the call is OK"""
        answers = self.stream([headers(2, POST, False, DUPLEX), body(4, b'{"model":', True)])
        assert kinds(answers) == [7] and deep(answers[0], 7, 1) == b"\x08\x90\x03", answers

    def case_large_body(self):
        """a message above the limit gets 413"""
        answers = self.stream([headers(2, POST, False, DUPLEX),
                               body(4, b" " * 2 * self.limit, True)])
        assert kinds(answers) == [7] and deep(answers[0], 7, 1) == b"\x08\x9d\x03", answers

    def case_large_first(self):
        """a first message above the limit is RESOURCE_EXHAUSTED"""
        pairs = GET + [("x-large", "x" * 2 * self.limit)]
        self.refused("RESOURCE_EXHAUSTED", lambda: self.stream([headers(2, pairs, True, DUPLEX)]))

    def case_garbage(self):
        """bytes that are no message are INTERNAL"""
        self.refused("INTERNAL", lambda: self.stream([b"\x07\xff\xff"]))

    def case_gzip(self):
        """a compressed message is UNIMPLEMENTED"""
        self.refused("UNIMPLEMENTED", lambda: self.stream(
            [headers(2, GET + [("x", "x" * 2000)], True, DUPLEX)],
            compression=grpc.Compression.Gzip))

    def case_unknown(self):
        """unknown methods and services and reflection are UNIMPLEMENTED"""
        reflection = "ServerReflection/ServerReflectionInfo"
        for path in [f"/{PROCESSOR}/Other", "/no.such.Service/Process",
                     f"/grpc.reflection.v1.{reflection}", f"/grpc.reflection.v1alpha.{reflection}"]:
            self.refused("UNIMPLEMENTED", lambda: self.stream([field(7, b"*")], path))

    def case_cancel(self):
        """100 calls cancelled at some point leave the channel usable"""
        for i in range(100):
            call = self.channel.stream_stream(f"/{PROCESSOR}/Process")(
                iter([headers(2, POST, False, DUPLEX), body(4, JSON, i % 2 == 0)]), timeout=SECONDS)
            if i % 4 == 0:
                next(call)
            call.cancel()
        self.case_get()

    def case_many(self):
        """200 calls at once"""
        calls = [self.channel.stream_stream(f"/{PROCESSOR}/Process")(
            iter([headers(2, POST, False, DUPLEX), body(4, JSON, True)]), timeout=SECONDS)
            for _ in range(200)]
        for call in calls:
            self.has_pick(list(call)[0])

    @staticmethod
    def has_pick(answer):
        mutation = deep(answer, 1, 1, 2)
        assert b"x-gateway-destination-endpoint" in mutation and b"127.0." in mutation, answer
        assert b"127.0." in deep(answer, 8), "no dynamic metadata"

    @staticmethod
    def refused(code, call):
        try:
            call()
        except grpc.RpcError as e:
            assert e.code() == grpc.StatusCode[code], (e.code(), e.details())
        else:
            raise AssertionError("was not refused")


def main():
    client = Client(*sys.argv[1:])
    for name in [n for n in dir(client) if n.startswith("case_")]:
        case = getattr(client, name)
        try:
            case()
        except (AssertionError, grpc.RpcError, StopIteration, LookupError) as e:
            print(f"fail {case.__doc__}: {type(e).__name__} {str(e)[:300]}".replace("\n", " "))
        else:
            print(f"pass {case.__doc__}")
        sys.stdout.flush()


main()

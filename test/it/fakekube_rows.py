#!/usr/bin/env python3
"""fakekube_rows.py PORT TLS_PORT CA TLS_PID FIRST - fakekube against the rows F1 to F28 of what it must reproduce.

One function per row: its docstring is the name of the result line, an exception is a failure. Started by
fakekube.sh; FIRST is the number of the first line. Every row begins with an empty server and all switches at
their defaults.
"""
import email.utils, errno, gzip, http.client, json, os, re, signal, socket, ssl, sys, time, traceback

PORT, TLS_PORT, CA, TLS_PID = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
PODS, APIS = "/api/v1/namespaces/default/pods", "/apis/%s/namespaces/default/%s"
POOLS = APIS % ("inference.networking.k8s.io/v1", "inferencepools")
LEASES = APIS % ("coordination.k8s.io/v1", "leases")


def call(method, path, body=None, headers=(), conn=None):
    """(code, headers, bytes)"""
    conn = conn or http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body)
    conn.request(method, path, data, {"User-Agent": "rows", **dict(headers)})
    answer = conn.getresponse()
    return answer.status, answer.headers, answer.read()


def ask(method, path, body=None, headers=(), want=None):
    code, _, data = call(method, path, body, headers)
    assert want is None and code < 300 or code == want, (method, path, code, data[:300])
    return json.loads(data)


def put(**switches):
    return ask("POST", "/fake/set", switches)


def pods(query="n=1"):
    return int(ask("POST", "/fake/pods?" + query)["resourceVersion"])


def patch(name, body, kind=PODS):
    return ask("PATCH", kind + "/" + name, body, {"Content-Type": "application/merge-patch+json"})


def label(name, **labels):
    return int(patch(name, {"metadata": {"labels": labels}})["metadata"]["resourceVersion"])


def pool(name="a", **spec):
    return {"apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool", "metadata": {"name": name},
            "spec": spec}


class Watch:
    """One watch on a bare socket: sees chunk borders, events, and how the stream ends."""

    def __init__(self, path=PODS, query="", headers="", timeout=5):
        self.sock = socket.create_connection(("127.0.0.1", PORT), timeout)
        self.sock.sendall(("GET %s?watch=1&%s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (path, query, headers)).encode())
        self.data, self.at, self.chunks, self.lines, self.head, self.how = b"", 0, [], 0, None, None

    def fill(self):
        try:
            more = self.sock.recv(1 << 20)
        except ConnectionResetError:
            self.how = "reset"
        except (TimeoutError, socket.timeout):
            self.how = "timeout"
        else:
            self.data, self.at = self.data[self.at:] + more, 0
            self.how = self.how if more else "close"
        return self.how is None

    def headers(self):
        while self.head is None and (b"\r\n\r\n" in self.data or self.fill()):
            if b"\r\n\r\n" in self.data:
                head, _, self.data = self.data.partition(b"\r\n\r\n")
                self.head = head.decode()
        return self.head

    def chunk(self):
        """The next chunk, or None at the end."""
        self.headers()
        while self.how is None:
            end = self.data.find(b"\r\n", self.at)
            size = int(self.data[self.at:end], 16) if end >= 0 else 0
            if end < 0 or len(self.data) < end + 2 + size + 2:
                self.fill()
                continue
            self.at = end + 2 + size + 2
            if not size:
                self.how = "clean"
                break
            self.chunks.append(self.data[end + 2:end + 2 + size])
            self.lines += self.chunks[-1].count(b"\n")
            return self.chunks[-1]
        return None

    def text(self):
        return b"".join(self.chunks)

    def events(self, count):
        """At least count events; fewer when the stream ends or is silent before."""
        while self.lines < count and self.chunk() is not None:
            pass
        return [json.loads(line) for line in self.text().split(b"\n")[:-1] if line]

    def drain(self):
        """All events until now: the server is asked to end all watches when it has sent them."""
        self.headers()
        ask("POST", "/fake/end")
        return self.events(1 << 30)

    def end(self, within=None):
        self.headers()
        self.sock.settimeout(within or self.sock.gettimeout())
        while self.chunk() is not None:
            pass
        return self.how


def short(events):
    metas = [(e["type"], e["object"]["metadata"]) for e in events]
    return [(kind, meta.get("name"), meta["resourceVersion"]) for kind, meta in metas]


def f1():
    """one counter for all resources, decimal strings, also above 2^53 and 2^63"""
    first = pods()
    made = ask("POST", POOLS, pool())["metadata"]["resourceVersion"]
    assert int(made) == first + 1, made
    for big in (2 ** 53 + 1, 2 ** 63 + 7):
        put(rv=big)
        made = ask("POST", POOLS, pool("b%d" % big))["metadata"]["resourceVersion"]
        assert made == str(big + 1), made


def f2():
    """a list's version is the counter, past its items when others wrote"""
    rv = pods("n=3")
    ask("POST", POOLS, pool())
    body = ask("GET", PODS)
    assert int(body["metadata"]["resourceVersion"]) == rv + 1
    assert max(int(i["metadata"]["resourceVersion"]) for i in body["items"]) == rv
    assert "kind" not in body["items"][0] and ask("GET", POOLS)["items"][0]["kind"] == "InferencePool"


def f3():
    """a watch sees the changes after X in order, with types rewritten for its selector"""
    rv = pods("n=2&labels=app=a")
    steps = [label("pod-0", app="b"), label("pod-0", x="1"), label("pod-1", app="b"), label("pod-0", app="a")]
    got = short(Watch(query="resourceVersion=%d&labelSelector=app%%3Db&timeoutSeconds=1" % rv).events(4))
    names = [("ADDED", "pod-0"), ("MODIFIED", "pod-0"), ("ADDED", "pod-1"), ("DELETED", "pod-0")]
    assert got == [n + (str(s),) for n, s in zip(names, steps)], got
    one = Watch(query="resourceVersion=%d&fieldSelector=metadata.name%%3Dpod-1" % rv)
    assert len(one.drain()) == 1
    other = Watch("/api/v1/namespaces/other/pods", "resourceVersion=%d" % rv)
    assert other.drain() == []


SELECTORS = [  # text, pods of: a {app: x, n: 5}, b {app: y, e: ""}, c {tier/z: 1}
    ("app", "ab"), ("!app", "c"), ("app=x", "a"), ("app==x", "a"), ("app!=x", "bc"), ("app in (x,y)", "ab"),
    ("app notin (x)", "bc"), ("n>4", "a"), ("n<5", ""), ("n > 4,app", "a"), ("e=", "b"), ("e in (q,,r)", "b"),
    ("", "abc"), (" app = x , n ", "a"), ("!app,n", ""), ("tier/z=1", "c"), ("app in (x", None), ("app=x,", None),
    ("n>y", None), ("=x", None), ("app=-x", None), ("a b", None), ("app=x y", None)]


def f3_selectors():
    """the selector grammar, on labels and fields"""
    pods("n=1&name=a&labels=app=x,n=5"), pods("n=1&name=b&labels=app=y,e="), pods("n=1&name=c&labels=tier/z=1")
    for text, want in SELECTORS:
        quoted = "".join(c if c.isalnum() else "%%%02X" % ord(c) for c in text)
        code, _, data = call("GET", PODS + "?labelSelector=" + quoted)
        got = code == 200 and "".join(i["metadata"]["name"][0] for i in json.loads(data)["items"])
        assert got == want or (want is None and code == 400), (text, want, code, got)
    for text, want in (("spec.nodeName=node-a,metadata.name!=a-0", 2), ("status.phase==Failed", 0)):
        assert len(ask("GET", PODS + "?fieldSelector=" + text)["items"]) == want, text
    assert "field label not supported" in ask("GET", PODS + "?fieldSelector=spec.x=1", want=400)["message"]


def f4():
    """DELETED carries the previous object with the version of the deletion; grace and finalizers"""
    rv = pods("n=2")
    ask("DELETE", PODS + "/pod-0")
    ask("DELETE", PODS + "/pod-0?gracePeriodSeconds=0")
    ask("DELETE", PODS + "/pod-1", {"gracePeriodSeconds": 0})
    ask("GET", PODS + "/pod-1", want=404)
    events = Watch(query="resourceVersion=%d&timeoutSeconds=1" % rv).events(3)
    assert [s[0] for s in short(events)] == ["MODIFIED", "DELETED", "DELETED"], short(events)
    assert events[0]["object"]["metadata"]["deletionTimestamp"] and events[2]["object"]["status"]["podIP"]
    assert [s[2] for s in short(events)] == [str(rv + n) for n in (1, 2, 3)]
    ask("POST", POOLS, dict(pool(), metadata={"name": "a", "finalizers": ["x/y"]}))
    ask("DELETE", POOLS + "/a")
    assert ask("GET", POOLS + "/a")["metadata"]["deletionTimestamp"]
    patch("a", {"metadata": {"finalizers": None}}, POOLS)
    ask("GET", POOLS + "/a", want=404)


def f5():
    """history is bounded: an older start gets 200, ERROR 410 and the end"""
    rv = pods()
    put(history=5)
    for n in range(7):
        last = label("pod-0", n=str(n))
    watch = Watch(query="resourceVersion=%d" % rv)
    events = watch.events(1)
    assert " 200 " in watch.head and watch.end() == "clean" and len(events) == 1
    assert (events[0]["type"], events[0]["object"]["code"], events[0]["object"]["reason"]) == ("ERROR", 410, "Expired")
    assert len(Watch(query="resourceVersion=%d" % (last - 5)).drain()) == 5


def f6():
    """version unset or 0: ADDED in shuffled order, no marker"""
    pods("n=50")
    for query in ("", "resourceVersion=0&"):
        events = Watch(query=query + "allowWatchBookmarks=true").drain()
        names = [s[1] for s in short(events) if s[0] == "ADDED"]
        assert len(events) == len(set(names)) == 50 and names != sorted(names)


STREAM = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1&"


def f7():
    """streaming lists with their marker, 422 when off, ERROR 500 of an old etcd, silence"""
    rv = pods("n=3")
    watch = Watch(query=STREAM + "allowWatchBookmarks=true")
    last = watch.events(4)[-1]
    assert last["type"] == "BOOKMARK" and last["object"]["metadata"]["resourceVersion"] == str(rv)
    assert last["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert last["object"]["spec"] == {"containers": None}
    label("pod-1", x="y")
    assert short(watch.events(5))[4][:2] == ("MODIFIED", "pod-1")
    assert len(Watch(query=STREAM).drain()) == 3
    ask("GET", PODS + "?watch=1&sendInitialEvents=true", want=422)
    ask("GET", PODS + "?sendInitialEvents=true", want=422)
    put(streaming="422")
    ask("GET", PODS + "?watch=1&" + STREAM, want=422)
    put(streaming="error500")
    watch = Watch(query=STREAM)
    assert watch.events(9)[0]["object"]["code"] == 500 and watch.end() == "clean"
    put(streaming="stall")
    watch = Watch(query=STREAM)
    assert " 200 " in watch.headers() and watch.end(0.1) == "timeout" and not watch.chunks


def f8():
    """bookmarks on time and before the deadline, none on a quiet resource or when not asked"""
    rv = pods()
    put(bookmark_ms=150, bookmark_lead_ms=100)
    base, marks = "timeoutSeconds=2&resourceVersion=%d" % rv, "&allowWatchBookmarks=true"
    quiet, deaf, asked = Watch(query=base + marks), Watch(query=base), Watch(query=base + marks)
    selected = Watch(query=base + marks + "&labelSelector=app%3Dnone")
    for watch in (quiet, deaf, asked, selected):
        watch.headers()
    put(bookmark_ms=60000, bookmark_lead_ms=300)
    lead = Watch(query=base + marks)
    lead.headers()
    time.sleep(0.4)
    assert ask("GET", "/fake/state")["watches"][0]["sent"] == 0
    quiet.sock.settimeout(0.01)
    assert quiet.events(1) == []
    now = label("pod-0", x="y")
    assert [e["type"] for e in deaf.events(9)] == ["MODIFIED"]
    types = [e["type"] for e in asked.events(9)]
    assert types[0] == "MODIFIED" and 2 <= types.count("BOOKMARK") <= 14, types
    assert set(short(selected.events(9))) == {("BOOKMARK", None, str(now))}
    assert [e["type"] for e in lead.events(9)] == ["MODIFIED", "BOOKMARK"]


def f9():
    """timeoutSeconds to the second, a clean chunked end"""
    rv, begin = pods(), time.monotonic()
    assert Watch(query="timeoutSeconds=1&resourceVersion=%d" % rv).end() == "clean"
    assert 0.95 < time.monotonic() - begin < 3


def f10():
    """chunks: whole, one byte, random, several events, torn; UTF-8 and escapes cut in the middle"""
    rv = pods("n=4")
    query = "resourceVersion=%d&timeoutSeconds=1" % (rv - 4)
    sizes = {}
    for ascii in (False, True):
        for mode in ("whole", "byte", "random", "many", "torn"):
            put(chunks=mode, ascii=ascii)
            watch = Watch(query=query)
            events, sizes[mode] = watch.events(4), [len(c) for c in watch.chunks]
            assert len(events) == 4, (mode, sizes)
            assert "😀" in events[3]["object"]["metadata"]["annotations"]["example.com/note"]
            assert (b"\\ud83d\\ude00" in watch.text()) == ascii
        assert len(sizes["whole"]) == len(sizes["torn"]) == 4 and len(sizes["many"]) == 1, sizes
        assert set(sizes["byte"]) == {1} and 20 < len(sizes["random"]) < sum(sizes["random"]) / 10


def f11():
    """half an event, then the end with and without the final chunk; at once and by a rule"""
    rv = pods()
    for how, end in (("partial", "close"), ("partial_clean", "clean")):
        put(watch_end={"how": how, "events": 1, "times": 1})
        watch = Watch(query="resourceVersion=%d" % rv)
        watch.headers()
        label("pod-0", a=how), label("pod-0", b=how)
        assert watch.end() == end
        lines = watch.text().split(b"\n")
        assert len(lines) == 2 and lines[0].endswith(b"}}") and lines[1].startswith(b'{"type":"MODI')
        put(watch_end={"how": how, "events": 5, "ms": 50, "times": 1})
        assert Watch().end() == end
        watch = Watch()
        watch.events(1)
        ask("POST", "/fake/end?resource=pods&how=" + how)
        assert watch.end() == end and not watch.text().endswith(b"\n")


def f12():
    """headers wait for the first event"""
    rv = pods()
    put(delay_headers=True)
    watch = Watch(query="resourceVersion=%d" % rv, timeout=0.3)
    assert watch.headers() is None and watch.how == "timeout"
    watch.how = None
    watch.sock.settimeout(5)
    label("pod-0", x="y")
    assert len(watch.events(1)) == 1


def pages(limit, query="", between=()):
    """Reads pages until the end, acts after the first; gives (names, versions, sizes) or a refused page's body."""
    names, versions, sizes, token = [], set(), [], ""
    while True:
        code, _, data = call("GET", PODS + "?limit=%d&continue=%s%s" % (limit, token, query))
        body = json.loads(data)
        if code != 200:
            return code, body
        names += [i["metadata"]["name"] for i in body["items"]]
        versions.add(body["metadata"]["resourceVersion"])
        sizes.append(len(body["items"]))
        token = body["metadata"].get("continue", "")
        if not token:
            return names, versions, sizes
        for action in between:
            action()
        between = ()


def f13():
    """paging: one state and version on all pages, an empty page, an expired token and its way out"""
    rv = pods("n=10")
    first = ask("GET", PODS + "?limit=4")["metadata"]
    assert first["remainingItemCount"] == 6
    assert "remainingItemCount" not in ask("GET", PODS + "?limit=4&labelSelector=app")["metadata"]
    remove = lambda: ask("DELETE", PODS + "/pod-9?gracePeriodSeconds=0")
    label("pod-0", half="y"), label("pod-1", half="y")
    assert pages(2, query="&labelSelector=half")[2] == [2, 0]
    rv += 2
    names, versions, sizes = pages(4, between=[remove])
    assert (len(set(names)), versions, sizes) == (10, {str(rv)}, [4, 4, 2])
    put(empty_page=2)
    assert pages(4)[2] == [4, 0, 4, 1]
    put(empty_page=0)
    code, body = pages(4, between=[lambda: put(compact=True)])
    assert (code, body["reason"]) == (410, "Expired")
    rest = ask("GET", PODS + "?limit=9&continue=" + body["metadata"]["continue"])
    assert len(rest["items"]) == 5 and rest["metadata"]["resourceVersion"] == str(rv + 1)
    put(expire_page={"page": 3, "times": 1})
    assert pages(4)[0] == 410 and len(pages(4)[0]) == 9


VERSIONS = [  # query after pods at 1010 and one change at 1011: status, version of the answer
    ("", 200, 1011), ("resourceVersion=0&limit=2", 200, 1011), ("resourceVersion=1010", 200, 1011),
    ("resourceVersion=1010&limit=50", 200, 1010), ("resourceVersion=1010&resourceVersionMatch=Exact", 200, 1010),
    ("resourceVersion=1010&resourceVersionMatch=NotOlderThan&limit=50", 200, 1011),
    ("resourceVersionMatch=Exact", 422, 0), ("resourceVersion=0&resourceVersionMatch=Exact", 422, 0),
    ("resourceVersion=2&resourceVersionMatch=Exact", 410, 0), ("resourceVersion=999999", 504, 0),
    ("resourceVersion=x", 400, 0)]


def f13_versions():
    """the table of resourceVersion and resourceVersionMatch on lists"""
    put(rv=1000)
    ask("POST", "/fake/clear?what=objects")
    assert pods("n=10") == 1010 and label("pod-0", x="y") == 1011
    for query, want, rv in VERSIONS:
        code, head, data = call("GET", PODS + "?" + query)
        body = json.loads(data)
        assert code == want, (query, code, body)
        assert code != 200 or (body["metadata"]["resourceVersion"], len(body["items"])) == (str(rv), 10), query
        assert code != 504 or (body["details"]["causes"][0]["reason"], head["Retry-After"]) == (
            "ResourceVersionTooLarge", "1")


def f14():
    """a list that trickles"""
    pods()
    put(slow={"path": "pods", "bytes": 1000, "ms": 100, "times": 1})
    begin = time.monotonic()
    assert len(ask("GET", PODS)["items"]) == 1 and time.monotonic() - begin > 0.6
    put(fault={"verb": "list", "delay": 0.3, "times": 1})
    begin = time.monotonic()
    assert len(ask("GET", PODS)["items"]) == 1 and 0.3 < time.monotonic() - begin < 2


def f15():
    """Status, text, HTML and empty bodies for every code; Retry-After in seconds and as a date; after, times"""
    for code in (401, 403, 404, 409, 410, 422, 429, 500, 503, 504):
        put(fault=[{"verb": "list", "code": code, "times": 1, "retry_after": "7"},
                   {"verb": "list", "code": code, "times": 1, "body": "text", "retry_after": "date:7"}])
        (got, head, data), (again, text_head, text) = call("GET", PODS), call("GET", PODS)
        body = json.loads(data)
        assert (got, again, body["code"], body["status"], head["Retry-After"]) == (code, code, code, "Failure", "7")
        due = email.utils.parsedate_to_datetime(text_head["Retry-After"]).timestamp() - time.time()
        assert body["details"]["retryAfterSeconds"] == 7 and text.endswith(b"\n") and 2 < due < 8
    put(fault={"path": "pods$", "verb": "list", "code": 503, "body": "html", "after": 2, "times": 1})
    assert [call("GET", PODS)[0] for _ in range(4)] == [200, 200, 503, 200]
    put(fault={"code": 302, "body": "empty", "headers": {"Location": "/elsewhere", "Warning": '299 - "old"'}})
    code, head, data = call("GET", POOLS)
    assert (code, head["Location"], head["Warning"], data) == (302, "/elsewhere", '299 - "old"', b"")
    put(fault={"headers": {"Warning": '299 - "old"'}, "times": 1})
    assert call("GET", POOLS)[1]["Warning"] and not call("GET", POOLS)[1]["Warning"]
    assert call("GET", "/apis/none.example/v1/namespaces/x/things")[2] == b"404 page not found\n"
    assert ask("GET", PODS + "/none", want=404)["message"] == 'pods "none" not found'
    ask("POST", POOLS, pool())
    assert ask("POST", POOLS, pool(), want=409)["reason"] == "AlreadyExists"


def ends(how, act):
    """Starts a watch, does act, and checks the way the stream ends."""
    watch = Watch()
    watch.headers()
    act()
    assert watch.end(0.2 if how == "timeout" else 5) == how, (how, watch.how)


def f16():
    """close and reset and silence at accept, at a request, mid-stream; half-open drops even keepalive probes"""
    pods()
    for how, where in (("close", "accept"), ("reset", "accept"), ("close", "fault"), ("reset", "fault")):
        put(**{where: {"how": how, "times": 1}})
        want = {http.client.RemoteDisconnected, ConnectionResetError} if how == "close" else {ConnectionResetError}
        try:
            call("GET", PODS)
        except ConnectionError as error:
            assert type(error) in want, (how, where, error)
        else:
            raise AssertionError((how, where))
    put(accept={"how": "hang", "times": 1})
    assert Watch(timeout=0.2).headers() is None
    for how in ("close", "reset", "clean"):
        ends(how, lambda: ask("POST", "/fake/end?how=" + how))
    ends("timeout", lambda: ask("POST", "/fake/end?resource=pods&how=hang"))
    watch = Watch(timeout=6)
    watch.headers()
    for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2)):
        watch.sock.setsockopt(socket.IPPROTO_TCP, option, value)
    watch.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    ask("POST", "/fake/end?how=halfopen")
    return watch


def f16_refused():
    """down: connections are cut and refused, then the same port is back; SIGUSR1 does it, too"""
    watch = Watch()
    watch.headers()
    put(down=0.5)
    assert watch.end() == "reset"
    began, refused = time.monotonic(), 0
    while time.monotonic() - began < 3:
        try:
            call("GET", "/readyz")
            break
        except ConnectionRefusedError:
            refused += 1
        time.sleep(0.05)
    assert refused > 1 and 0.3 < time.monotonic() - began < 3, refused


def f17():
    """tokens are checked per request against a set that changes; each one is in the log"""
    put(tokens=["good"])
    bearer = {"Authorization": "Bearer good"}
    ask("GET", PODS, headers=bearer)
    assert ask("GET", PODS, headers={"Authorization": "Bearer bad"}, want=401)["reason"] == "Unauthorized"
    ask("GET", PODS, want=401)
    put(tokens=["new"])
    ask("GET", PODS, headers=bearer, want=401)
    assert call("GET", "/readyz")[0] == 200
    assert [e["authorization"] for e in log("pods")] == ["Bearer good", "Bearer bad", None, "Bearer good"]


def tls(ca, host="127.0.0.1"):
    context = ssl.create_default_context(cafile=ca)
    return http.client.HTTPSConnection(host, TLS_PORT, timeout=5, context=context)


def f18():
    """TLS: certificates for the IPv4 and IPv6 literals, a CA that is swapped under open connections"""
    old = tls(CA)
    assert call("GET", "/readyz", conn=old)[0] == 200
    if IPV6:
        assert call("GET", "/readyz", conn=tls(CA, "::1"))[0] == 200
    ca = json.loads(call("POST", "/fake/set", {"ca": True}, conn=tls(CA))[2])["ca_file"]
    assert ca != CA and call("GET", "/readyz", conn=old)[0] == 200
    assert call("GET", "/readyz", conn=tls(ca))[0] == 200
    try:
        call("GET", "/readyz", conn=tls(CA))
    except ssl.SSLCertVerificationError:
        return
    raise AssertionError("the old CA still verifies")


def f18_signal():
    """SIGUSR1 takes the TLS server down and up again"""
    os.kill(TLS_PID, signal.SIGUSR1)
    assert wait_for(lambda: socket.create_connection(("127.0.0.1", TLS_PORT)), ConnectionRefusedError)
    os.kill(TLS_PID, signal.SIGUSR1)
    assert not wait_for(lambda: socket.create_connection(("127.0.0.1", TLS_PORT)), None)


def wait_for(act, wanted):
    """Until act raises (wanted) or, wanted None, does not raise: for two seconds; gives its exception."""
    error = None
    for _ in range(40):
        try:
            error = None
            act().close()
        except ConnectionRefusedError as problem:
            error = problem
        if (type(error) if error else None) == wanted:
            return error
        time.sleep(0.05)
    raise AssertionError("wanted %s, got %r" % (wanted, error))


def f19():
    """key order: metadata after items, object before type; null items"""
    pods()
    assert list(ask("GET", POOLS)) == ["apiVersion", "items", "kind", "metadata"]
    assert list(ask("GET", PODS)) == ["kind", "apiVersion", "metadata", "items"]
    put(metadata_last=True, type_last=True, null_items=True)
    assert list(ask("GET", PODS)) == ["apiVersion", "items", "kind", "metadata"]
    assert list(Watch().events(1)[0]) == ["object", "type"] and ask("GET", POOLS)["items"] is None


def f20():
    """pretty-printed for curl, compact for others; watches stay compact"""
    pods()
    for agent, lines in (("curl/8", True), ("eppd/1", False)):
        assert (call("GET", PODS, headers={"User-Agent": agent})[2].count(b"\n") > 50) == lines, agent
    watch = Watch(headers="User-Agent: curl/8\r\n")
    assert watch.events(1) and watch.text().count(b"\n") == 1


def f21():
    """gzip for large lists; one gzip member per flush on a watch that asks for it; force"""
    pods("n=40")
    code, head, data = call("GET", PODS, headers={"Accept-Encoding": "gzip"})
    assert head["Content-Encoding"] == "gzip" and len(json.loads(gzip.decompress(data))["items"]) == 40
    for path, headers in ((PODS + "?limit=2", {"Accept-Encoding": "gzip"}), (PODS, {})):
        assert "Content-Encoding" not in call("GET", path, headers=headers)[1]
    rv = int(ask("GET", POOLS)["metadata"]["resourceVersion"])
    watch = Watch(query="timeoutSeconds=1&resourceVersion=%d" % rv, headers="Accept-Encoding: gzip\r\n")
    watch.headers()
    for n in range(2):
        label("pod-0", n=str(n))
        watch.chunk()
    assert "Content-Encoding: gzip" in watch.head and watch.text().count(b"\x1f\x8b\x08") == 2
    assert gzip.decompress(watch.text()).count(b"\n") == 2
    put(gzip="force")
    watch = Watch(query="timeoutSeconds=1")
    watch.chunk()
    assert watch.text()[:2] == b"\x1f\x8b" and call("GET", POOLS)[1]["Content-Encoding"] == "gzip"


def f22():
    """leases: 404, create, update with version, 409, MicroTime kept and required"""
    at = "2026-08-01T10:00:00.000120Z"
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
             "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "acquireTime": at, "renewTime": at}}
    ask("GET", LEASES + "/l", want=404)
    made = ask("POST", LEASES, lease, want=201)
    assert ask("POST", LEASES, lease, want=409)["reason"] == "AlreadyExists"
    made["spec"]["holderIdentity"] = "b"
    won = ask("PUT", LEASES + "/l", made)
    assert won["spec"] == dict(lease["spec"], holderIdentity="b") and won["metadata"]["uid"] == made["metadata"]["uid"]
    assert ask("PUT", LEASES + "/l", made, want=409)["reason"] == "Conflict"
    assert ask("GET", LEASES + "/l") == won
    ask("PUT", LEASES + "/l", lease, want=422)
    won["spec"]["renewTime"] = "2026-08-01T10:00:00Z"
    ask("PUT", LEASES + "/l", won, want=400)
    ask("DELETE", LEASES + "/l")
    ask("PUT", LEASES + "/l", made, want=201)


def review(group, kind, **spec):
    path = "/apis/%s.k8s.io/v1/%s" % (group, kind.lower() + "s")
    return ask("POST", path, {"apiVersion": group + ".k8s.io/v1", "kind": kind, "spec": spec}, want=201)["status"]


def f23():
    """TokenReview and SubjectAccessReview with programmed answers and latency"""
    put(users={"t": {"username": "prom", "groups": ["g"]}}, allow=[["prom", "/metrics", "get"]])
    got = review("authentication", "TokenReview", token="t")
    assert got["authenticated"] and got["user"] == {"username": "prom", "groups": ["g"]}
    assert not review("authentication", "TokenReview", token="u").get("authenticated")
    for user, path, want in (("prom", "/metrics", True), ("prom", "/debug", False), ("eve", "/metrics", False)):
        where = {"path": path, "verb": "get"}
        got = review("authorization", "SubjectAccessReview", user=user, nonResourceAttributes=where)
        assert got["allowed"] == want, (user, path)
    put(users={"slow": {"username": "s", "delay": 0.2}, "failing": {"code": 500}})
    begin = time.monotonic()
    assert review("authentication", "TokenReview", token="slow")["user"] == {"username": "s"}
    assert time.monotonic() - begin > 0.2
    ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview", "spec": {"token": "failing"}}, want=500)
    put(fault={"path": "tokenreviews", "delay": 0.2})
    begin = time.monotonic()
    review("authentication", "TokenReview", token="t")
    assert time.monotonic() - begin > 0.2


def f24():
    """discovery, kinds that are not served, 503 with Retry-After 5 while starting"""
    group = "/apis/llm-d.ai"
    watch = Watch(APIS % ("llm-d.ai/v1alpha2", "inferenceobjectives"))
    watch.headers()
    assert ask("GET", group)["preferredVersion"]["version"] == "v1alpha2"
    assert {r["kind"] for r in ask("GET", group + "/v1alpha2")["resources"]} == {
        "InferenceObjective", "InferenceModelRewrite"}
    assert len(ask("GET", "/apis")["groups"]) >= 4 and ask("GET", "/version")["major"] == "1"
    put(absent=["inferenceobjectives.llm-d.ai", "inferencemodelrewrites.llm-d.ai"])
    assert watch.end() == "clean"
    path = APIS % ("llm-d.ai/v1alpha2", "inferenceobjectives")
    assert call("GET", group)[0] == 404 and call("GET", path)[2] == b"404 page not found\n"
    put(starting=True)
    code, head, _ = call("GET", path)
    assert (code, head["Retry-After"], call("GET", "/readyz")[0]) == (503, "5", 500) and ask("GET", PODS)


def f25():
    """watches that end at once, a hundred times"""
    put(watch_end={"how": "short", "times": 100})
    conn = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    for _ in range(100):
        assert call("GET", PODS + "?watch=1", conn=conn)[::2] == (200, b"")
    assert Watch().end(0.1) == "timeout" and len(log("pods", "watch")) == 101


def f26():
    """the counter goes back: watches end, history is gone, versions fit; a start ahead is accepted and silent"""
    put(rv=50000)
    rv = pods("n=5")
    watch = Watch(query="resourceVersion=%d" % rv)
    watch.headers()
    put(rv=2000)
    assert watch.end() == "clean"
    body = ask("GET", PODS)
    versions = [int(i["metadata"]["resourceVersion"]) for i in body["items"]]
    assert body["metadata"]["resourceVersion"] == "2000" and max(versions) <= 2000 and len(set(versions)) == 5
    ahead = Watch(query="resourceVersion=%d" % rv)
    ahead.headers()
    assert label("pod-0", x="y") == 2001 and ahead.drain() == []
    assert Watch(query="resourceVersion=1500").events(1)[0]["object"]["code"] == 410


PRESETS = [("other_namespace", "ADDED", "elsewhere"), ("other_kind", "ADDED", "Secret"), ("null_object", "ADDED", None),
           ("unknown_type", "RENAMED", "stray"), ("no_rv", "ADDED", "stray"), ("no_metadata", "ADDED", "Pod"),
           ("pretty", "ADDED", "stray"), ("bookmark", "BOOKMARK", "resourceVersion"), ("error", "ERROR", "Expired")]


def f27():
    """events for others, of unknown type, without metadata, null, broken, big, and any bytes"""
    for preset, kind, text in PRESETS:
        watch = Watch()
        watch.headers()
        ask("POST", "/fake/event?resource=pods&preset=" + preset)
        event = json.loads(watch.chunk())
        assert event["type"] == kind and (text in json.dumps(event) if text else event["object"] is None), preset
        watch.sock.close()
    watch = Watch()
    watch.headers()
    ask("POST", "/fake/event?resource=pods&preset=big&size=3000000")
    assert len(watch.chunk()) > 3000000
    ask("POST", "/fake/event?resource=pods", b"\xff\x00no json")
    assert watch.chunk() == b"\xff\x00no json"
    ask("POST", "/fake/event?preset=nothing", want=400)


def log(path="", verb=None):
    _, _, data = call("GET", "/fake/log?path=%s%s" % (path, "&verb=" + verb if verb else ""))
    return [json.loads(line) for line in data.splitlines()]


def f28():
    """the request log: order, method, path, decoded query, time, code; switches that do not exist are refused"""
    call("GET", PODS + "?labelSelector=a%3Db%2Cc%20in%20%28d%29"), call("DELETE", PODS + "/x"), call("GET", "/none")
    rows = log()
    assert [(r["method"], r["code"], r["verb"]) for r in rows] == [
        ("GET", 200, "list"), ("DELETE", 404, "delete"), ("GET", 404, "get")]
    assert rows[0]["query"] == {"labelSelector": "a=b,c in (d)"} and rows[0]["raw_query"].endswith("%28d%29")
    assert rows[0]["t"] <= rows[1]["t"] <= rows[2]["t"] <= time.monotonic()
    assert rows[0]["headers"]["user-agent"] == "rows"
    assert "nonsense" in ask("POST", "/fake/set", {"nonsense": 1}, want=400)["message"]
    ask("POST", "/fake/set", {"chunks": "odd"}, want=400), ask("POST", "/fake/set", {"fault": {"cod": 1}}, want=400)


def writes():
    """ordinary objects: PUT and PATCH with versions, /status, conditions merged by type, no-op writes"""
    made = ask("POST", POOLS, pool(selector={"matchLabels": {"app": "a"}}))
    ask("PUT", POOLS + "/a", pool(), want=422)
    made["spec"]["targetPorts"] = [{"number": 8000}]
    after = ask("PUT", POOLS + "/a", made)
    assert after["metadata"]["generation"] == 2 and ask("PUT", POOLS + "/a", made, want=409)
    assert patch("a", {"spec": {"targetPorts": [{"number": 8000}]}}, POOLS) == after
    pods("n=1&ready=0")
    body = {"status": {"conditions": [{"type": "Ready", "status": "True"}], "podIP": "127.9.9.9"}, "spec": {"x": 1}}
    ask("PATCH", PODS + "/pod-0/status", body, {"Content-Type": "application/strategic-merge-patch+json"})
    pod = ask("GET", PODS + "/pod-0")
    ready = {c["type"]: c["status"] for c in pod["status"]["conditions"]}
    assert ready["Ready"] == "True" and len(ready) == 5 and "x" not in pod["spec"]
    ask("PATCH", POOLS + "/a", {}, {"Content-Type": "application/json-patch+json"}, want=415)
    ask("GET", PODS, headers={"Accept": "application/vnd.kubernetes.protobuf"}, want=406)


def slow_reader():
    """a watcher too far behind: the stream ends without an error, and without a hole"""
    put(queue=10)
    rv = pods()
    watch = Watch(query="resourceVersion=%d" % rv)
    watch.headers()
    ask("POST", "/fake/event?resource=pods&preset=big&size=20000000")
    for n in range(30):
        label("pod-0", n=str(n))
    events = watch.events(99)
    assert watch.how == "clean" and len(events) < 12, len(events)
    assert [e["object"]["metadata"]["resourceVersion"] for e in events[1:]] == [
        str(rv + 1 + n) for n in range(len(events) - 1)]


def load():
    """10,000 pods in pages and 1,000 changes a second, all of them delivered"""
    put(history=5000)
    rv, names, token = pods("n=10000&ready=9000"), set(), ""
    while token is not None:
        data = call("GET", PODS + "?limit=500&continue=" + token)[2].decode()
        names |= set(re.findall('"metadata":{"name":"([^"]*)"', data))
        found = re.search('"continue":"([^"]*)"', data[:300])
        token = found[1] if found else None
    assert len(names) == 10000, len(names)
    watch = Watch(query="resourceVersion=%d&timeoutSeconds=20" % rv)
    watch.headers()
    ask("POST", "/fake/storm?rate=1000&seconds=1&change=ready")
    count, begin = 0, time.monotonic()
    while count < 1000:
        count += watch.chunk().count(b"\n")
    assert 0.9 < time.monotonic() - begin < 10, time.monotonic() - begin
    watch.sock.close()


def f16_halfopen(watch):
    """half-open: the peer's keepalive finds the dead link"""
    try:
        while watch.sock.recv(65536):
            pass
    except OSError as error:
        assert error.errno == errno.ETIMEDOUT, error
        return
    raise AssertionError("an end")


ROWS = [f1, f2, f3, f3_selectors, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f13_versions, f14, f15, f16_refused, f16,
        f17, f18, f18_signal, f19, f20, f21, f22, f23, f24, f25, f26, f27, f28, writes, slow_reader,
        load]


def has_ipv6():
    try:
        socket.create_connection(("::1", TLS_PORT), 1).close()
        return True
    except OSError:
        return False


def run(number, row, *args):
    name = "%s: %s" % (row.__name__.split("_")[0].upper() if re.match("f[0-9]", row.__name__) else row.__name__,
                       row.__doc__)
    try:
        result = row(*args)
        print("ok %d - %s" % (number, name), flush=True)
        return result
    except Exception:
        print("not ok %d - %s" % (number, name))
        print("".join("# %s\n" % line for line in traceback.format_exc().splitlines()[-12:]), end="", flush=True)
        global failed
        failed = True
        return None


failed, IPV6 = False, has_ipv6()
late = None
for position, function in enumerate(ROWS, int(sys.argv[5])):
    ask("POST", "/fake/clear")
    late = run(position, function) or late
    if os.environ.get("TIMES"):
        print("# at %.2f s" % time.monotonic())
if late:
    run(position + 1, f16_halfopen, late)
sys.exit(failed)

#!/usr/bin/env python3
"""fakekube.py - a Kubernetes API server that misbehaves on demand.

    fakekube.py [--port=0] [--address=127.0.0.1]... [--tls=DIR] [--seed=N]

prints "listen PORT" (with --tls first "ca FILE"; DIR gets keys and certificates) and serves until
SIGTERM. It holds ordinary objects (GET LIST WATCH POST PUT PATCH DELETE, /status), reviews,
discovery, /readyz and /version. Unlike a real server it keeps uid, creationTimestamp and status
given in a POST, takes status in PUT and PATCH of the object itself, and validates almost nothing:
tests shape state with curl. TCP and HTTP/1.1 only, no HTTP/2.

/fake/... controls it: same port, no token, never logged.
  POST /fake/set      JSON of switches (below); unknown ones are refused. Answers with all of them.
  POST /fake/pods     ?n=1&ready=n&ns=default&labels=app=vllm&name=pod&first=0&ip=127.10.0.1&node=node-a
                      pods of 7 kB, ip counting upwards; the last n - ready are not Ready; a name that
                      is there already is overwritten: MODIFIED with another uid
  POST /fake/storm    ?rate=1000&seconds=1&ns=&change=touch|ready|label &wait=1 answers at the end
  POST /fake/event    ?resource=pods&preset=NAME to every open watch of the resource, or the body as is.
                      presets: other_namespace other_kind unknown_type no_metadata no_rv null_object
                      broken blank pretty bookmark error (code=, reason=) big (size=)
  POST /fake/end      ?resource=pods&how=HOW ends the open watches of the resource (all without it)
  POST /fake/clear    ?what=log,objects,switches (default: all three)
  GET  /fake/log      requests as JSON lines: n t (CLOCK_MONOTONIC) conn method path query raw_query verb
                      resource authorization headers (names in small letters) body code;
                      ?path=REGEX&verb=list choose
  GET  /fake/state    counter, objects, watches, connections, storm, switches

HOW a stream or connection ends: clean (final chunk), close (FIN, none), partial (half an event, FIN),
partial_clean (half an event, final chunk), reset (RST), halfopen (nothing read, acknowledged or
written any more, never closed), hang (never answered but acknowledged).

Switches. RULE: an object or a list of them, each with the optional conditions path (regular
expression on the path), verb (list watch get create update patch delete), after (let N pass first),
times (then spent; default for ever); null takes all away.
  fault       RULE  code body=json|text|html|empty|VERBATIM reason message retry_after="7"|"date:7"
                    headers={} how=HOW delay=seconds (without code or how: then the normal answer, with
                    these headers)
  watch_end   RULE  how (+ short: at once after the headers): instead of the event after the first events=N
                    (0), or when ms=N are over (only then, without events); a plain word means {"how": word}.
                    Counts for watches that begin later
  slow        RULE  bytes=N every ms=N: trickling answers (not watches)
  accept      RULE  how=close|reset|hang right after accept, before a byte is read (without path, verb)
  expire_page RULE  page=N: this page of a list is refused, 410 with a continue token in the Status
  empty_page  N     this page (1 = first) is empty but has a continue token; 0 never
  down        seconds or true: closes the listening sockets and all connections; back after that time
                    or with SIGUSR1 (goes down with it, too)
  rv          N     sets the counter. Downwards as after an etcd restore: watches end, history is gone,
                    objects get smaller versions. Any size, above 2^63 too
  history     100   events kept per resource; older starts get ERROR 410
  compact     true: forget all history and continue tokens now
  tokens      [..]  accepted bearer tokens, null = no check
  users       {token: {"username":..,"uid":..,"groups":[..],"extra":{}}} for TokenReview; with "code":N in it
              the review fails with that status, with "delay":S it takes so many seconds
  allow       true, false or [[username, path, verb]..] ("*" = any) for SubjectAccessReview
  absent      ["inferenceobjectives.llm-d.ai"]: not served, plain-text 404; their watches end
  starting    true: 503 with Retry-After 5 for what is not served, /readyz fails
  streaming   ok | 422 | error500 (200, then ERROR) | stall (headers only)
  chunks      whole | byte | random | many (several events per chunk) | torn (TCP writes cut anywhere)
  bookmark_ms 60000, bookmark_lead_ms 2000 (before the deadline), too_large_ms 300 (before a 504)
  delay_headers true: no watch header before the first event
  queue       20000 events a slow watcher may be behind before its stream ends
  gzip        auto (lists above 128 KiB and watches, when asked) | off | force (also when not asked)
  metadata_last true: lists as apiVersion, items, kind, metadata (custom resources: always)
  type_last   true: events as object, type
  null_items  true: empty lists have "items":null
  ascii       true: \\uXXXX instead of raw UTF-8
  ca          true: new CA and certificate for new connections; the answer's ca_file names it
"""
import argparse, asyncio, base64, collections, ctypes, email.utils, gzip, ipaddress, json, os, random, re
import signal, socket, ssl, struct, subprocess, sys, time, traceback, urllib.parse, uuid

DEFAULTS = {
    "fault": None, "watch_end": None, "slow": None, "accept": None, "expire_page": None, "empty_page": 0,
    "history": 100, "tokens": None, "users": {}, "allow": False, "absent": [], "starting": False,
    "streaming": "ok", "chunks": "whole", "bookmark_ms": 60000, "bookmark_lead_ms": 2000,
    "too_large_ms": 300, "delay_headers": False, "queue": 20000, "gzip": "auto", "metadata_last": False,
    "type_last": False, "null_items": False, "ascii": False,
}
CHOICES = {
    "streaming": ("ok", "422", "error500", "stall"), "gzip": ("auto", "off", "force"),
    "chunks": ("whole", "byte", "random", "many", "torn"),
}
RULES = {  # switch: what a rule of it may say beside path, verb, after, times
    "fault": {"code", "body", "reason", "message", "retry_after", "headers", "how", "delay"},
    "watch_end": {"how", "events", "ms"}, "slow": {"bytes", "ms"}, "accept": {"how"}, "expire_page": {"page"},
}
HOWS = ("clean", "close", "partial", "partial_clean", "reset", "halfopen", "hang", "short")

Resource = collections.namedtuple("Resource", "group version plural kind namespaced")
RESOURCES = [Resource(*row) for row in (
    ("", "v1", "pods", "Pod", True),
    ("", "v1", "events", "Event", True),
    ("", "v1", "namespaces", "Namespace", False),
    ("coordination.k8s.io", "v1", "leases", "Lease", True),
    ("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", False),
    ("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", False),
    ("inference.networking.k8s.io", "v1", "inferencepools", "InferencePool", True),
    ("inference.networking.x-k8s.io", "v1alpha1", "inferencepoolimports", "InferencePoolImport", True),
    ("inference.networking.x-k8s.io", "v1alpha2", "inferencepools", "InferencePool", True),
    ("inference.networking.x-k8s.io", "v1alpha2", "inferencemodels", "InferenceModel", True),
    ("inference.networking.x-k8s.io", "v1alpha2", "inferenceobjectives", "InferenceObjective", True),
    ("inference.networking.x-k8s.io", "v1alpha2", "inferencemodelrewrites", "InferenceModelRewrite", True),
    ("llm-d.ai", "v1alpha2", "inferenceobjectives", "InferenceObjective", True),
    ("llm-d.ai", "v1alpha2", "inferencemodelrewrites", "InferenceModelRewrite", True),
)]
REVIEWS = ("tokenreviews", "subjectaccessreviews")
POD_FIELDS = ("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
              "spec.hostNetwork", "status.phase", "status.podIP", "status.podIPs", "status.nominatedNodeName")
ERRORS = {  # code: reason, message, plain-text body
    400: ("BadRequest", "bad request", "Bad Request\n"),
    401: ("Unauthorized", "Unauthorized", "Unauthorized\n"),
    403: ("Forbidden", "forbidden: User cannot do this", "Forbidden\n"),
    404: ("NotFound", "the server could not find the requested resource", "404 page not found\n"),
    405: ("MethodNotAllowed", "the server does not allow this method on the requested resource", ""),
    406: ("NotAcceptable", "only the following media types are accepted: application/json", ""),
    409: ("Conflict", "the object has been modified; please apply your changes to the latest version", "Conflict\n"),
    410: ("Expired", "too old resource version", "Gone\n"),
    415: ("UnsupportedMediaType", "the body of the request was in an unknown format", ""),
    422: ("Invalid", "is invalid", "Unprocessable Entity\n"),
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later",
          "Too many requests, please try again later.\n"),
    500: ("InternalError", "Internal error occurred: etcdserver: no leader", "Internal Server Error\n"),
    503: ("ServiceUnavailable", "apiserver is shutting down", "The apiserver is shutting down\n"),
    504: ("Timeout", "request did not complete within the allotted timeout", "Gateway Timeout\n"),
}
PHRASES = {100: "Continue", 200: "OK", 201: "Created", 301: "Moved Permanently", 302: "Found"}
HTML = "<html><head><title>%d</title></head><body><h1>No healthy upstream</h1></body></html>\n"

switches = dict(DEFAULTS)


def builtin(res):
    return "." not in res.group or res.group.split(".", 1)[1] == "k8s.io"


def api_version(res):
    return "%s/%s" % (res.group, res.version) if res.group else res.version


def full_name(res):
    return "%s.%s" % (res.plural, res.group) if res.group else res.plural


def encode(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=switches["ascii"]).encode("utf-8", "replace")


def now_text():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


# ---- errors -------------------------------------------------------------------------------------------------


def status(code, message=None, reason=None, details=None, metadata=None):
    body = {"kind": "Status", "apiVersion": "v1", "metadata": metadata or {}, "status": "Failure",
            "message": message or ERRORS.get(code, ("", "error"))[1],
            "reason": reason or ERRORS.get(code, ("Unknown",))[0]}
    if details:
        body["details"] = details
    return dict(body, code=code)


CAUSES = {"FieldValueForbidden": "Forbidden", "FieldValueInvalid": "Invalid value",
          "FieldValueNotSupported": "Unsupported value"}


class Fail(Exception):
    """An answer that is an error: a Status, or plain text when `text` is given."""

    def __init__(self, code, message=None, reason=None, details=None, metadata=None, text=None, headers=()):
        super().__init__(message)
        self.code, self.text, self.headers = code, text, dict(headers)
        self.body = status(code, message, reason, details, metadata)
        if details and "retryAfterSeconds" in details:
            self.headers.setdefault("Retry-After", str(details["retryAfterSeconds"]))


class Cut(Exception):
    """The connection is done for; nothing more is written to it."""


def invalid(kind, name, field_name, reason, why):
    """422 as field validation answers it; kind is plural.group or Kind.group."""
    cause = {"reason": reason, "message": "%s: %s" % (CAUSES[reason], why), "field": field_name}
    found = {"name": name, "group": kind.partition(".")[2], "kind": kind.partition(".")[0], "causes": [cause]}
    return Fail(422, '%s "%s" is invalid: %s: %s' % (kind, name, field_name, cause["message"]),
                details={key: value for key, value in found.items() if value})


def forbidden_option(option, why):
    return invalid("ListOptions.meta.k8s.io", "", option, "FieldValueForbidden", why)


def too_large(wanted, current):
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return Fail(504, "Too large resource version: %d, current: %d" % (wanted, current), "Timeout",
                {"causes": [cause], "retryAfterSeconds": 1})


def expired(old, current):
    return status(410, "too old resource version: %s (%s)" % (old, current), "Expired")


# ---- selectors (3.7) ----------------------------------------------------------------------------------------

NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$")
PREFIX = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
TOKEN = re.compile(r"\s*(==|!=|[=,()!<>]|[^\s=,()!<>]+)")


def label_key(text):
    prefix, slash, name = text.rpartition("/")
    if not NAME.match(name) or (slash and not PREFIX.match(prefix)):
        raise Fail(400, "unable to parse requirement: invalid label key %r" % text)
    return text


def label_value(text):
    if text and not NAME.match(text):
        raise Fail(400, "unable to parse requirement: invalid label value %r" % text)
    return text


def integer(text):
    return int(text) if text is not None and re.match(r"[+-]?[0-9]+$", text) else None


def compare(want, sign):
    limit = integer(want)
    if limit is None:
        raise Fail(400, "unable to parse requirement: for 'Gt', 'Lt' operators, the value must be an integer")
    return lambda v: integer(v) is not None and (integer(v) > limit if sign == ">" else integer(v) < limit)


def label_tests(text):
    """A labelSelector as a list of (key, test of the value or None)."""
    tokens, at, tests = TOKEN.findall(text), 0, []
    if TOKEN.sub("", text).strip():
        raise Fail(400, "unable to parse requirement: %r" % text)

    def take():
        nonlocal at
        at += 1
        return tokens[at - 1] if at <= len(tokens) else None

    def peek():
        return tokens[at] if at < len(tokens) else None

    def value():
        return label_value("" if peek() in (None, ",", ")") else take())

    def values():
        if take() != "(":
            raise Fail(400, "unable to parse requirement: found no '('")
        found = {value()}
        while peek() == ",":
            take()
            found.add(value())
        if take() != ")":
            raise Fail(400, "unable to parse requirement: found no ')'")
        return found

    while peek() is not None:
        if peek() == "!":
            take()
            tests.append((label_key(take() or ""), lambda v: v is None))
        else:
            key, op = label_key(take()), peek()
            if op in (None, ","):
                tests.append((key, lambda v: v is not None))
            elif take() in ("=", "=="):
                tests.append((key, lambda v, want=value(): v == want))
            elif op == "!=":
                tests.append((key, lambda v, want=value(): v != want))
            elif op in ("in", "notin"):
                tests.append((key, lambda v, want=values(), yes=op == "in": (v in want) == yes))
            elif op in ("<", ">"):
                tests.append((key, compare(value(), op)))
            else:
                raise Fail(400, "unable to parse requirement: found %r, expected: operator" % op)
        if peek() is not None and (take() != "," or peek() is None):
            raise Fail(400, "unable to parse requirement: found %r, expected: ',' or 'end of string'" % text)
    return tests


def field(data, path):
    for part in path.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    if path == "status.podIPs":
        return ",".join(entry.get("ip", "") for entry in data or [])
    if path == "spec.hostNetwork":
        data = bool(data)
    return str(data).lower() if isinstance(data, bool) else data or ""


def field_tests(text, res):
    """A fieldSelector as a list of (path, wanted value, equal or not)."""
    allowed, tests = ("metadata.name", "metadata.namespace") + (POD_FIELDS if res.plural == "pods" else ()), []
    for term in re.findall(r"(?:[^\\,]|\\.)+", text):
        parts = re.match(r"((?:[^\\=!]|\\.)*)(!=|==|=)((?:[^\\=]|\\[\\,=])*)$", term)
        if not parts:
            raise Fail(400, "invalid selector: %r; can't understand %r" % (text, term))
        if parts[1] not in allowed:
            raise Fail(400, 'field label not supported: "%s"' % parts[1])
        tests.append((parts[1], re.sub(r"\\(.)", r"\1", parts[3]), parts[2] != "!="))
    return tests


class Selector:
    def __init__(self, res, namespace, query):
        self.namespace = namespace
        self.labels = label_tests(query.get("labelSelector", ""))
        self.fields = field_tests(query.get("fieldSelector", ""), res)

    def __bool__(self):
        return bool(self.labels or self.fields)

    def __call__(self, obj):
        if obj is None or self.namespace not in (None, obj.key[0]):
            return False
        if not all(test(obj.labels.get(key)) for key, test in self.labels):
            return False
        return all((field(obj.data, path) == want) == equal for path, want, equal in self.fields)


# ---- objects, one counter, bounded history ------------------------------------------------------------------


class Object:
    """One version of one object; never changed, so parts are shared and the JSON is made once."""
    __slots__ = ("res", "key", "data", "rv", "labels", "json")

    def __init__(self, res, data, rv):
        meta = dict(data["metadata"], resourceVersion=str(rv))
        self.res, self.rv, self.json = res, rv, None
        self.data = dict(data, metadata=meta)
        self.key = (meta.get("namespace", ""), meta["name"])
        self.labels = meta.get("labels") or {}

    def item(self):
        """As in a list: built-in kinds without apiVersion and kind."""
        if self.json is None:
            self.json = encode(self.data)
        return self.json if builtin(self.res) else self.full()

    def full(self):
        if self.json is None:
            self.json = encode(self.data)
        order = '{"kind":"%s","apiVersion":"%s",' if builtin(self.res) else '{"apiVersion":"%s","kind":"%s",'
        names = (self.res.kind, api_version(self.res))
        return (order % (names if builtin(self.res) else names[::-1])).encode() + self.json[1:]


class Change:
    __slots__ = ("rv", "old", "new", "left")

    def __init__(self, rv, old, new):
        self.rv, self.old, self.new, self.left = rv, old, new, None

    def seen_by(self, selector):
        """(type, object) as a watch with this selector sees it, or None."""
        was, now = selector(self.old), selector(self.new)
        if now:
            return ("MODIFIED" if was else "ADDED", self.new)
        if not was:
            return None
        if self.left is None:  # the previous content with the new version
            self.left = Object(self.old.res, self.old.data, self.rv)
        return ("DELETED", self.left)


class Kind:
    def __init__(self, res, floor):
        self.res, self.objects, self.watches = res, {}, set()
        self.history, self.floor, self.last = collections.deque(), floor, floor

    def forget(self, keep, floor=None):
        while len(self.history) > keep:
            self.floor = self.history.popleft().rv
        if floor is not None:
            self.floor = self.last = floor


class Store:
    def __init__(self):
        self.rv = 1000
        self.kinds = {res: Kind(res, self.rv) for res in RESOURCES}
        self.pages, self.page_id = collections.OrderedDict(), 0

    def write(self, res, old, data):
        """Puts data in place of old (None: creates, deletes); tells the watches; gives the new version."""
        kind = self.kinds[res]
        if old and data and dict(old.data, metadata=None) == dict(data, metadata=None) and \
                old.data["metadata"] == dict(data["metadata"], resourceVersion=str(old.rv)):
            return old
        self.rv += 1
        new = Object(res, data, self.rv) if data else None
        if new:
            kind.objects[new.key] = new
        else:
            del kind.objects[old.key]
        change = Change(self.rv, old, new)
        kind.history.append(change)
        kind.last = self.rv
        kind.forget(switches["history"])
        for watch in kind.watches:
            watch.offer(change)
        return new

    def compact(self):
        for kind in self.kinds.values():
            kind.forget(0, self.rv)
        self.pages.clear()

    def restore(self, rv):
        """Sets the counter; downwards every object gets a version that fits."""
        back, self.rv = rv < self.rv, rv
        if not back:
            return
        self.compact()
        for kind in self.kinds.values():
            end_watches(kind, "clean")
            for n, obj in enumerate(sorted(kind.objects.values(), key=lambda o: -o.rv)):
                kind.objects[obj.key] = Object(kind.res, obj.data, max(1, min(obj.rv, rv - n)))

    def at(self, kind, rv):
        """The objects of a kind as they were at rv."""
        objects = dict(kind.objects)
        for change in reversed(kind.history):
            if change.rv <= rv:
                break
            if change.old:
                objects[change.old.key] = change.old
            else:
                del objects[change.new.key]
        return objects

    def keep_page(self, rv, rest):
        self.page_id += 1
        self.pages[self.page_id] = (rv, rest)
        while len(self.pages) > 200:
            self.pages.popitem(last=False)
        return self.page_id

    def clear(self):
        for kind in self.kinds.values():
            end_watches(kind, "clean")
            kind.objects.clear()
        self.compact()


store = Store()


def end_watches(kind, how):
    for watch in list(kind.watches):
        watch.end(how)


# ---- rules: switches that count -----------------------------------------------------------------------------


def make_rules(name, value):
    if value is None:
        return None
    rules = [{"how": r} if isinstance(r, str) else dict(r) for r in (value if isinstance(value, list) else [value])]
    for rule in rules:
        unknown = set(rule) - RULES[name] - {"path", "verb", "after", "times"}
        if unknown or rule.get("how", "clean") not in HOWS:
            raise Fail(400, "switch %s: not understood: %s" % (name, sorted(unknown) or rule["how"]))
        rule.setdefault("times", None)
    return rules


def apply_rule(name, req=None, more=lambda rule: True):
    """The first rule of a switch that fits, counted; or None."""
    for rule in switches[name] or []:
        if rule["times"] == 0 or not more(rule):
            continue
        if req and (not re.search(rule.get("path", ""), req.path) or rule.get("verb", req.verb) != req.verb):
            continue
        if rule.get("after"):
            rule["after"] -= 1
            continue
        if rule["times"]:
            rule["times"] -= 1
        return rule
    return None


# ---- HTTP on a socket of our own ----------------------------------------------------------------------------

LINGER_RESET = struct.pack("ii", 1, 0)
DROP_ALL = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # BPF: return 0


class Connection:
    """One accepted connection."""
    count = 0
    all = set()

    def __init__(self, reader, writer):
        Connection.count += 1
        self.number, self.reader, self.writer = Connection.count, reader, writer
        self.socket = writer.get_extra_info("socket")
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def send(self, data):
        if self.writer.transport.is_closing():
            raise Cut
        self.writer.write(data)
        await self.writer.drain()

    def abort(self):
        """RST, nothing flushed."""
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        except OSError:
            pass
        self.writer.transport.abort()

    async def cut(self, how):
        """Ends the connection one of the HOW ways; never returns."""
        if how == "reset":
            self.abort()
        elif how in ("halfopen", "hang"):
            if how == "halfopen":  # the kernel drops what comes: not even keepalive probes are answered
                so_attach_filter, program = 26, struct.pack("@HP", 1, ctypes.addressof(DROP_ALL))
                self.socket.setsockopt(socket.SOL_SOCKET, so_attach_filter, program)
                self.writer.transport.pause_reading()
                await asyncio.Event().wait()
            while await self.reader.read(65536):
                pass
        raise Cut


class Request:
    """One request: read, named, logged."""

    def __init__(self, conn, head, body):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ", 2)
        self.headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
        path, _, self.raw_query = self.target.partition("?")
        self.path = urllib.parse.unquote(path)
        self.query = dict(urllib.parse.parse_qsl(self.raw_query, keep_blank_values=True))
        self.conn, self.body, self.code, self.extra = conn, body, None, {}
        self.res = self.namespace = self.name = self.sub = None
        self.parse_path()
        self.verb = self.find_verb()

    def header(self, name):
        return self.headers.get(name, "")

    def number(self, name, default=0):
        try:
            return int(self.query.get(name) or default)
        except ValueError:
            raise Fail(400, "strconv.Atoi: parsing %r: invalid syntax: %s" % (self.query[name], name)) from None

    def flag(self, name):
        return self.query.get(name) in ("1", "true")

    def parse_path(self):
        found = re.match(r"/(?:api|apis/([^/]+))/([^/]+)(?:/namespaces/([^/]+))?/([a-z]+)(?:/([^/]+))?(?:/(status))?$",
                         self.path)
        if not found:
            return
        group, version, self.namespace, plural, self.name, self.sub = found.groups()
        for res in RESOURCES:
            if (res.group, res.version, res.plural) == (group or "", version, plural):
                self.res = res

    def find_verb(self):
        if self.method == "GET":
            return "get" if self.name or not self.res else "watch" if self.flag("watch") else "list"
        return {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(self.method, "")

    def data(self):
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise Fail(400, "couldn't get version/kind; json parse error: %s" % error) from None
        if not isinstance(value, dict):
            raise Fail(400, "json: cannot unmarshal into Go value")
        return value

    def log_entry(self, n):
        return {"n": n, "t": time.monotonic(), "conn": self.conn.number, "method": self.method, "path": self.path,
                "query": self.query, "raw_query": self.raw_query, "verb": self.verb,
                "resource": full_name(self.res) if self.res else None,
                "authorization": self.headers.get("authorization"), "headers": self.headers,
                "body": self.body[:4096].decode("utf-8", "replace") or None, "code": None}


log = collections.deque(maxlen=200000)


async def read_request(conn):
    try:
        head = await conn.reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        raise Cut from None
    lower = head.lower()
    if b"\r\nexpect: 100-continue" in lower:
        await conn.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    length = re.search(rb"\r\ncontent-length:\s*(\d+)", lower)
    body = b""
    if b"\r\ntransfer-encoding: chunked" in lower:
        while size := int(await conn.reader.readline(), 16):
            body += (await conn.reader.readexactly(size + 2))[:-2]
        await conn.reader.readline()
    elif length:
        body = await conn.reader.readexactly(int(length[1]))
    return Request(conn, head[:-4], body)


def pretty(req):
    return req.header("user-agent").startswith(("curl", "Wget", "Mozilla/5.0"))


def head_of(code, headers):
    phrase = PHRASES.get(code) or ERRORS.get(code, ("Error",))[0]
    return ("HTTP/1.1 %d %s\r\n" % (code, phrase) +
            "".join("%s: %s\r\n" % h for h in headers.items()) + "\r\n").encode("latin-1")


def zips(req):
    return switches["gzip"] == "force" or (switches["gzip"] == "auto" and "gzip" in req.header("accept-encoding"))


async def answer(req, code, body, ctype="application/json", headers=()):
    """A whole answer: body is bytes, text or something to encode."""
    if not isinstance(body, (bytes, str)):
        body = encode(body)
    if isinstance(body, str):
        body = body.encode()
    if ctype == "application/json" and pretty(req) and not req.path.startswith("/fake/"):
        body = (json.dumps(json.loads(body), indent=2, ensure_ascii=False) + "\n").encode("utf-8", "replace")
    fields = {"Audit-Id": str(uuid.uuid4()), "Content-Type": ctype,
              "Date": email.utils.formatdate(usegmt=True), **dict(headers), **req.extra}
    if zips(req) and (len(body) > 128 * 1024 or switches["gzip"] == "force") and not req.path.startswith("/fake/"):
        body, fields["Content-Encoding"] = gzip.compress(body, 1), "gzip"
    fields["Content-Length"] = len(body)
    req.code = code
    data = head_of(code, fields) + (b"" if req.method == "HEAD" else body)
    slow = None if req.path.startswith("/fake/") else apply_rule("slow", req)
    if not slow:
        return await req.conn.send(data)
    step = slow.get("bytes", 1)
    for at in range(0, len(data), step):
        await req.conn.send(data[at:at + step])
        await asyncio.sleep(slow.get("ms", 1) / 1000)


async def answer_fail(req, fail):
    if fail.text is None:
        return await answer(req, fail.code, fail.body, headers=fail.headers)
    return await answer(req, fail.code, fail.text, "text/plain; charset=utf-8", fail.headers)


async def answer_fault(req, rule):
    """True when the rule was the whole answer."""
    await asyncio.sleep(rule.get("delay", 0))
    req.extra = rule.get("headers", {})
    if "code" not in rule:
        if "how" in rule:
            await req.conn.cut(rule["how"])
        return False
    code, kind, headers = rule["code"], rule.get("body", "json"), {}
    after = str(rule.get("retry_after", ""))
    if after.startswith("date:"):
        after = email.utils.formatdate(time.time() + float(after[5:]), usegmt=True)
    if after:
        headers["Retry-After"] = after
    details = {"retryAfterSeconds": int(after)} if after.isdigit() else None
    if kind == "json":
        await answer(req, code, status(code, rule.get("message"), rule.get("reason"), details), headers=headers)
    else:
        texts = {"text": ERRORS.get(code, ("", "", "Error\n"))[2], "html": HTML % code, "empty": ""}
        ctype = "text/html" if kind == "html" else "text/plain; charset=utf-8"
        await answer(req, code, texts.get(kind, kind), ctype, headers)
    return True


# ---- WATCH (3.9 - 3.11) -------------------------------------------------------------------------------------

ONE_BYTE = [b"1\r\n%c\r\n" % c for c in range(256)]


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def random_cuts(data, most):
    at, pieces = 0, []
    while at < len(data):
        size = random.randint(1, most)
        pieces.append(data[at:at + size])
        at += size
    return pieces


def frame(kind, obj):
    body = obj if isinstance(obj, bytes) else obj.full()
    if switches["type_last"]:
        return b'{"object":%s,"type":"%s"}\n' % (body, kind.encode())
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), body)


def bookmark(res, rv, end_marker=False):
    meta = {"resourceVersion": str(rv), "creationTimestamp": None}
    if end_marker:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    body = {"kind": res.kind, "apiVersion": api_version(res), "metadata": meta}
    if res.plural == "pods":
        body.update(spec={"containers": None}, status={})
    return frame("BOOKMARK", encode(body))


class Watch:
    """One open watch: a queue of (type, object) or frames, timers, and the way it will end."""
    half = b'{"type":"MODIFIED","object":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"half an event"}}}\n'

    def __init__(self, req, selector):
        self.req, self.conn, self.selector = req, req.conn, selector
        self.kind = store.kinds[req.res]
        self.bookmarks = req.flag("allowWatchBookmarks")
        self.queue, self.wake, self.ending = collections.deque(), asyncio.Event(), None
        self.started, self.sent, self.limit = False, 0, switches["queue"]
        self.rule = apply_rule("watch_end", req) or {}
        never = float("inf")
        self.most = self.rule.get("events", 0 if "how" in self.rule and "ms" not in self.rule else never)
        self.begin = time.monotonic()
        seconds = req.number("timeoutSeconds") or 1800 * random.uniform(1, 2)
        self.deadline = self.begin + seconds
        self.lead = self.deadline - switches["bookmark_lead_ms"] / 1000
        self.period = switches["bookmark_ms"] / 1000
        self.next_bookmark = self.begin + self.period
        self.limit_time = self.begin + self.rule.get("ms", never) / 1000

    def offer(self, change):
        seen = change.rv > self.start and change.seen_by(self.selector)
        if seen:
            self.put(seen)

    def put(self, item):
        if self.ending:
            return
        if len(self.queue) >= self.limit:  # too slow: the stream ends without an error, nothing is left out before
            self.queue.clear()
            self.ending = "clean"
        else:
            self.queue.append(item)
        self.wake.set()

    def end(self, how):
        self.ending = how
        self.wake.set()

    def prepare(self):
        """Fills the queue with what the start asks for; everything that can be refused is refused here."""
        text, initial = self.req.query.get("resourceVersion", ""), "sendInitialEvents" in self.req.query
        match = self.req.query.get("resourceVersionMatch", "")
        if text and not text.isdigit():
            raise Fail(500, 'resourceVersion: Invalid value: "%s": invalid syntax' % text)
        if initial and match != "NotOlderThan":
            raise forbidden_option("resourceVersionMatch",
                                   "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
        if match and not initial:
            raise forbidden_option("resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless "
                                   "sendInitialEvents is provided")
        if initial and switches["streaming"] == "422":
            raise forbidden_option("sendInitialEvents", "sendInitialEvents is forbidden for watch unless the "
                                   "WatchList feature gate is enabled")
        rv = int(text or 0)
        if initial and rv > store.rv:
            raise too_large(rv, store.rv)
        self.start = rv if rv and not initial else store.rv
        if initial and switches["streaming"] != "ok":
            self.refuse_streaming()
        elif initial and not self.req.flag("sendInitialEvents"):
            pass
        elif initial or not rv:
            self.queue.extend(("ADDED", o) for o in self.shuffled())
            if initial and self.bookmarks:
                self.queue.append(bookmark(self.kind.res, store.rv, end_marker=True))
        elif rv < self.kind.floor:
            self.fail(expired(rv, self.kind.floor))
        else:
            seen = (c.seen_by(self.selector) for c in self.kind.history if c.rv > rv)
            self.queue.extend(s for s in seen if s)
        self.limit += len(self.queue)

    def refuse_streaming(self):
        if switches["streaming"] == "error500":
            self.fail(status(500, "a watch stream was requested by the client but the required storage feature "
                                  "RequestWatchProgress is disabled"))
        self.bookmarks = False
        self.start = float("inf")

    def fail(self, body):
        self.queue.append(frame("ERROR", encode(body)))
        self.ending = "clean"

    def shuffled(self):
        objects = [o for o in self.kind.objects.values() if self.selector(o)]
        random.shuffle(objects)
        return objects

    async def headers(self):
        if self.started:
            return
        self.started, self.req.code = True, 200
        fields = {"Audit-Id": str(uuid.uuid4()), "Cache-Control": "no-cache, private",
                  "Content-Type": "application/json", "Date": email.utils.formatdate(usegmt=True),
                  "Transfer-Encoding": "chunked", **self.req.extra}
        if zips(self.req):
            fields["Content-Encoding"] = "gzip"
        await self.conn.send(head_of(200, fields))

    async def write(self, frames):
        """Some frames, in the chunks that were asked for."""
        if not frames:
            return
        await self.headers()
        mode, data = switches["chunks"], b"".join(frames)
        if zips(self.req):
            await self.conn.send(chunk(gzip.compress(data, 1)))
        elif mode == "byte":
            await self.conn.send(b"".join(map(ONE_BYTE.__getitem__, data)))
        elif mode == "random":
            await self.conn.send(b"".join(map(chunk, random_cuts(data, 200))))
        elif mode == "many":
            await self.conn.send(chunk(data))
        elif mode == "torn":
            for piece in random_cuts(b"".join(map(chunk, frames)), 3000):
                await self.conn.send(piece)
                await asyncio.sleep(0)
        else:
            await self.conn.send(b"".join(map(chunk, frames)))

    def take(self):
        """Up to 64 frames; stops where the watch_end rule wants the stream to end."""
        frames = []
        while self.queue and len(frames) < 64:
            item = self.queue.popleft()
            last = item if isinstance(item, bytes) else frame(*item)
            if self.sent >= self.most:
                self.ending, self.half = self.rule["how"], last
                self.queue.clear()
                return frames
            self.sent += 1
            frames.append(last)
        return frames

    def due(self, now):
        """Bookmarks and ends that the clock brings."""
        if now >= self.deadline:
            self.ending = self.ending or "clean"
        if now >= self.limit_time:
            self.ending = self.rule["how"]
        if now < self.next_bookmark and now < self.lead:
            return []
        self.next_bookmark = now + self.period
        if now >= self.lead:
            self.lead = float("inf")
        newer = self.bookmarks and self.kind.last > self.start
        return [bookmark(self.kind.res, self.kind.last)] if newer else []

    async def finish(self):
        if self.ending in ("partial", "partial_clean"):
            await self.write([self.half[:len(self.half) // 2]])
        if self.ending in ("clean", "partial_clean", "short"):
            await self.headers()
            return await self.conn.send(b"0\r\n\r\n")
        await self.conn.cut(self.ending)

    async def run(self):
        self.prepare()
        if self.rule.get("how") == "short":
            self.queue.clear()
            self.ending = "short"
        self.kind.watches.add(self)
        gone = asyncio.ensure_future(self.conn.reader.read(1))
        gone.add_done_callback(lambda _: self.wake.set())
        try:
            if not switches["delay_headers"]:
                await self.headers()
            await self.loop(gone)
        finally:
            self.kind.watches.discard(self)
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        await self.finish()

    async def loop(self, gone):
        while not gone.done():
            self.wake.clear()
            if switches["chunks"] == "many" and self.queue:
                await asyncio.sleep(0.02)
            await self.write(self.take())
            if not self.queue:
                await self.write(self.due(time.monotonic()))
            if self.queue:
                continue
            if self.ending:
                return
            wait = min(self.deadline, self.lead, self.next_bookmark, self.limit_time) - time.monotonic()
            try:
                await asyncio.wait_for(self.wake.wait(), max(wait, 0.001))
            except asyncio.TimeoutError:
                pass
        raise Cut


# ---- LIST (3.8) ---------------------------------------------------------------------------------------------


def pack(token):
    return base64.urlsafe_b64encode(json.dumps(token).encode()).decode().rstrip("=")


def unpack(text):
    try:
        return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise Fail(400, "continue key is not valid: %s" % text) from None


def list_query(req):
    """(resourceVersion or None, match), refused as the table in 3.8 says."""
    text, match = req.query.get("resourceVersion", ""), req.query.get("resourceVersionMatch", "")
    if "sendInitialEvents" in req.query:
        raise forbidden_option("sendInitialEvents", "sendInitialEvents is forbidden for list")
    if match not in ("", "Exact", "NotOlderThan"):
        raise invalid("ListOptions.meta.k8s.io", "", "resourceVersionMatch", "FieldValueNotSupported",
                      '"%s": supported values: "Exact", "NotOlderThan", ""' % match)
    if match and (req.query.get("continue") or not text):
        raise forbidden_option("resourceVersionMatch", "resourceVersionMatch is forbidden %s" % (
            "unless resourceVersion is provided" if not text else "with continue"))
    if req.query.get("continue") and text not in ("", "0"):
        raise Fail(400, "specifying resource version is not allowed when using continue")
    if match == "Exact" and text == "0":
        raise forbidden_option("resourceVersionMatch",
                               'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    if text and not text.isdigit():
        raise Fail(400, "resourceVersion: Invalid value: %r" % text)
    return (int(text) if text else None), match


async def first_page(req, kind, limit):
    """(rv, objects in order) of a list without continue."""
    rv, match = list_query(req)
    if rv and rv > store.rv:
        await asyncio.sleep(switches["too_large_ms"] / 1000)
        if rv > store.rv:
            raise too_large(rv, store.rv)
    exact = rv and (match == "Exact" or (not match and limit))
    if exact and rv < kind.floor:
        raise Fail(410, "The resourceVersion for the provided list is too old.", "Expired")
    objects = store.at(kind, rv) if exact else kind.objects
    return rv if exact else store.rv, in_order(objects, req.namespace)


def in_order(objects, namespace, start=("", "")):
    return [objects[key] for key in sorted(objects) if namespace in (None, key[0]) and key > tuple(start)]


def next_page(req, kind, token):
    if token.get("rv") == -1:  # the inconsistent continuation of an expired list
        return store.rv, in_order(kind.objects, req.namespace, token["start"])
    if token["id"] not in store.pages:
        raise page_expired(token["start"])
    return store.pages[token["id"]]


def page_expired(start):
    return Fail(410, "The provided continue parameter is too old to display a consistent list result. You can start "
                "a new list without the continue parameter, or use the continue token in this response to retrieve "
                "the remainder of the results. Continuing with the provided token results in an inconsistent list - "
                "objects that were created, modified, or deleted between the time the first chunk was returned and "
                "now may show up in the list.", "Expired",
                metadata={"continue": pack({"rv": -1, "start": start, "page": 2})})


def list_body(res, meta, objects):
    items = b"null" if switches["null_items"] and not objects else b"[" + b",".join(o.item() for o in objects) + b"]"
    kind, version, meta = (res.kind + "List").encode(), api_version(res).encode(), encode(meta)
    if switches["metadata_last"] or not builtin(res):
        return b'{"apiVersion":"%s","items":%s,"kind":"%s","metadata":%s}\n' % (version, items, kind, meta)
    return b'{"kind":"%s","apiVersion":"%s","metadata":%s,"items":%s}\n' % (kind, version, meta, items)


def one_page(objects, selector, count):
    """(objects shown, objects not looked at): as etcd reads, so the last page of a selection may be empty."""
    shown = []
    for at, obj in enumerate(objects):
        if len(shown) == count:
            return shown, objects[at:]
        if selector(obj):
            shown.append(obj)
    return shown, []


async def do_list(req):
    kind, selector = store.kinds[req.res], Selector(req.res, req.namespace, req.query)
    limit, token = max(0, req.number("limit")), req.query.get("continue")
    page, last_key = 1, ["", ""]
    if token:
        list_query(req)
        token = unpack(token)
        page, last_key = token["page"], token["start"]
        if apply_rule("expire_page", req, lambda rule: rule.get("page", 2) == page):
            raise page_expired(last_key)
        rv, objects = next_page(req, kind, token)
    else:
        rv, objects = await first_page(req, kind, limit)
        if req.query.get("resourceVersion") == "0":
            limit = 0
    meta = {"resourceVersion": str(rv)}
    shown, rest = one_page(objects, selector, 0 if limit and switches["empty_page"] == page else limit or len(objects))
    if rest:
        start = list(shown[-1].key) if shown else last_key
        meta["continue"] = pack({"id": store.keep_page(rv, rest), "start": start, "page": page + 1})
        if not selector:
            meta["remainingItemCount"] = len(rest)
    await answer(req, 200, list_body(req.res, meta, shown))


# ---- single objects -----------------------------------------------------------------------------------------

MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$")


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def details(res, name):
    return {"name": name, "kind": res.plural, **({"group": res.group} if res.group else {})}


def find(req):
    obj = store.kinds[req.res].objects.get((req.namespace or "", req.name))
    if not obj:
        raise Fail(404, '%s "%s" not found' % (full_name(req.res), req.name), details=details(req.res, req.name))
    return obj


def conflict(res, name, why):
    return Fail(409, 'Operation cannot be fulfilled on %s "%s": %s' % (full_name(res), name, why),
                details=details(res, name))


def plain(req, data):
    """A written object without what the path says already; refuses what does not fit it."""
    meta = data.get("metadata")
    if data.get("kind", req.res.kind) != req.res.kind or data.get("apiVersion", "") not in ("", api_version(req.res)):
        raise Fail(400, "%s in version %s cannot be handled as a %s" % (data.get("kind"), data.get("apiVersion"),
                                                                      req.res.kind))
    if not isinstance(meta, dict) or meta.get("namespace", req.namespace) != req.namespace:
        raise Fail(400, "the namespace of the provided object does not match the namespace sent on the request")
    if req.res.plural == "leases":
        check_times(data.get("spec") or {}, 400)
    return {key: value for key, value in data.items() if key not in ("kind", "apiVersion")}


def check_times(spec, code):
    for name in ("acquireTime", "renewTime"):
        if spec.get(name) is not None and not MICRO_TIME.match(spec[name]):
            raise Fail(code, 'parsing time "%s" as "2006-01-02T15:04:05.000000Z07:00": cannot parse' % spec[name])


def new_metadata(req, meta):
    name = meta.get("name") or meta.get("generateName", "") + "%05x" % random.getrandbits(20)
    meta = {"uid": str(uuid.uuid4()), "creationTimestamp": now_text(), **meta, "name": name}
    if req.namespace:
        meta["namespace"] = req.namespace
    if not builtin(req.res):
        meta.setdefault("generation", 1)
    return meta


async def do_create(req):
    data = plain(req, req.data())
    meta = new_metadata(req, data["metadata"])
    if (req.namespace or "", meta["name"]) in store.kinds[req.res].objects:
        raise Fail(409, '%s "%s" already exists' % (full_name(req.res), meta["name"]), "AlreadyExists",
                   details(req.res, meta["name"]))
    if req.res.plural == "pods":
        data.setdefault("status", {"phase": "Pending"})
    await answer(req, 201, store.write(req.res, None, dict(data, metadata=meta)).full())


def stored(req, old, data):
    """Writes what PUT or PATCH made of an object; the last finalizer's end is the object's end."""
    meta, before = dict(data["metadata"]), old.data["metadata"]
    for key in ("uid", "creationTimestamp", "name", "namespace", "generation", "deletionTimestamp"):
        if key in before:
            meta[key] = before[key]
    if not builtin(req.res) and data.get("spec") != old.data.get("spec"):
        meta["generation"] = meta.get("generation", 1) + 1
    data = dict(data, metadata=meta)
    if before.get("deletionTimestamp") and before.get("finalizers") and not meta.get("finalizers"):
        store.write(req.res, old, None)
        return Object(req.res, data, store.rv)
    return store.write(req.res, old, data)


async def do_update(req):
    data = plain(req, req.data())
    meta = data["metadata"]
    if meta.get("name") != req.name:
        raise Fail(400, "the name of the object does not match the name on the URL")
    if not meta.get("resourceVersion") and req.res.plural != "pods":
        raise invalid(full_name(req.res), req.name, "metadata.resourceVersion", "FieldValueInvalid",
                      "0x0: must be specified for an update")
    if req.res.plural == "leases" and (req.namespace, req.name) not in store.kinds[req.res].objects:
        return await do_create(req)  # the only kind here where PUT creates
    old = find(req)
    if meta.get("resourceVersion", str(old.rv)) != str(old.rv):
        raise conflict(req.res, req.name, MODIFIED)
    if meta.get("uid", old.data["metadata"].get("uid")) != old.data["metadata"].get("uid"):
        raise conflict(req.res, req.name, "Precondition failed: UID in precondition: %s" % meta["uid"])
    if req.sub:
        data = dict(old.data, status=data.get("status"))
    await answer(req, 200, stored(req, old, data).full())


def merge(target, patch, strategic):
    """RFC 7386; strategic: conditions are merged by type."""
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif strategic and key == "conditions" and isinstance(value, list):
            known = {c["type"]: c for c in result.get(key) or []}
            for condition in value:
                known[condition["type"]] = dict(known.get(condition["type"], {}), **condition)
            result[key] = list(known.values())
        else:
            result[key] = merge(result.get(key), value, strategic) if isinstance(value, dict) else value
    return result


async def do_patch(req):
    ctype, old = req.header("content-type").split(";")[0], find(req)
    strategic = ctype == "application/strategic-merge-patch+json" and builtin(req.res)
    if ctype != "application/merge-patch+json" and not strategic:
        raise Fail(415)
    patch = req.data()
    want = (patch.get("metadata") or {}).get("resourceVersion")
    if want and want != str(old.rv):
        raise conflict(req.res, req.name, MODIFIED)
    data = merge(old.data, {"status": patch.get("status")} if req.sub else patch, strategic)
    for name in ("kind", "apiVersion"):
        data.pop(name, None)
    if req.res.plural == "leases":
        check_times(data.get("spec") or {}, 422)
    await answer(req, 200, stored(req, old, data).full())


def remove(req, obj, grace):
    """What DELETE does to one object; gives the version that is left, or None."""
    meta, pod = obj.data["metadata"], obj.res.plural == "pods"
    ended = field(obj.data, "status.phase") in ("Failed", "Succeeded")
    running = pod and field(obj.data, "spec.nodeName") and not ended
    if meta.get("finalizers") or (running and grace > 0):
        if meta.get("deletionTimestamp"):
            return obj
        meta = dict(meta, deletionTimestamp=now_text())
        if pod:
            meta["deletionGracePeriodSeconds"] = grace
        return store.write(obj.res, obj, dict(obj.data, metadata=meta))
    return store.write(obj.res, obj, None)


async def do_delete(req):
    options = req.data() if req.body else {}
    grace = options.get("gracePeriodSeconds", req.number("gracePeriodSeconds", 30 if req.res.plural == "pods" else 0))
    if "gracePeriodSeconds" in req.query:
        grace = int(req.query["gracePeriodSeconds"])
    if not req.name:
        selector = Selector(req.res, req.namespace, req.query)
        for obj in [o for o in store.kinds[req.res].objects.values() if selector(o)]:
            remove(req, obj, grace)
        return await answer(req, 200, dict(kind="Status", apiVersion="v1", metadata={}, status="Success"))
    obj = find(req)
    want = options.get("preconditions") or {}
    if want.get("uid", obj.data["metadata"].get("uid")) != obj.data["metadata"].get("uid") or \
            want.get("resourceVersion", str(obj.rv)) != str(obj.rv):
        raise conflict(req.res, req.name, "Precondition failed")
    left = remove(req, obj, grace)
    done = dict(kind="Status", apiVersion="v1", metadata={}, status="Success", details=details(req.res, req.name))
    if not left and req.res.plural == "pods":
        left = Object(obj.res, obj.data, store.rv)
    await answer(req, 200, left.full() if left else done)


async def do_get(req):
    await answer(req, 200, find(req).full())


async def do_watch(req):
    await Watch(req, Selector(req.res, req.namespace, req.query)).run()


VERBS = {"get": do_get, "list": do_list, "watch": do_watch, "create": do_create, "update": do_update,
         "patch": do_patch, "delete": do_delete}


# ---- reviews, discovery -------------------------------------------------------------------------------------


async def token_review(spec):
    user = switches["users"].get(spec.get("token"))
    if user is None:
        return {"user": {}, "error": "invalid bearer token"}
    await asyncio.sleep(user.get("delay", 0))
    if "code" in user:
        raise Fail(user["code"])
    user = {key: value for key, value in user.items() if key != "delay"}
    return {"authenticated": True, "user": user, "audiences": ["https://kubernetes.default.svc"]}


async def access_review(spec):
    want = (spec.get("user"), *((spec.get("nonResourceAttributes") or {}).get(k) for k in ("path", "verb")))
    allow = switches["allow"]
    if isinstance(allow, list):
        allow = any(all(have in ("*", wish) for have, wish in zip(row, want)) for row in allow)
    return {"allowed": True, "reason": "RBAC: allowed"} if allow else {"allowed": False}


async def do_review(req):
    if req.verb != "create":
        raise Fail(405)
    data = req.data()
    if data.get("kind") != req.res.kind or data.get("apiVersion") != api_version(req.res):
        raise Fail(400, "Object 'Kind' is missing or wrong")
    review = token_review if req.res.plural == "tokenreviews" else access_review
    await answer(req, 201, dict(data, status=await review(data.get("spec") or {})))


def served():
    return [res for res in RESOURCES if full_name(res) not in switches["absent"]]


def api_group(group):
    versions = [{"groupVersion": v, "version": v.split("/")[1]}
                for v in dict.fromkeys(api_version(r) for r in served() if r.group == group)]
    return {"name": group, "versions": versions, "preferredVersion": versions[-1]}


def resource_list(version):
    rows = [{"name": r.plural, "singularName": r.kind.lower(), "namespaced": r.namespaced, "kind": r.kind,
             "verbs": ["create"] if r.plural in REVIEWS else sorted(VERBS)}
            for r in served() if api_version(r) == version]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": rows} if rows else None


def discovery(path):
    """The document at a path, or None."""
    groups = list(dict.fromkeys(r.group for r in served() if r.group))
    if path == "/version":
        return {"major": "1", "minor": "33", "gitVersion": "v1.33.4", "platform": "linux/amd64"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [api_group(g) for g in groups]}
    if path.startswith("/apis/") and path[6:] in groups:
        return dict(api_group(path[6:]), kind="APIGroup", apiVersion="v1")
    found = re.match(r"/(?:api|apis)/(.+)$", path)
    return resource_list(found[1]) if found else None


async def do_other(req):
    if req.path in ("/readyz", "/livez", "/healthz"):
        if switches["starting"]:
            raise Fail(500, text="[-]poststarthook/rbac/bootstrap-roles failed: not finished\nreadyz check failed\n")
        return await answer(req, 200, "ok", "text/plain; charset=utf-8")
    body = discovery(req.path) if req.method == "GET" else None
    if body is None:
        raise not_served()
    await answer(req, 200, body)


def not_served():
    if switches["starting"]:
        return Fail(503, "the request has been made before all known HTTP paths have been installed, please try again",
                    details={"retryAfterSeconds": 5})
    return Fail(404, text="404 page not found\n", headers={"X-Content-Type-Options": "nosniff"})


# ---- bulk pods and storms -----------------------------------------------------------------------------------


def fields_of(value):
    """managedFields' FieldsV1 of an object, as the server tracks it."""
    if isinstance(value, dict):
        return {"f:" + key: fields_of(part) for key, part in value.items()} or {}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        key = next((k for k in ("type", "name", "key", "ip") if k in value[0]), None)
        return {"k:%s" % json.dumps({key: part.get(key)}, separators=(",", ":")): dict(fields_of(part), **{".": {}})
                for part in value}
    return {}


CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


def conditions(ready):
    no = {"reason": "ContainersNotReady", "message": "containers with unready status: [vllm]"}
    return [dict({"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": "2026-08-01T10:00:00Z"},
                 **({"status": "False", **no} if not ready and kind in ("Ready", "ContainersReady") else {}))
            for kind in CONDITIONS]


def pod_spec():
    probe = {"httpGet": {"path": "/health", "port": 8000, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10,
             "successThreshold": 1, "failureThreshold": 3}
    mount = {"name": "kube-api-access-x7w2p", "readOnly": True,
             "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    tolerate = [{"key": "node.kubernetes.io/" + key, "operator": "Exists", "effect": "NoExecute",
                 "tolerationSeconds": 300} for key in ("not-ready", "unreachable")]
    box = {"name": "vllm", "image": "vllm/vllm-openai:v0.11.0", "imagePullPolicy": "IfNotPresent",
           "args": ["--model", "meta-llama/Llama-3.1-8B-Instruct", "--port", "8000", "--enable-lora"],
           "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
           "env": [{"name": name, "value": "1"} for name in ("HF_HOME", "VLLM_USE_V1", "NCCL_DEBUG", "LORA_UPDATES")],
           "resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "1"}},
           "volumeMounts": [mount], "livenessProbe": probe, "readinessProbe": probe, "startupProbe": probe,
           "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
    return {"volumes": [{"name": "kube-api-access-x7w2p", "projected": {"defaultMode": 420}}], "containers": [box],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 130, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default", "nodeName": "node-a", "securityContext": {}, "hostNetwork": False,
            "schedulerName": "default-scheduler", "tolerations": tolerate, "priority": 0,
            "preemptionPolicy": "PreemptLowerPriority", "enableServiceLinks": True}


def pod_status(ip, ready):
    started = {"running": {"startedAt": "2026-08-01T10:00:00Z"}}
    return {"phase": "Running", "conditions": conditions(ready), "hostIP": "127.0.0.1", "podIP": ip,
            "hostIPs": [{"ip": "127.0.0.1"}], "podIPs": [{"ip": ip}], "startTime": "2026-08-01T09:59:00Z",
            "containerStatuses": [{"name": "vllm", "state": started, "lastState": {}, "ready": ready,
                                   "restartCount": 0, "image": "vllm/vllm-openai:v0.11.0", "started": True,
                                   "imageID": "example/vllm@sha256:" + "5e" * 32,
                                   "containerID": "containerd://" + "7a" * 32}], "qosClass": "BestEffort"}


def managed_fields():
    row = {"apiVersion": "v1", "time": "2026-08-01T10:00:00Z", "fieldsType": "FieldsV1", "operation": "Update"}
    spec = fields_of({"spec": pod_spec(), "metadata": {"labels": {"app": "", "pod-template-hash": ""},
                                                       "ownerReferences": {}, "generateName": ""}})
    state = fields_of({"status": pod_status("10.0.0.1", True)})
    return [dict(row, manager="kube-controller-manager", fieldsV1=spec),
            dict(row, manager="kubelet", subresource="status", fieldsV1=state)]


POD_SPEC, MANAGED = pod_spec(), managed_fields()  # shared by all pods: never changed in place


def make_pod(name, namespace, labels, ip, ready, node):
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "vllm-6f8d9c7b5", "controller": True,
             "uid": "1d1b1f6e-0000-4000-8000-000000000001", "blockOwnerDeletion": True}
    meta = {"name": name, "generateName": "vllm-6f8d9c7b5-", "namespace": namespace, "uid": str(uuid.uuid4()),
            "creationTimestamp": "2026-08-01T09:59:00Z", "labels": labels,
            "annotations": {"example.com/note": "grüße 😀 <&> \"quoted\""}, "ownerReferences": [owner],
            "managedFields": MANAGED}
    return {"metadata": meta, "spec": dict(POD_SPEC, nodeName=node), "status": pod_status(ip, ready)}


PODS = RESOURCES[0]


async def fake_pods(req):
    count, first = req.number("n", 1), req.number("first")
    ready, query = req.number("ready", count), req.query
    address = ipaddress.ip_address(query.get("ip", "127.10.0.1"))
    labels = dict(pair.split("=", 1) for pair in query.get("labels", "app=vllm").split(",") if pair)
    namespace, prefix = query.get("ns", "default"), query.get("name", "pod")
    for n in range(count):
        name = "%s-%d" % (prefix, first + n)
        pod = make_pod(name, namespace, labels, str(address + n), n < ready, query.get("node", "node-a"))
        store.write(PODS, store.kinds[PODS].objects.get((namespace, name)), pod)
        if n % 500 == 499:
            await asyncio.sleep(0)
    await answer(req, 200, {"created": count, "resourceVersion": str(store.rv)})


def storm_change(pod, n, change):
    """The n-th version of a pod in a storm."""
    data = pod.data
    if change == "label":
        meta = data["metadata"]
        return dict(data, metadata=dict(meta, labels=dict(meta.get("labels") or {}, storm=str(n))))
    state = dict(data.get("status") or {})
    if change == "ready":
        was = [c for c in state.get("conditions") or [] if c.get("type") == "Ready"]
        state["conditions"] = conditions(not was or was[0]["status"] != "True")
    else:
        state["message"] = "storm %d" % n
    return dict(data, status=state)


storms = {}


async def storm(rate, seconds, namespace, change):
    """rate changes a second, evenly in steps of 5 ms; late steps catch up. Each pod in turn, twice in a row:
    flips of readiness leave the pool as it was."""
    begin, done, total = time.monotonic(), 0, int(rate * seconds)
    me = storms[asyncio.current_task()] = {"rate": rate, "done": 0, "total": total}
    try:
        while done < total:
            await asyncio.sleep(0.005)
            objects = store.kinds[PODS].objects
            keys = [k for k in objects if not namespace or k[0] == namespace]
            if not keys:
                break
            while done < min(total, (time.monotonic() - begin) * rate):
                pod = objects[keys[done // 2 % len(keys)]]
                store.write(PODS, pod, storm_change(pod, done, change))
                done += 1
            me["done"] = done
    finally:
        del storms[asyncio.current_task()]
    return {"changes": done, "seconds": round(time.monotonic() - begin, 3), "resourceVersion": str(store.rv)}


async def fake_storm(req):
    task = asyncio.ensure_future(storm(float(req.query.get("rate", 1000)), float(req.query.get("seconds", 1)),
                                       req.query.get("ns"), req.query.get("change", "touch")))
    background.add(task)
    task.add_done_callback(background.discard)
    await answer(req, 200, await task if req.flag("wait") else {"started": True})


# ---- events that should not be, ends, log, state ------------------------------------------------------------


def preset_event(req, res):
    """A frame of /fake/event, by name."""
    def pod(**meta):
        body = {"apiVersion": api_version(res), "kind": res.kind, "spec": {},
                "metadata": dict({"name": "stray", "namespace": "default", "uid": "stray-uid",
                                  "resourceVersion": str(store.rv)}, **meta), "status": {}}
        return body

    name, code = req.query.get("preset"), req.number("code", 410)
    if name == "bookmark":
        return bookmark(res, store.rv)
    if name == "big":
        return frame("ADDED", encode(pod(annotations={"big": "x" * req.number("size", 2 << 20)})))
    no_rv = pod()
    del no_rv["metadata"]["resourceVersion"]
    bare = {k: v for k, v in pod().items() if k != "metadata"}
    wrong = status(code, reason=req.query.get("reason")) if name == "error" else None
    frames = {
        "other_namespace": frame("ADDED", encode(pod(namespace="elsewhere"))),
        "other_kind": frame("ADDED", encode(dict(pod(), kind="Secret"))),
        "unknown_type": frame("RENAMED", encode(pod())),
        "no_metadata": frame("ADDED", encode(bare)), "no_rv": frame("ADDED", encode(no_rv)),
        "null_object": frame("ADDED", b"null"), "broken": b'{"type":"ADDED","object":{"kind":}}\n', "blank": b"\n",
        "pretty": json.dumps({"type": "ADDED", "object": pod()}, indent=2).encode() + b"\n",
        "error": frame("ERROR", encode(wrong)),
    }
    if name not in frames:
        raise Fail(400, "no such preset: %s" % name)
    return frames[name]


def kinds_named(req):
    """The resources a control request means: plural or plural.group, all without one."""
    want = req.query.get("resource")
    found = [k for k in store.kinds.values() if want in (None, k.res.plural, full_name(k.res))]
    if not found:
        raise Fail(400, "no such resource: %s" % want)
    return found


async def fake_event(req):
    count = 0
    for kind in kinds_named(req):
        data = req.body or preset_event(req, kind.res)
        for watch in list(kind.watches):
            watch.put(data)
            count += 1
            if req.query.get("preset") == "error":
                watch.end("clean")
    await answer(req, 200, {"watches": count})


async def fake_end(req):
    how = req.query.get("how", "clean")
    if how not in HOWS:
        raise Fail(400, "no such end: %s" % how)
    kinds = kinds_named(req)
    count = sum(len(kind.watches) for kind in kinds)
    for kind in kinds:
        end_watches(kind, how)
    await answer(req, 200, {"watches": count})


async def fake_clear(req):
    what = req.query.get("what", "log,objects,switches").split(",")
    if "switches" in what:
        switches.update(DEFAULTS)
    if "objects" in what:
        store.clear()
    if "log" in what:
        log.clear()
    await answer(req, 200, {"cleared": what})


async def fake_log(req):
    path, verb = req.query.get("path", ""), req.query.get("verb")
    lines = [json.dumps(e) + "\n" for e in log if re.search(path, e["path"]) and verb in (None, e["verb"])]
    await answer(req, 200, "".join(lines), "application/jsonl")


async def fake_state(req):
    objects = {full_name(k.res): len(k.objects) for k in store.kinds.values() if k.objects}
    watches = [{"resource": full_name(k.res), "query": w.req.query, "conn": w.conn.number, "sent": w.sent,
                "queued": len(w.queue), "age": round(time.monotonic() - w.begin, 3)}
               for k in store.kinds.values() for w in k.watches]
    await answer(req, 200, {"rv": str(store.rv), "objects": objects, "watches": watches, "storm": list(storms.values()),
                            "connections": len(Connection.all), "accepted": Connection.count, "requests": len(log),
                            "ca_file": server.ca_file, "switches": switches})


# ---- /fake/set ----------------------------------------------------------------------------------------------


def set_switch(name, value):
    if name in RULES:
        value = make_rules(name, value)
    elif value not in CHOICES.get(name, (value,)):
        raise Fail(400, "switch %s: %r is none of %s" % (name, value, CHOICES[name]))
    elif type(DEFAULTS[name]) is int and type(value) is not int:
        raise Fail(400, "switch %s: %r is no number" % (name, value))
    switches[name] = value
    for kind in store.kinds.values():
        if name == "history":
            kind.forget(value)
        if name == "absent" and full_name(kind.res) in value:
            end_watches(kind, "clean")
        if name == "ascii":
            for obj in kind.objects.values():
                obj.json = None


ACTIONS = {  # switches that do something once
    "rv": lambda value: store.restore(int(value)),
    "compact": lambda value: value and store.compact(),
    "ca": lambda value: value and server.new_certificates(),
    "down": lambda value: value and server.later(value),
}


async def fake_set(req):
    wanted = req.data()
    unknown = set(wanted) - set(DEFAULTS) - set(ACTIONS)
    if unknown:
        raise Fail(400, "no such switch: %s" % ", ".join(sorted(unknown)))
    for name, value in wanted.items():
        ACTIONS[name](value) if name in ACTIONS else set_switch(name, value)
    await answer(req, 200, dict(switches, rv=str(store.rv), ca_file=server.ca_file))


FAKE = {("POST", "/fake/set"): fake_set, ("POST", "/fake/pods"): fake_pods, ("POST", "/fake/storm"): fake_storm,
        ("POST", "/fake/event"): fake_event, ("POST", "/fake/end"): fake_end, ("POST", "/fake/clear"): fake_clear,
        ("GET", "/fake/log"): fake_log, ("GET", "/fake/state"): fake_state}


# ---- a request's way ----------------------------------------------------------------------------------------


def check_token(req):
    allowed = switches["tokens"]
    scheme, _, token = req.header("authorization").partition(" ")
    if allowed is not None and (scheme.lower() != "bearer" or token.strip() not in allowed):
        raise Fail(401, headers={"Www-Authenticate": 'Basic realm="kubernetes-master"'})


def check_accept(req):
    accept = req.header("accept")
    if accept and not re.search(r"application/(json|\*)(\s*[,;]|$)|\*/\*", accept):
        raise Fail(406)


async def route(req):
    rule = apply_rule("fault", req)
    if rule and await answer_fault(req, rule):
        return
    if not req.res:
        return await do_other(req)
    check_token(req)
    check_accept(req)
    if full_name(req.res) in switches["absent"] or (req.namespace and not req.res.namespaced):
        raise not_served()
    if req.res.plural in REVIEWS:
        return await do_review(req)
    if req.verb not in VERBS or (req.verb in ("update", "patch") and not req.name) or \
            (req.verb == "create" and (req.name or (req.res.namespaced and not req.namespace))):
        raise Fail(405)
    await VERBS[req.verb](req)


async def serve(req):
    try:
        if req.path.startswith("/fake/"):
            handler = FAKE.get((req.method, req.path))
            if not handler:
                raise Fail(404, text="no such control: %s %s\n" % (req.method, req.path))
            return await handler(req)
        entry = req.log_entry(len(log) + 1)
        log.append(entry)
        try:
            await route(req)
        finally:
            entry["code"] = req.code
    except Fail as fail:
        await answer_fail(req, fail)
        if not req.path.startswith("/fake/"):
            entry["code"] = req.code
    except (Cut, OSError, asyncio.IncompleteReadError):
        raise
    except Exception:  # a mistake of ours, or a body we did not think of
        traceback.print_exc()
        await answer(req, 500, traceback.format_exc(), "text/plain; charset=utf-8")


async def connection(reader, writer):
    conn = Connection(reader, writer)
    Connection.all.add(conn)
    try:
        rule = apply_rule("accept")
        if rule:
            await conn.cut(rule["how"])
        while True:
            req = await read_request(conn)
            await serve(req)
            if req.header("connection").lower() == "close":
                break
    except (Cut, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
        pass
    except asyncio.CancelledError:  # the fake itself ends
        pass
    finally:
        Connection.all.discard(conn)
        writer.close()


# ---- sockets, certificates, main ----------------------------------------------------------------------------


def openssl(*args):
    subprocess.run(("openssl",) + args, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def make_certificates(folder, number):
    """A CA and a certificate for the loopback addresses; gives (ca, certificate, key)."""
    ca, ca_key, cert, key, csr, ext = (os.path.join(folder, "%s-%d.%s" % (name, number, end)) for name, end in (
        ("ca", "crt"), ("ca", "key"), ("tls", "crt"), ("tls", "key"), ("tls", "csr"), ("tls", "ext")))
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *curve, "-days", "30", "-subj", "/CN=fakekube-ca-%d" % number,
            "-keyout", ca_key, "-out", ca)
    openssl("req", *curve, "-subj", "/CN=fakekube", "-keyout", key, "-out", csr)
    with open(ext, "w") as file:
        file.write("subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost,DNS:kubernetes.default.svc\n"
                   "extendedKeyUsage=serverAuth\n")
    openssl("x509", "-req", "-in", csr, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", "30",
            "-extfile", ext, "-out", cert)
    return ca, cert, key


background = set()


class Server:
    """The listening sockets. One socket per address is bound but never listens: it keeps the port while down."""

    def __init__(self, args):
        self.addresses, self.port = args.address or ["127.0.0.1"], args.port
        self.tls, self.context, self.ca_file, self.generation = args.tls, None, None, 0
        self.listening, self.keepers = [], []

    def socket(self, address):
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, self.port))
        self.port = sock.getsockname()[1]
        return sock

    def new_certificates(self):
        if not self.tls:
            raise Fail(400, "no TLS here")
        self.generation += 1
        self.ca_file, cert, key = make_certificates(self.tls, self.generation)
        if not self.context:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)

    async def up(self):
        if not self.keepers:
            self.keepers = [self.socket(address) for address in self.addresses]
        for address in [] if self.listening else self.addresses:
            self.listening.append(await asyncio.start_server(connection, sock=self.socket(address), backlog=1024,
                                                             ssl=self.context, limit=1 << 20))

    def down(self):
        for listener in self.listening:
            listener.close()
        self.listening.clear()
        for conn in list(Connection.all):
            conn.abort()

    def run_up(self):
        task = asyncio.ensure_future(self.up())
        background.add(task)
        task.add_done_callback(background.discard)

    def later(self, seconds):
        """Goes down after the answer to this request is written; comes back by itself unless seconds is true."""
        loop = asyncio.get_running_loop()
        loop.call_later(0.05, self.down)
        if seconds is not True:
            loop.call_later(0.05 + seconds, self.run_up)

    def toggle(self):
        self.down() if self.listening else self.run_up()


async def main():
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, server.toggle)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if server.tls:
        server.new_certificates()
        print("ca", server.ca_file)
    await server.up()
    print("listen", server.port, flush=True)
    await stop.wait()
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A Kubernetes API server that misbehaves on demand.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--address", action="append")
    parser.add_argument("--tls", metavar="DIR")
    parser.add_argument("--seed", type=int)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    server = Server(arguments)
    try:
        asyncio.run(main())
    except (OSError, subprocess.CalledProcessError) as problem:
        sys.exit("fakekube: %s%s" % (problem, getattr(problem, "stderr", None) or ""))

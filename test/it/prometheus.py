"""prometheus.py - the queries that are shipped and those of the Go pickers' users, as prometheus.sh asks them.

    prometheus.py form                       looks at k8s/dashboard.json and k8s/alerts.yaml alone
    prometheus.py ask URL SECONDS            asks a Prometheus for all of it until each query has data

Prints "pass WHAT" or "fail WHAT: why" per case. Windows are cut to what a short run can fill.
"""
import itertools
import json
import math
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import yaml

WINDOW = "15s"
DASHBOARD = "k8s/dashboard.json"
ALERTS = "k8s/alerts.yaml"
REFERENCES = "test/data/reference-queries.txt"


def say(what, why=None):
    print(f"fail {what}: {why}" if why else f"pass {what}", flush=True)


def panels():
    with open(DASHBOARD, encoding="utf-8") as f:
        board = json.load(f)
    return board, [p for p in board["panels"] if p["type"] != "row"]


def alerts():
    with open(ALERTS, encoding="utf-8") as f:
        return [r for g in yaml.safe_load(f)["groups"] for r in g["rules"]]


# ---- form ----

def families():
    """Every name of stat.def, with what a histogram adds to it."""
    names = set()
    with open("daemon/stat.def", encoding="utf-8") as f:
        for kind, name in re.findall(r"^(STAT|HIST)\(\w+, (\w+)", f.read(), re.M):
            names |= {name} if kind == "STAT" else {name + s for s in ("_bucket", "_sum", "_count")}
    return names


def named(expr):
    """The families of a query: words that are followed by {, [ or nothing that calls."""
    bare = re.sub(r'"[^"]*"|\b(by|on|without|unless|and|or)\b\s*(\([^)]*\))?', " ", expr)
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]", " ", bare)
    return set(re.findall(r"\b[a-z][a-z0-9_]{3,}\b(?!\s*\()", bare))


def unknown(exprs, legends=()):
    """Families and labels that stat.def does not have."""
    with open("daemon/stat.def", encoding="utf-8") as f:
        labels = {"job", "instance", "le"} | set(re.findall(r'\{ "(\w+)", \w+ \}', f.read()))
    asked = set(re.findall(r"\{\{(\w+)\}\}", " ".join(legends)))
    for expr in exprs:
        for group in re.findall(r"\b(?:by|on|without)\s*\(([^)]*)\)", expr):
            asked |= set(re.findall(r"\w+", group))
        asked |= set(re.findall(r'(\w+)\s*(?:=~?|!=|!~)\s*"', expr))
    return sorted(set().union(*map(named, exprs)) - families()) + sorted(asked - labels)


def check_dashboard():
    board, shown = panels()
    everything = board["panels"]
    ids = [p["id"] for p in everything]
    say("dashboard: ids are different", None if len(set(ids)) == len(ids) else ids)
    taken = {}
    bad = []
    for p in everything:
        g = p["gridPos"]
        cells = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
        bad += [p["title"] for c in cells if c in taken or c[0] >= 24][:1]
        taken.update(dict.fromkeys(cells, p["title"]))
    say("dashboard: panels lie beside each other", ", ".join(bad))
    wanted = {"type": "prometheus", "uid": "${datasource}"}
    bad = [p["title"] for p in shown if not p.get("description") or not p["fieldConfig"]["defaults"].get("unit")
           or not p["targets"] or any(t["datasource"] != wanted or not t["legendFormat"] for t in p["targets"])]
    say("dashboard: panels have a description, a unit, the variable as data source", ", ".join(bad))
    used = set(re.findall(r'=~\\"\$(\w+)\\"', json.dumps(shown))) | {"datasource"}
    has = {v["name"] for v in board["templating"]["list"]}
    say("dashboard: variables are used", None if used == has else f"{used} used, {has} there")
    targets = [t for p in shown for t in p["targets"]]
    names = unknown([t["expr"] for t in targets], [t["legendFormat"] for t in targets])
    say("dashboard: families and labels are eppd's", ", ".join(names))


def check_alerts():
    rules = alerts()
    names = unknown([r["expr"] for r in rules])
    say("alerts: families and labels are eppd's", ", ".join(names))
    bad = [r["alert"] for r in rules if set(r.get("annotations", {})) != {"summary", "runbook"}
           or r.get("labels", {}).get("severity") not in ("warning", "critical")]
    say("alerts: each has a severity, a summary and what to do", ", ".join(bad))
    with open("test/data/alerts.yaml", encoding="utf-8") as f:
        tests = yaml.safe_load(f)["tests"]
    bad = []
    for r in rules:
        looks = [look for t in tests for look in t["promql_expr_test"] if f'"{r["alert"]}"' in look["expr"]]
        if {bool(look["exp_samples"]) for look in looks} != {True, False}:
            bad.append(r["alert"])
    say("alerts: each has a test of firing and of silence", ", ".join(bad))


# ---- asking ----

class Prometheus:
    def __init__(self, url):
        self.url = url

    def get(self, path, **query):
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as r:
            return json.load(r)["data"]

    def has(self, expr):
        """None when it gives numbers, else why not."""
        try:
            result = self.get("query", query=expr)["result"]
        except urllib.error.HTTPError as e:
            return json.load(e)["error"]
        if not result:
            return "no data"
        return None if any(math.isfinite(float(v["value"][1])) for v in result) else "no number"


def cut(expr):
    return re.sub(r"\[(\d+[smh]|\$__rate_interval)\]", f"[{WINDOW}]", expr)


def of_panels():
    for p in panels()[1]:
        for t in p["targets"]:
            yield f'dashboard: {p["title"]}, {t["legendFormat"]}', re.sub(r'"\$\w+"', '".*"', cut(t["expr"]))


def of_variables():
    for v in panels()[0]["templating"]["list"]:
        if v["type"] == "query":
            selector = re.fullmatch(r"label_values\((.*), \w+\)", v["query"]["query"])[1]
            yield f'dashboard: variable {v["name"]}', re.sub(r'"\$\w+"', '".*"', selector)


def of_alerts():
    """The values that are held against a threshold: each comparison gives 0 or 1 in place of a choice."""
    for r in alerts():
        for part in re.split(r"\bunless\b(?:\s+on\s*\([^)]*\))?", cut(r["expr"])):
            value = re.sub(r"(==|[<>]=?)\s*([0-9.]+)", r"\1 bool \2", part)
            yield f'alert: {r["alert"]}', re.sub(r"\babsent\(", "(", value)


def of_references():
    """Without those of features that are not built; they are named."""
    unbuilt, built = [], families()
    with open(REFERENCES, encoding="utf-8") as f:
        lines = [line.strip().partition("  ") for line in f if line.strip() and line[0] != "#"]
    for who, _, query in lines:
        if who == "unbuilt":
            unbuilt = query.split()
            continue
        parts = re.split(r"\{([^{}|]+(?:\|[^{}|]+)+)\}", query)
        choices = [p.split("|") if i % 2 else [p] for i, p in enumerate(parts)]
        for one in map("".join, itertools.product(*choices)):
            if any(word in one for word in unbuilt) and not named(one) <= built:
                print(f"# not built: {one}")
            else:
                yield f"{who}: {one}", cut(one)


def ask(url, seconds):
    prometheus = Prometheus(url)
    wanted = [*of_panels(), *of_variables(), *of_alerts(), *of_references()]
    open_ones = wanted
    start = time.monotonic()
    while open_ones and time.monotonic() < start + seconds:
        open_ones = [(what, expr) for what, expr in open_ones if prometheus.has(expr)]
        time.sleep(1 if open_ones else 0)
    done = len(wanted) - len(open_ones)
    print(f"# after {time.monotonic() - start:.0f} s {done} of {len(wanted)} queries have data")
    for what, expr in wanted:
        say(what, f"{prometheus.has(expr)}: {expr}" if (what, expr) in open_ones else None)
    rules = [r for g in prometheus.get("rules")["groups"] for r in g["rules"]]
    bad = [f'{r["name"]}: {r.get("lastError")}' for r in rules if r["health"] != "ok"]
    if len(rules) != len(alerts()):
        bad.append(f"{len(rules)} rules")
    say(f"alerts: Prometheus evaluates all {len(alerts())}", "; ".join(bad))


if sys.argv[1] == "form":
    check_dashboard()
    check_alerts()
else:
    ask(sys.argv[2], float(sys.argv[3]))

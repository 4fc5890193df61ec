"""metrics_page.py PAGE [TABLE] - reads a page of eppd's metrics as strictly as it can be read.

Text 0.0.4, or OpenMetrics when it ends with # EOF. With TABLE, daemon/stat.def, families are compared
with its rows: type, labels and HELP; rows without a sample are printed as "absent NAME". Mistakes go to
stderr, one line each; exit 1.
"""
import re
import sys
from decimal import Decimal

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{(.*)\}})? ([^ ]+)')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
bad = 0


def wrong(*what):
    global bad
    bad += 1
    print(*what, file=sys.stderr)


def number(v):
    """The text of a number: shortest, exponents as Go writes them."""
    if v != v or v in (float("inf"), float("-inf")):
        return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}[repr(v)]
    sign, digits, exponent = Decimal(repr(v)).as_tuple()
    text = "".join(map(str, digits)).lstrip("0") or "0"
    e = len(text) - 1 + exponent
    text = text.rstrip("0") or "0"
    if v == 0 or -4 <= e < 6:
        return format(Decimal(repr(v)).normalize(), "f") if v else "0"
    return f"{'-' * sign}{text[0]}{'.' * (len(text) > 1)}{text[1:]}e{'-' if e < 0 else '+'}{abs(e):02d}"


def labels(text, line):
    out, at = [], 0
    while text and at < len(text):
        m = LABEL.match(text, at)
        if not m:
            wrong("labels:", line)
            return out
        out.append(m.group(1, 2))
        at = m.end()
        if m.group(3) == "," and at == len(text):
            wrong("a comma too many:", line)
    names = [n for n, _ in out if n != "le"]
    if names != sorted(set(names)) or (len(names) < len(out) and out[-1][0] != "le"):
        wrong("order of labels:", line)
    return out


class Family:
    def __init__(self, name, kind, text):
        self.name, self.kind, self.help, self.labels, self.series = name, kind, text, None, {}

    def series_of(self, line):
        """What a sample line is called, as (suffix, labels without le, le, value)."""
        m = SAMPLE.fullmatch(line)
        if not m:
            return wrong("no sample:", line)
        suffix = m.group(1)[len(self.name):]
        wanted = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("", "_total")}
        if not m.group(1).startswith(self.name) or suffix not in wanted.get(self.kind, ("",)):
            return wrong(f"in family {self.name}:", line)
        if number(float(m.group(3))) != m.group(3):
            wrong("number:", line)
        pairs = labels(m.group(2), line)
        le = dict(pairs).get("le")
        if (le is not None) != (suffix == "_bucket"):
            wrong("le:", line)
        rest = tuple(p for p in pairs if p[0] != "le")
        names = [n for n, _ in rest]
        if self.labels not in (None, names):
            wrong("other labels than before it:", line)
        self.labels = names
        return suffix, rest, le, float(m.group(3))

    def add(self, line):
        sample = self.series_of(line)
        if not sample:
            return
        suffix, rest, le, value = sample
        series = self.series.setdefault(rest, {"": [], "_total": [], "_bucket": [], "_sum": [], "_count": []})
        if suffix != "_bucket" and series[suffix]:
            wrong("twice:", line)
        series[suffix].append((le, value))

    def check(self):
        if not self.series:
            wrong(f"{self.name} has no sample")
        for key, s in self.series.items():
            if self.kind == "counter" and any(v < 0 for _, v in s[""] + s["_total"]):
                wrong(f"{self.name}: negative")
            if self.kind == "histogram":
                self.check_histogram(key, s)

    def check_histogram(self, key, s):
        if not (s["_bucket"] and s["_sum"] and s["_count"]):
            return wrong(f"{self.name}: not whole")
        bounds = [float(le) for le, _ in s["_bucket"]]
        counts = [v for _, v in s["_bucket"]]
        if bounds != sorted(set(bounds)) or bounds[-1] != float("inf") or counts != sorted(counts):
            wrong(f"{self.name}: buckets are out of order")
        if [le for le, _ in s["_bucket"]] != [number(b) for b in bounds]:
            wrong(f"{self.name}: le")
        if counts[-1] != s["_count"][0][1] or counts[-1] == 0:
            wrong(f"{self.name}: +Inf has {counts[-1]}, count is {s['_count'][0][1]}")
        return None


def read(text):
    """The families of a page, in its order."""
    lines = text.split("\n")
    if lines.pop() != "" or "" in lines:
        wrong("no newline at the end, or an empty line")
    openmetrics = bool(lines) and lines[-1] == "# EOF"
    if openmetrics:
        lines.pop()
    families, help_of = [], None
    for line in lines:
        if line.startswith("# HELP "):
            help_of = line[7:].partition(" ")
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            if not help_of or help_of[0] != name or not help_of[2]:
                wrong("TYPE without its HELP:", line)
            if openmetrics and kind == "counter" and name.endswith("_total"):
                wrong("a counter's family has no _total:", line)
            families.append(Family(name, kind, help_of[2] if help_of else ""))
            help_of = None
        elif line.startswith("#") or not families:
            wrong("comment or sample out of place:", line)
        else:
            families[-1].add(line)
    return families, openmetrics


def table(path):
    """Rows of stat.def: name -> (type, labels, help)."""
    with open(path, encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/", "", f.read(), flags=re.S)
    sets, rows = {}, {}
    for m in re.finditer(r"^(LABELS|STAT|HIST)\((.*?)\)\n(?=\n|LABELS|STAT|HIST|\Z)", text, re.S | re.M):
        body = m.group(2)
        words = [w.strip() for w in body.split(",")]
        if m.group(1) == "LABELS":
            sets[words[0]] = re.findall(r'\{ "(\w+)",', body)
            continue
        kind, label = (words[2], words[3]) if m.group(1) == "STAT" else ("histogram", words[2])
        prose = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', body))
        if words[1] in rows:
            wrong(f"{words[1]} has two rows")
        if (kind == "counter") != words[1].endswith("_total"):
            wrong(f"{words[1]}: counters, and only they, end with _total")
        if not prose.endswith("."):
            wrong(f"{words[1]}: HELP is no sentence")
        rows[words[1]] = kind, sets[label], prose
    if len(rows) != len(re.findall(r"^(?:STAT|HIST)\(", text, re.M)):
        wrong("stat.def could not be read whole")
    return rows


def compare(families, openmetrics, rows):
    seen = set()
    for f in families:
        name = f.name + "_total" * (openmetrics and f.kind == "counter")
        if rows.get(name) != (f.kind, f.labels, f.help):
            wrong(f"{name} is {f.kind, f.labels, f.help}, its row is {rows.get(name)}")
        seen.add(name)
    for name in sorted(set(rows) - seen):
        print("absent", name)


def main():
    with open(sys.argv[1], encoding="utf-8", newline="") as f:
        families, openmetrics = read(f.read())
    names = [f.name for f in families]
    # Sorted by the name with _total.
    full = [f.name + "_total" * (openmetrics and f.kind == "counter") for f in families]
    if full != sorted(full) or len(set(names)) < len(names):
        wrong("families are out of order, or one stands twice")
    for f in families:
        f.check()
    if len(sys.argv) > 2:
        compare(families, openmetrics, table(sys.argv[2]))
    sys.exit(bad > 0)


main()

"""status.py CHROMIUM FOLDER URL PART - the status page in a real browser.

Prints "pass WHAT" or "fail WHAT: why" per case, as status.sh wants it. PART: live (requests are
running), still (none are, and nothing is scraped any more), shots (pictures into FOLDER), or
lost PID (eppd, which is stopped for a while).
"""
import base64
import hashlib
import html.parser
import json
import math
import os
import re
import signal
import sys
import time
import urllib.request

from chromium import Browser

DASH, THIN = "\u2013", "\u202f"


# ---- what a value of the JSON must look like ----

def tenth(n):
    return f"{math.floor(n * 10 + .5) / 10:.1f}"


def seconds(s):
    return f"{math.floor(s)} s" if s < 100 else f"{math.floor(s / 60)} min" if s < 6000 else \
        f"{math.floor(s / 3600)} h" if s < 172800 else f"{math.floor(s / 86400)} d"


def size(n):
    unit = 0
    while n >= 1024 and unit < 4:
        n, unit = n / 1024, unit + 1
    return (tenth(n) if unit else str(n)) + " " + ["B", "KiB", "MiB", "GiB", "TiB"][unit]


def count(n):
    return f"{n:,}".replace(",", THIN)


def share(v):
    return DASH if v is None else tenth(v * 100) + " %"


LOOKS = {
    "text": str, "state": str, "count": count, "share": share, "bytes": size, "s": seconds,
    "ms": lambda v: tenth(v) + " ms" if v < 10 else f"{math.floor(v + .5)} ms" if v < 10000 else seconds(v / 1000),
    "yes": lambda v: "yes" if v else "no",
    "names": ", ".join,
    "counts": lambda v: " \u00b7 ".join(f"{k} {count(n)}" for k, n in v.items() if n),
    "place": lambda v: (v["namespace"] + "/" if v["namespace"] else "") + (v["name"] or DASH),
    "targets": lambda v: "".join(f"{t['name']}{share(t['actual_share'])} of {share(t['wanted_share'])}" for t in v),
}


def looks(look, v):
    return DASH if v is None else LOOKS[look](v) or DASH


# All tables as [{key: [look, text]}], and pairs as {key: [look, text]}, by section.
READ = """(() => {
  const out = {}, text = n => n.textContent;
  for (const t of document.querySelectorAll('table[data-of]')) {
    const heads = [...t.tHead.rows[0].cells].map(h => [h.dataset.key, h.classList[0]]);
    out[t.dataset.of] = [...t.tBodies[0].rows].filter(r => r.className !== 'detail').map(r =>
      Object.fromEntries([...r.cells].flatMap((c, i) => ['rate', 'spark'].includes(heads[i][1]) ? []
        : [[heads[i][0], [heads[i][1], text(c)]]])));
  }
  for (const l of document.querySelectorAll('dl[data-of]'))
    out[l.dataset.of] = Object.fromEntries([...l.querySelectorAll('dd')].map(d => [d.dataset.key, [d.dataset.look, text(d)]]));
  return out;
})()"""
SECTIONS = ("head", "load", "endpoints", "models", "decisions", "totals", "scrapes", "sources")


def differences(page, data, ignore=()):
    """Where the page is not what the JSON says."""
    out = []

    def same(where, cells, values):
        for key, (look, text) in cells.items():
            if key not in ignore and text != looks(look, values[key]):
                out.append(f"{where} {key}: the page has {text!r}, JSON {values[key]!r}")

    for section in SECTIONS:
        cells, values = page.get(section), data if section == "head" else data[section]
        if cells is None:
            out.append(f"{section} is not on the page")
        elif isinstance(values, dict):
            same(section, cells, values)
        elif len(cells) != len(values):
            out.append(f"{section}: {len(cells)} rows, JSON has {len(values)}")
        else:
            for c, v in zip(cells, values):
                same(section, c, v)
    return out


# ---- cases ----

def verdict(what, wrong):
    print(f"fail {what}: {'; '.join(map(str, wrong))[:900]}" if wrong else f"pass {what}", flush=True)


def get(url, path=""):
    with urllib.request.urlopen(url + path, timeout=20) as r:
        return r.headers, r.read().decode()


def expect(**wanted):
    """What is not as wanted: name=(is, should be)."""
    return [f"{k.replace('_', ' ')} is {v[0]!r}, not {v[1]!r}" for k, v in wanted.items() if v[0] != v[1]]


def sha256(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


class Links(html.parser.HTMLParser):
    """Everything of a page that a browser might load or follow."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found += [v for k, v in attrs if k in ("src", "href", "srcset", "action", "data", "poster")]


def document(url):
    """The page as it comes: policy, one document, no more than 40 KiB without its rows."""
    headers, page = get(url)
    policy = dict(rule.strip().split(" ", 1) for rule in headers["Content-Security-Policy"].split(";"))
    style, = re.findall(r"<style>(.*?)</style>", page, re.S)
    script, = re.findall(r"<script>(.*?)</script>", page, re.S)
    verdict("the policy lets this style and this script through, and nothing else", expect(
        policy=(policy, {"default-src": "'none'", "img-src": "data:", "style-src": sha256(style),
                         "script-src": sha256(script), "connect-src": "'self'", "base-uri": "'none'",
                         "form-action": "'none'", "frame-ancestors": "'none'"}),
        sniffing=(headers.get_all("X-Content-Type-Options"), ["nosniff"]),
        referrer=(headers["Referrer-Policy"], "no-referrer"),
        type=(headers["Content-Type"], "text/html; charset=utf-8")))
    links = Links(page).found
    verdict("nothing is loaded from elsewhere", [l for l in links if not re.match(
        r"#|data:image/svg|debug/pool$|metrics$", l)] or (len(links) < 4 and links) or re.findall("url|@import", style))
    frame = sum(os.path.getsize(f"daemon/status/{f}") for f in os.listdir("daemon/status"))
    verdict("less than 40 KiB", [] if frame < 40960 else [frame])


def answer(tab, after):
    """The next answer to the page's own request, and the page drawn from it."""
    for _ in range(5):
        ask = tab.wait("Network.responseReceived", lambda p: p["response"]["url"].endswith("/debug/pool"), after)
        tab.wait("Network.loadingFinished", lambda p: p["requestId"] == ask["requestId"], after)
        body = tab.call("Network.getResponseBody", requestId=ask["requestId"])["body"]
        mark = len(tab.events)
        time.sleep(0.15)
        page = tab.run(READ)
        if not any(m["method"] == "Network.loadingFinished" for m in tab.events[mark:]):
            return json.loads(body), page
        after = len(tab.events)
    raise OSError("answers come too fast")


def live(browser, url):
    tab = browser.tab()
    tab.open(url)
    wrong = []
    for _ in range(3):
        data, page = answer(tab, len(tab.events))
        wrong += differences(page, data)
    verdict("while requests run, each value on the page is that of /debug/pool", wrong)
    rates = tab.run("[...document.querySelectorAll('td.rate span')].map(e => e.textContent)")
    lines = tab.run("[...document.querySelectorAll('td.rate .line path:not(.area)')].map(e => e.getAttribute('d'))")
    verdict("picks per second are there, in numbers and as lines",
            [] if any(float(r) > 0 for r in rates) and any(re.match("M.*L", d) for d in lines) else [rates, lines])
    mark = len(tab.events)
    time.sleep(5)
    tab.run("0")
    n = sum(m["method"] == "Network.requestWillBeSent" for m in tab.events[mark:])
    verdict("one request a second", [] if 3 <= n <= 6 else [f"{n} in 5 s"])
    hidden(tab)
    decision(tab)
    sort_and_filter(tab)
    verdict("no complaint on the console", tab.complaints())
    tab.close()


def hidden(tab):
    tab.run("""Object.defineProperty(document, 'hidden', { value: true, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'))""")
    time.sleep(1.5)
    mark = len(tab.events)
    time.sleep(2.5)
    tab.run("0")
    n = sum(m["method"] == "Network.requestWillBeSent" for m in tab.events[mark:])
    tab.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    tab.wait("Network.requestWillBeSent", after=mark)
    verdict("a hidden tab asks for nothing, and goes on when it is seen", expect(requests=(n, 0)))


def decision(tab):
    number = tab.run("""(() => { const b = document.querySelector('#decisions tbody button'); b.focus(); b.click();
        return b.textContent })()""")
    tab.run("""(async () => { for (let i = 0; i < 50 && !document.querySelector('.detail table'); i++)
        await new Promise(r => setTimeout(r, 100)) })()""")
    text = tab.run("document.querySelector('.detail')?.textContent ?? ''")
    time.sleep(2.2)
    first = "document.querySelector('#decisions tbody button').textContent"
    verdict("a decision opens to its steps and holds the list", expect(
        steps=("random-picker" in text and "Routed to" in text, True), first=(tab.run(first), number),
        hint=(tab.run("document.getElementById('held').textContent"), "held while you read"),
        state=(tab.run("document.querySelector('#decisions tbody button').ariaExpanded"), "true")))
    tab.run("(() => { const b = document.querySelector('#decisions tbody button'); b.click(); b.blur() })()")
    time.sleep(2.2)
    verdict("closed, the list goes on", expect(moved=(tab.run(first) != number, True),
                                               details=(tab.run("document.querySelectorAll('.detail').length"), 0)))


def sort_and_filter(tab):
    names = "[...document.querySelectorAll('#endpoints tbody th')].map(e => e.textContent)"
    before = tab.run(names)
    button = "document.querySelector('#endpoints th[data-key=name] button')"
    tab.run(f"{button}.click()")
    up = tab.run(names)
    state = tab.run(f"{button}.parentNode.ariaSort")
    tab.run(f"{button}.click()")
    verdict("columns sort, up and down", expect(
        up=(up, sorted(before, key=str.lower)), down=(tab.run(names), up[::-1]), ascending=(state, "ascending"),
        descending=(tab.run(f"{button}.parentNode.ariaSort"), "descending")))
    tab.run("""(() => { const i = document.querySelector('input[name=endpoints]'); i.value = 'PLAIN fresh';
        i.dispatchEvent(new Event('input')) })()""")
    time.sleep(1.5)
    verdict("the filter leaves what has all words", expect(
        rows=(sorted(tab.run(names)), sorted(n for n in before if "plain" in n)),
        count=(tab.run("document.querySelector('[data-shown=endpoints]').textContent"),
               f"{len([n for n in before if 'plain' in n])} of {len(before)}")))


def still(browser, url):
    document(url)
    moving = ("now", "uptime_seconds", "age_ms", "age_s", "by_result", "bytes", "skipped")
    for script in (True, False):
        how = "with JavaScript" if script else "without JavaScript"
        tab = browser.tab(script=script)
        tab.open(url)
        if script:
            tab.wait("Network.loadingFinished", after=len(tab.events))
            time.sleep(0.3)
        page, data = tab.run(READ), json.loads(get(url, "debug/pool")[1])
        verdict(f"{how} the page says what /debug/pool says at the same time", differences(page, data, moving))
        hostile = [e["name"] for e in data["endpoints"] + data["models"] if "<" in e["name"]]
        shown = [r["name"][1] for r in page["endpoints"] + page["models"]]
        verdict(f"{how} names with markup are text", expect(
            names=(len(hostile) >= 3 and all(h in shown for h in hostile), True),
            scripts=(tab.run("document.scripts.length"), 1),
            images=(tab.run("document.images.length + document.querySelectorAll('iframe, object').length"), 0),
            ran=(tab.run("typeof window.hacked"), "undefined")))
        if not script:
            hint = tab.run("document.querySelector('noscript p').getClientRects().length")
            verdict(f"{how} it says so, reloads itself and shows no empty columns", expect(
                hint=(hint, 1), refresh=(tab.run("document.querySelector('noscript meta').content"), "10"),
                scripted=(tab.run("[...document.querySelectorAll('.scripted')].every(e => !e.getClientRects().length)"), True)))
        verdict(f"{how} no complaint on the console", tab.complaints())
        tab.close()


def shots(browser, url, folder):
    rows, paints, wide = None, set(), []
    for width, height in ((1280, 900), (360, 800)):
        for dark in (False, True):
            tab = browser.tab(width, height, dark)
            tab.open(url)
            tab.wait("Network.loadingFinished", after=len(tab.events))
            time.sleep(2.5)
            name = f"{width}-{'dark' if dark else 'light'}"
            rows = tab.run("document.querySelectorAll('#endpoints tbody tr').length")
            at = tab.run("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
            if at[0] > width:
                wide.append(f"{name}: {at[0]}")
            thin = tab.run("""[...document.querySelectorAll(':is(thead, tbody) :is(th, td)')].filter(e =>
                e.getClientRects().length && e.clientWidth < 18).map(e => e.textContent)""")
            wide += [f"{name}: no room for {t!r}" for t in thin]
            paints.add(tab.run("getComputedStyle(document.body).backgroundColor"))
            boxes = "JSON.stringify([...document.querySelectorAll('h2, thead th')].map(e => [e.offsetLeft, e.offsetWidth]))"
            before = tab.run(boxes)
            time.sleep(1.5)
            if tab.run(boxes) != before:
                wide.append(f"{name}: headings have moved")
            tab.size(width, min(at[1], 8000))
            time.sleep(0.3)
            tab.shot(f"{folder}/status-{rows}-{name}.png")
            wide += tab.complaints()
            tab.close()
    verdict(f"{rows} endpoints fit 360 and 1280 columns, and nothing jumps", wide)
    verdict("dark and light differ", expect(backgrounds=(len(paints), 2)))


def lost(browser, url, pid):
    tab = browser.tab()
    tab.open(url)
    tab.wait("Network.loadingFinished", after=len(tab.events))
    alarm = "document.getElementById('alert').textContent"

    def becomes(test, what):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if test(tab.run(alarm)):
                return []
            time.sleep(0.3)
        return [f"{what}: {tab.run(alarm)!r}"]

    try:
        os.kill(pid, signal.SIGSTOP)
        wrong = becomes(lambda text: "does not answer" in text, "eppd is away")
        ago = tab.run("document.querySelector('#live b').textContent")
        wrong += [] if int(ago.split()[0]) >= 4 else [f"last update {ago} ago"]
    finally:
        os.kill(pid, signal.SIGCONT)
    verdict("eppd away: the page says so, and how old it is", wrong)
    verdict("eppd back: the page goes on", becomes(lambda text: text == "", "eppd is back"))
    tab.close()


def main(chromium, folder, url, part, *more):
    with Browser(chromium, folder) as browser:
        if part == "live":
            live(browser, url)
        elif part == "still":
            still(browser, url)
        elif part == "shots":
            shots(browser, url, folder)
        elif part == "lost":
            lost(browser, url, int(more[0]))
        else:
            browser.tab().open("about:blank")
            print("pass Chromium runs")


if __name__ == "__main__":
    main(*sys.argv[1:])

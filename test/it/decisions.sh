#!/bin/sh
# decisions.sh - why was that endpoint picked? /debug/ and x-eppd-explain, from start to end.
. test/it/lib.sh
command -v python3 >/dev/null || {
        skip "python3 is not here: every test of this file"
        exit 0
}
process=/envoy.service.ext_proc.v3.ExternalProcessor/Process

start_sim --servers 4 || exit 1
# shellcheck disable=SC2086
set -- $servers
a=$1 b=$2 c=$3 d=$4
endpoints() { # NAME=ADDR...
        echo 'endpoints:'
        for e; do echo "- {name: ${e%%=*}, address: ${e#*=}}" | sed 's/\(address: [0-9.]*\):/\1, port: /'; done
}
endpoints "a=$a" "b=$b" "c=$c" "d=$d" >"$dir/endpoints.yaml"
model() { # NAME CRITICALITY
        printf '%s\n' --- 'apiVersion: inference.networking.x-k8s.io/v1alpha2' 'kind: InferenceModel' \
                "metadata: {name: $1}" "spec: {modelName: $1, criticality: $2, poolRef: {name: pool}}"
}
{ model gold Critical; model cheap Sheddable; } >"$dir/models.yaml"
# start FLAGS...: eppd over the four
start() {
        start_eppd --secure-serving=false --endpoints-file="$dir/endpoints.yaml" --objects="$dir/models.yaml" \
                --pool-name=pool --model-match=passthrough "$@"
}
page() { echo "http://127.0.0.1:$admin/debug/decisions${1:+?$1}"; }
see() { # QUERY EXPRESSION over d, the decisions, and page
        python3 test/it/decisions.py see "$(page "$1")" "$2"
}
ask() { # ID MODEL [HEADER VALUE]...: a request, as a gateway shows it
        python3 test/it/decisions.py ask "$@" >"$dir/ask.bin" &&
                get -o "$dir/answer" --http2-prior-knowledge -H 'content-type: application/grpc' \
                        --data-binary "@$dir/ask.bin" "http://127.0.0.1:$grpc$process"
}
stream() { # OPTIONS of load
        timeout 60 "build/$variant/test/bench/load" --target "127.0.0.1:$grpc" --model gold "$@" >"$dir/load"
}
load() { # SERVER JSON: what its metrics page says from now on
        get -o "$dir/null" "http://$1/sim" -d "$2"
}
waiting() { same "$2" "$(metric "eppd_endpoint_waiting_requests{endpoint=\"default/$1\"}")"; }
by() { echo "{e['name']: e['dropped_by'] for e in d[0]['endpoints']}"; } # who took them out

check "eppd starts" start --decision-ring=64 || exit 1
check "without decisions the list is empty" see '' "page == {'decisions': [], 'newest': 0}"

# One has a long queue, one a full cache, one a short queue.
load "$a" '{"waiting":500,"running":7,"kv":0.25}'
load "$b" '{"waiting":0,"kv":0.97}'
load "$c" '{"waiting":40,"kv":0.1}'
load "$d" '{"waiting":0,"kv":0.2}'
for e in a=500 c=40 b=0 d=0; do
        check "default/${e%=*} is scraped" until_ok 5 waiting "${e%=*}" "${e#*=}"
done
check "a request" ask first gold
check "is the newest" see '' "page['newest'] == 1 and d[0]['number'] == 1 and d[0]['request_id'] == 'first'"
check "says what was asked" see '' "(d[0]['model'], d[0]['target'], d[0]['critical'], d[0]['priority']) == \
        ('gold', 'gold', True, 0)"
check "and when" see '' "0 <= d[0]['age_seconds'] < 60 and d[0]['time'][10] == 'T' and d[0]['time'][-1] == 'Z'"
check "who was chosen" see '' "(d[0]['result'], d[0]['code'], d[0]['reason'], d[0]['endpoint'], \
        d[0]['candidates']) == ('routed', None, None, 'default/d', 4)"
check "what each filter left" see '' "[(s['plugin'], s['in'], s['out']) for s in d[0]['steps']] == \
        [('criticality-filter', 4, 4), ('low-queue-filter', 4, 3), ('lora-affinity-filter', 3, 0), \
        ('least-queue-filter', 3, 2), ('least-kv-cache-filter', 2, 1), ('random-picker', 1, 1)]"
check "which filter took each endpoint out" see '' "$(by) == {'default/a': 'low-queue-filter', \
        'default/b': 'least-kv-cache-filter', 'default/c': 'least-queue-filter', 'default/d': None}"
check "how far they came" see '' "{e['name'][-1]: e['passed'] for e in d[0]['endpoints']} == \
        {'a': 1, 'b': 3, 'c': 2, 'd': 5}"
check "and the load that was seen" see '' "[(e['waiting'], e['running'], e['kv_cache'], e['in_flight'], \
        0 <= e['age_ms'] < 5000) for e in d[0]['endpoints'] if e['name'] == 'default/a'] == \
        [(500, 7, 0.25, 0, True)]"

# A refusal.
for e in "$b" "$c" "$d"; do load "$e" '{"waiting":9,"kv":0.9}'; done
for e in b c d; do check "default/$e is full" until_ok 5 waiting $e 9; done
check "a request that is dropped" ask second cheap
check "says so" see 'id=second' "(d[0]['result'], d[0]['code'], d[0]['endpoint'], d[0]['critical']) == \
        ('refused', 429, None, False) and 'saturated' in d[0]['reason']"
check "and which filter left nobody" see 'id=second' "d[0]['steps'] == \
        [{'plugin': 'criticality-filter', 'in': 4, 'out': 0}, {'plugin': 'capacity-filter', 'in': 4, 'out': 0}] \
        and set($(by).values()) == {'capacity-filter'} and {e['passed'] for e in d[0]['endpoints']} == {0}"
check "a request that cannot be read" ask third 'x"'
check "is there with its reason" see 'last=1' "d[0]['code'] == 400 and 'not JSON' in d[0]['reason'] and \
        d[0]['steps'] == [] and d[0]['endpoints'] == [] and d[0]['candidates'] == 0"

# What is shown.
for i in 1 2 3; do ask "g$i" gold; ask "o$i" other; done
check "newest first" see '' "[x['request_id'] for x in d] == \
        ['o3', 'g3', 'o2', 'g2', 'o1', 'g1', 'third', 'second', 'first']"
check "of a model" see 'model=gold' "[x['request_id'] for x in d] == ['g3', 'g2', 'g1', 'first']"
check "of none" see 'model=' "[x['request_id'] for x in d] == ['third']"
check "by id" see 'id=o2' "[x['number'] for x in d] == [7]"
check "the last two" see 'last=2' "[x['number'] for x in d] == [9, 8]"
check "the last of a model" see 'last=1&model=gold' "[x['request_id'] for x in d] == ['g3']"
check "later ones" see 'since=7' "[x['number'] for x in d] == [9, 8] and page['newest'] == 9"
check "none later" see 'since=9' "page == {'decisions': [], 'newest': 9}"
check "with an endpoint" see 'endpoint=default/a' "len(d) == 8 and all(any(e['name'] == 'default/a' \
        for e in x['endpoints']) for x in d)"
check "without its namespace" see 'endpoint=a' "len(d) == 8"
check "escaped in the query" see 'endpoint=default%2Fa&model=%67old' "len(d) == 4"
check "with an endpoint that is none" see 'endpoint=z' "d == []"
wrong() { # QUERY WORD: 400, and the line has the word
        same 400 "$(get -o "$dir/wrong" -w '%{http_code}' "$(page "$1")")" && grep -q "$2" "$dir/wrong" &&
                same 1 "$(wc -l <"$dir/wrong")"
}
check "last=x is refused" wrong last=x 'last is'
check "last=0 is refused" wrong last=0 'last is'
check "last=-1 is refused" wrong last=-1 'last is'
check "last= is refused" wrong last= 'last is'
check "an endless number is refused" wrong last=99999999999999999999 'last is'
check "since=x is refused" wrong since=x 'since is'
check "an unknown parameter is refused" wrong 'model=gold&modle=x' 'parameters are'
check "HEAD is answered" same 200 "$(code_of -I "$(page)")"

# An endpoint that is gone.
endpoints "b=$b" "c=$c" "d=$d" >"$dir/endpoints.yaml"
three() { same 3 "$(get "http://127.0.0.1:$admin/metrics" | grep -c '^eppd_picks_total{')"; }
check "an endpoint is removed" until_ok 5 three
check "its name stays readable" see 'id=first' "'default/a' in $(by)"
check "new decisions do not know it" ask last gold
check "any more" see 'last=1' "d[0]['candidates'] == 3 and 'default/a' not in $(by)"

# What peers send: valid JSON, whatever it is.
long=$(printf '%0300d' 0)
smile=$(printf '\360\237\230\200')
odd() { # ID MODEL, and what JSON says of them
        ask "$1" "$2" && see last=1 "(d[0]['request_id'], d[0]['model']) == ($3)"
}
check "quotes and backslashes" odd 'a"b\c' 'm\"n\\o' "'a\"b\\\\c', 'm\"n\\\\o'"
check "control bytes" odd "$(printf 'a\001\033[31m\177\n\tb')" m "'a\\x01\\x1b[31m\\x7f\\n\\tb', 'm'"
check "not UTF-8" odd "$(printf 'a\377\300\200b')" 'x' "'a\\ufffd\\ufffd\\ufffdb', 'x'"
check "names of models that are refused" odd u "$(printf 'm\355\240\200')" "'u', ''"
check "markup" odd '</script><b>' '\u003cimg src=x\u003e' "'</script><b>', '<img src=x>'"
check "characters of four bytes" odd "$smile" "$smile" "'\\U0001f600', '\\U0001f600'"
check "long ones are cut" odd "$long" "$long" "'0' * 128, '0' * 128"
check "but not in a character" odd "x$smile$smile$smile$smile$smile$smile$smile$smile$smile$smile$smile$smile$smile\
$smile$smile$smile$smile$smile$smile$smile$smile$smile$smile$smile$smile$smile$smile$smile$smile$smile$smile\
$smile$smile" "$long" "'x' + '\\U0001f600' * 31, '0' * 128"
check "and are found by their whole name" see "id=$long" "len(d) == 1"
noise() { # random bytes without NUL and newline
        for i in 1 2 3 4 5 6 7 8 9 10; do
                ask "$(head -c 60 /dev/urandom | tr -d '\000\n')" \
                        "$(head -c 60 /dev/urandom | tr -d '\000-\037"\\')" || return 1
        done
        see last=10 "len(d) == 10"
}
check "noise" noise

# The ring.
check "older ones are gone" see last=64 "len(d) < 64" # not yet
check "more requests than the ring has places" stream --requests 150
check "the ring has gone round" see 'last=1000' "page['newest'] > 150 and \
        [x['number'] for x in d] == list(range(page['newest'], page['newest'] - 64, -1))"
check "what it has forgotten is not found" see 'id=first' "d == []"
check "without last there are 64 of 64" see '' "len(d) == 64"
check "eppd ends well" stop "$eppd_pid"

# Large pages, while new decisions come.
check "a larger ring" start --decision-ring=3000
check "2,000 requests" stream --requests 2000
check "come back whole, in pieces" see last=3000 "[x['number'] for x in d] == list(range(2000, 0, -1))"
check "100 without last" see '' "len(d) == 100"
stream --requests 1000000 --duration 6 &
storm=$!
pids="$pids $storm"
for i in 1 2 3 4; do # what is overtaken by newer ones is left out at the end
        check "while requests come, page $i is good JSON" see last=3000 "page['newest'] > 2000 and \
                [x['number'] for x in d] == list(range(page['newest'], page['newest'] - len(d), -1))"
done
wait "$storm" || not_ok "requests while pages are read" "$dir/load"
slow() { # nobody waits for a reader that does not read; it is cut off, not answered badly
        timeout 2 curl -s --limit-rate 1000 -o "$dir/slow" "$(page last=3000)"
        stream --requests 100 && see last=1 "len(d) == 1"
}
check "a slow reader keeps nobody" slow
check "eppd ends well" stop "$eppd_pid"

# Other pages.
export EPPD_SEED=5
check "eppd starts" start --decision-ring=7
unset EPPD_SEED
look() { # PATH EXPRESSION over page
        python3 test/it/decisions.py see "http://127.0.0.1:$admin$1" "$2"
}
check "flags, with who said them" look /debug/config "page['flags']['decision-ring'] == \
        {'value': '7', 'source': 'flag'} and page['flags']['seed'] == \
        {'value': '5', 'source': 'environment'} and page['flags']['scheduler']['source'] == 'default'"
check "lists" look /debug/config "page['flags']['objects']['value'] == ['$dir/models.yaml'] and \
        page['flags']['endpoint']['value'] == []"
every_flag() {
        "$eppd" --dump-config --endpoint=1.1.1.1:1 --objects=x | sed -n 's/^--\([a-z0-9-]*\)=.*/\1/p' |
                sort >"$dir/want"
        get "http://127.0.0.1:$admin/debug/config" | grep -o '^ "[a-z0-9-]*"' | tr -d ' "' | sort >"$dir/got"
        diff "$dir/want" "$dir/got"
}
check "every flag" every_flag
check "memory" look /debug/memory "page['resident_bytes'] > 1 << 20 and page['pool']['endpoints'] == 3 and \
        page['decision_ring']['size'] == 7 and page['decision_ring']['held'] == 0 and \
        page['streams'] == {'open': 0, 'held_body_bytes': 0}"
for i in $(seq 9); do ask "m$i" gold; done
check "memory of a full ring" look /debug/memory "page['decision_ring']['held'] == 7 and \
        7 * 1024 < page['decision_ring']['bytes'] < 7 * 8192"
listed() {
        get "http://127.0.0.1:$admin/debug/" >"$dir/list"
        for p in $(cat "$dir/list"); do same 200 "$(code_of "http://127.0.0.1:$admin$p")" || return 1; done
        grep -qx /debug/decisions "$dir/list"
}
check "a list of the pages, all of which are there" listed
check "eppd ends well" stop "$eppd_pid"

# Off.
check "eppd starts without a ring" start --decision-ring=0
check "a request" ask off gold
without() {
        same 404 "$(get -o "$dir/off" -w '%{http_code}' "$(page)")" && grep -q 'decision-ring=0' "$dir/off"
}
check "404, with the reason" without
check "no memory for it" look /debug/memory "page['decision_ring'] == {'size': 0, 'held': 0, 'bytes': 0}"
check "eppd ends well" stop "$eppd_pid"

# x-eppd-explain, through a real gateway.
explain() { # CURL OPTIONS...: what the response says of the pick of a chat
        get -o "$dir/body" -D "$dir/heads" "http://127.0.0.1:$http/v1/chat/completions" "$@" -d \
                "{\"model\":\"${model:-gold}\",\"max_tokens\":1,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
        tr -d '\r' <"$dir/heads" | sed -n 's/^x-eppd-explain: //p'
}
told() { # the pick that was made
        told=$(explain -H 'x-eppd-explain: 1')
        where=$(tr -d '\r' <"$dir/heads" | sed -n 's/^x-sim-endpoint: //p')
        case $told in
        "endpoint=$where name=default/"[bcd]" candidates=3 criticality-filter=3>3 "*" waiting=9 running="*) ;;
        *) echo "$told"; return 1 ;;
        esac
        get "http://$where/sim/last" >"$dir/last" && ! grep -i explain "$dir/last"
}
refused_told() {
        told=$(model=cheap explain -H 'x-eppd-explain: 1')
        grep -q '^HTTP/1.1 429' "$dir/heads" &&
                same 'refused=429 candidates=3 criticality-filter=3>0 capacity-filter=3>0' "$told"
}
silent() { # CURL OPTIONS...
        same '' "$(explain "$@")" && grep -q '^HTTP/1.1 200' "$dir/heads" && ! grep -i explain "$dir/heads"
}
if envoy=$(sh test/it/envoy.sh get); then
        check "eppd starts with the header allowed" start --allow-explain-header --decision-ring=0
        check "Envoy starts" start_envoy
        check "the response says why, the model server sees no question" told
        check "a refusal says why" refused_told
        check "nothing is said unasked" silent
        stop "$envoy_pid" >/dev/null 2>&1
        check "Envoy starts, buffered" start_envoy req=BUFFERED resp=BUFFERED trailers=SKIP
        check "the response says why" told
        stop "$envoy_pid" >/dev/null 2>&1
        check "Envoy starts, without response headers" start_envoy resphead=SKIP
        check "nothing can be said there" silent -H 'x-eppd-explain: 1'
        stop "$envoy_pid" >/dev/null 2>&1
        check "eppd ends well" stop "$eppd_pid"
        check "eppd starts with the header not allowed" start
        check "Envoy starts" start_envoy
        check "nothing is said" silent -H 'x-eppd-explain: 1'
        asked_in_vain() {
                for e in "$b" "$c" "$d"; do get "http://$e/sim/last"; done >"$dir/last"
                ! grep -i explain "$dir/last"
        }
        check "and the model server sees no question" asked_in_vain
        stop "$envoy_pid" >/dev/null 2>&1
        check "eppd ends well" stop "$eppd_pid"
else
        skip "x-eppd-explain from start to end: no Envoy can be had here"
fi
finish

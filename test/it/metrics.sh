#!/bin/sh
# metrics.sh - documents against code: every row of stat.def is on /metrics, exactly once, and
# nothing else is; the page is exposition text whatever the endpoints are called.
. test/it/lib.sh
cat >"$dir/endpoints.yaml" <<'YAML'
endpoints:
- {name: plain, address: 127.0.0.1, port: 9}
- {name: "back\\slash \"quoted\"", address: 127.0.0.1, port: 10}
YAML
start_eppd --endpoints-file="$dir/endpoints.yaml" || exit 1
get "http://127.0.0.1:$admin/metrics" >"$dir/page"

# Rows as "name type label".
sed -n 's/^STAT(\([a-z0-9_]*\), \([a-z]*\), \([a-z_]*\),.*/\1 \2 \3/p' daemon/stat.def >"$dir/rows"
cut -d' ' -f1,2 "$dir/rows" >"$dir/types.want"
cut -d' ' -f1 "$dir/rows" >"$dir/names"
sed -n 's/^# TYPE //p' "$dir/page" >"$dir/types"
sed -n 's/^# HELP \([^ ]*\) .*\.$/\1/p' "$dir/page" >"$dir/helps"
# Samples of PAGE as "name label_label", doubles folded.
samples() {
        sed -n -e '/^#/d;s/="\(\\.\|[^\\"]\)*"//g;s/,/_/g' -e 's/^\([a-z0-9_]*\){\([a-z_]*\)}.*/\1 \2/p;t' \
                -e 's/^\([a-z0-9_]*\) .*/\1 none/p' "$1" | uniq
}
samples "$dir/page" >"$dir/samples"
# Those of a Lease are there with leader election only (lease.sh).
# auth is another label of the name result.
cut -d' ' -f1,3 "$dir/rows" | grep -v ' name$' | sed 's/ auth$/ result/' >"$dir/all.want"
# Without an API server there is nothing to say of its kinds.
grep -vE ' (kind|code)[a-z_]*$' "$dir/all.want" >"$dir/samples.want"
every_row() { same "$(grep -c '^STAT(' daemon/stat.def)" "$(wc -l <"$dir/rows")"; }
once() { ! sort "$dir/names" | uniq -d | grep .; }
named() {
        ! awk '($2 == "counter") != ($1 ~ /_total$/) { print; bad = 1 }
                END { exit !bad }' "$dir/rows"
}
# values FAMILY: those of its label, as they stand on the page
values() { sed -n "s/^$1{[a-z_]*=\"\(.*\)\"} .*/\1/p" "$dir/page"; }
check "the table is read whole" every_row
check "no row stands twice" once
check "counters, and only they, end with _total" named
check "TYPE lines are the table, in its order" diff "$dir/types.want" "$dir/types"
check "HELP lines are sentences, one per row" diff "$dir/names" "$dir/helps"
check "each family has its samples and their label" diff "$dir/samples.want" "$dir/samples"
check "names from files are escaped" same \
        "$(printf '%s\n' 'default/back\\slash \"quoted\"' default/plain)" \
        "$(values eppd_picks_total | sort)"
check "states" same "never fresh stale missing" "$(values eppd_endpoints | paste -sd ' ')"
watched() { # the same with an API server: every family has samples
        start_fakekube && kube_file || return 1
        get -o "$dir/null" "$kube/fake/set" -d '{"absent": ["inferenceobjectives.llm-d.ai"]}'
        start_eppd --kubeconfig="$dir/kubeconfig" --pool-name=pool || return 1
        get -o "$dir/null" -X POST "$kube/apis/inference.networking.k8s.io/v1/namespaces/default/inferencepools" \
                -d '{"metadata":{"name":"pool"},"spec":{"selector":{"matchLabels":{"app":"vllm"}},
                "targetPorts":[{"number":9}]}}'
        get -o "$dir/null" -X POST "$kube/fake/pods?n=2"
        until_ok 10 two_endpoints && get "http://127.0.0.1:$admin/metrics" >"$dir/page" &&
                samples "$dir/page" | diff "$dir/all.want" - &&
                same 2 "$(metric 'eppd_watch_objects{kind="pods"}')" &&
                same 1 "$(metric 'eppd_watch_state{kind="pods",state="watch"}')" &&
                [ "$(sed -n 's/^rest_client_requests_total{code="404",method="GET",host="127.*} //p' \
                        "$dir/page")" -ge 1 ]
}
two_endpoints() { same 2 "$(get "http://127.0.0.1:$admin/metrics" | grep -c '^eppd_picks_total{')"; }
if command -v python3 >/dev/null; then
        check "with an API server every family has samples" watched
else
        skip "python3 is not here: the families of the API server"
fi
if command -v promtool >/dev/null; then
        check "promtool finds nothing" promtool check metrics <"$dir/page"
else
        skip "promtool is not here (Debian package prometheus): the page's form"
fi
finish

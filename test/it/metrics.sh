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
# Samples as "name label", doubles folded.
sed -n -e 's/^\([a-z0-9_]*\){\([a-z_]*\)=".*/\1 \2/p;t' -e 's/^\([a-z0-9_]*\) .*/\1 none/p' \
        "$dir/page" | uniq >"$dir/samples"
cut -d' ' -f1,3 "$dir/rows" >"$dir/samples.want"
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
if command -v promtool >/dev/null; then
        check "promtool finds nothing" promtool check metrics <"$dir/page"
else
        skip "promtool is not here (Debian package prometheus): the page's form"
fi
finish

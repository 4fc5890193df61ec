#!/bin/sh
# manual.sh - documents against code: pages are well formed and name everything, examples run.
. test/it/lib.sh
man=build/$variant/man
pages="eppd.8 eppd.conf.5 eppd-plugins.7 eppd-metrics.7 eppd-design.7"
same_pages() { same "$(printf '%s\n' $pages | sort)" "$(cd man && printf '%s\n' *.in | sed 's/\.in$//' | sort)"; }
check "the pages are those of man/" same_pages
fits() { ! awk 'length($0) > 80 { print; bad = 1 } END { exit !bad }' "$1"; }
if command -v mandoc >/dev/null; then
        for p in $pages; do
                check "$p: mandoc finds nothing" mandoc -T lint -W warning "$man/$p"
                mandoc -T ascii "$man/$p" | sed 's/.\x08//g' >"$dir/$p.txt"
                check "$p fits 80 columns" fits "$dir/$p.txt"
        done
else
        skip "mandoc is not here: the manual's form"
fi
refers() { # to pages that are there
        ! for p in $pages; do
                sed -n 's/^\.\(It \|Pq \)*Xr \(eppd[a-z.-]*\) \([0-9]\).*/\2.\3/p' "$man/$p" | sort -u |
                        while read -r to; do [ -e "$man/$to" ] || echo "$p: no page $to"; done
        done | grep .
}
check "pages refer to pages that are there" refers

# ---- tables ----
"$eppd" --help >"$dir/help"
"$eppd" --dump-config | sed 's/=.*//' | sort >"$dir/dumped"
sed -n 's/^  \(--[a-z0-9-]*\).*/\1/p' "$dir/help" | grep -vxE -e '--(dump-config|help)' |
        sort >"$dir/helped"
sed -n 's/^\.It Fl -\([a-z0-9-]*\).*/--\1/p' "$man/eppd.8" | sort >"$dir/manual"
lists='--endpoint --objects' # have no value until given
# shellcheck disable=SC2086
printf '%s\n' $lists | sort - "$dir/dumped" >"$dir/all"
check "--help names exactly the flags" diff "$dir/all" "$dir/helped"
check "eppd(8) names exactly the flags" diff "$dir/all" "$dir/manual"
wide() { ! awk 'length($0) > 100 { print; bad = 1 } END { exit !bad }' "$dir/help"; }
check "--help fits a screen's width" wide
blanks() { ! grep -n ' $' "$dir/help"; }
check "and has no blanks at the ends of lines" blanks
names_plugins() {
        sed -n 's/^ *\.name = "\([^"]*\)".*/\1/p' lib/plugin/*.c | sort >"$dir/plugins"
        sed -n 's/^\.It Cm \([a-z-]*\) Pq .*/\1/p' "$man/eppd-plugins.7" | sort | diff "$dir/plugins" -
}
check "eppd-plugins(7) names exactly the plugins" names_plugins
names_metrics() { # those of the page; and each row of the table, whatever the page has
        get "http://127.0.0.1:$admin/metrics" | sed -n 's/^# TYPE \([^ ]*\) .*/\1/p' | sort >"$dir/shown"
        sed -n 's/^\.It Va \([a-z0-9_]*\) Pq .*/\1/p' "$man/eppd-metrics.7" | sort >"$dir/families"
        [ -s "$dir/shown" ] && ! comm -23 "$dir/shown" "$dir/families" | grep . &&
                same "$(grep -cE '^(STAT|HIST)\(' daemon/stat.def)" "$(wc -l <"$dir/families")"
}

# ---- examples: a comment before each says what to do with it ----
mkdir -p "$dir/ex" "$dir/at/models" "$dir/bin" "$dir/home/.kube"
# shellcheck disable=SC2086 # names without blanks
(cd "$man" && cat $pages) | awk -v to="$dir/ex/" '
        /^\.\\" example / { kind = $3; name = $4; next }
        /^\.Sh / { within = $2 == "EXAMPLES" }
        /^\.Bd/ { if (kind) n++; else if (within) print "not marked, behind: " prev >(to "unmarked"); on = kind != ""; prev = $0
                if (on) { file = sprintf("%s%02d.%s", to, n, kind); if (name) print name >(file ".name") } next }
        /^\.Ed/ { on = 0; kind = name = "" }
        on { gsub(/\\e/, "\\"); print >file }
        { prev = $0 }'
marked() { [ ! -e "$dir/ex/unmarked" ] || { cat "$dir/ex/unmarked"; return 1; }; }
check "every example says what it is" marked
for f in "$dir"/ex/*.file; do
        cp "$f" "$dir/at/$(cat "$f.name")"
done
cat >"$dir/bin/eppd" <<SH
#!/bin/sh
echo \$\$ >"$dir/pid"
exec "$PWD/$eppd" "\$@" --bind-address=127.0.0.1 --grpc-port=0 --grpc-health-port=0 --metrics-port=0
SH
chmod +x "$dir/bin/eppd"
starts() { # SCRIPT: an eppd that listens, and ends well
        rm -f "$dir/pid" "$dir/eppd.log"
        (cd "$dir/at" && HOME=$dir/home KUBECONFIG=$dir/kubeconfig PATH=$dir/bin:$PATH exec sh "$1") \
                >"$dir/eppd.log" 2>&1 &
        sh_pid=$!
        until_ok 10 grep -q 'ev=listening' "$dir/eppd.log"
        listens=$?
        kill "$(cat "$dir/pid")" # the shell waits for it
        wait "$sh_pid"
        same "0 0" "$listens $?" || { cat "$dir/eppd.log"; return 1; }
}
if command -v python3 >/dev/null && start_fakekube; then
        kube_file
        sed 's/context: c/context: other/;s/name: c, context/name: admin, context/' "$dir/kubeconfig" \
                >"$dir/home/.kube/test"
        for f in "$dir"/ex/*.start; do
                check "example: $(tr -s '\\\n ' ' ' <"$f")" starts "$f"
        done
else
        skip "python3 is not here: the examples of eppd's command line, some of which ask an API server"
fi
start_eppd --endpoint=127.0.0.1:9 || exit 1
check "eppd-metrics(7) names what is on /metrics" names_metrics
prints() { # SCRIPT: something, and succeeds
        sed "s/localhost:9090/127.0.0.1:$admin/g" "$1" >"$dir/script" && sh "$dir/script" >"$dir/printed" &&
                [ -s "$dir/printed" ]
}
for f in "$dir"/ex/*.run; do
        check "example: $(tr -s '\n ' ' ' <"$f")" prints "$f"
done
stop "$eppd_pid" >/dev/null 2>&1
rule() { # QUERY: is one
        { printf 'groups:\n- name: g\n  rules:\n  - record: r\n    expr: |\n'; sed 's/^/      /' "$1"; } >"$dir/rule.yml"
        promtool check rules "$dir/rule.yml"
}
if command -v promtool >/dev/null; then
        check "example: prometheus.yml" promtool check config "$dir/at/prometheus.yml"
        for f in "$dir"/ex/*.query; do
                check "example: $(tr -s '\n ' ' ' <"$f")" rule "$f"
        done
else
        skip "promtool is not here (Debian package prometheus): the examples of queries"
fi
taken() { # both entries of the manual's endpoints file
        start_eppd --endpoints-file="$dir/at/endpoints.yaml" --objects="$dir/at/models" &&
                grep 'ev=ready endpoints=2 models=2' "$dir/eppd.log"
}
check "the manual's endpoints and models are taken whole" taken
stop "$eppd_pid" >/dev/null 2>&1
mistakes() { # the lines that eppd.conf(5) shows are those that eppd says
        mkdir "$dir/bad"
        printf 'endpoints:\n- name: a\n  port: 0\n  address: 10.0.0.1\n' >"$dir/bad/endpoints.yaml"
        printf '%s\n' 'apiVersion: inference.networking.x-k8s.io/v1alpha2' 'kind: InferenceModel' \
                'metadata:' '  name: x' '# of no name' 'spec:' '  poolRef: {name: demo}' >"$dir/bad/models.yaml"
        for flag in --endpoints-file=endpoints.yaml "--endpoint=127.0.0.1:9 --objects=models.yaml"; do
                # shellcheck disable=SC2086
                (cd "$dir/bad" && timeout 5 "$OLDPWD/$eppd" $flag)
                same 1 $? || return 1
        done >"$dir/said" 2>&1
        diff "$dir"/ex/*.mistakes "$dir/said"
}
check "mistakes in files read as eppd.conf(5) shows them" mistakes

# ---- what is installed ----
installs() {
        make VARIANT="$variant" install DESTDIR="$dir/root" prefix=/usr || return 1
        for p in $pages; do echo "/usr/share/man/man${p##*.}/$p"; done | cat - "$dir/sbin" | sort >"$dir/wanted"
        (cd "$dir/root" && find usr -type f | sed 's|^|/|' | sort) | diff "$dir/wanted" -
}
echo /usr/sbin/eppd >"$dir/sbin"
check "make install puts the program and its pages" installs

# The original's manifest, with files as its source: its own argument list, kept as data.
original() {
        # shellcheck disable=SC2046
        USE_STREAMING=true start_eppd $(grep -v '^#' test/data/original-args.txt) \
                --endpoint=127.0.0.1:9 &&
                same 200 "$(code_of "http://127.0.0.1:$admin/readyz")"
}
check "the original's argument list starts and becomes ready" original
stop "$eppd_pid" >/dev/null 2>&1
finish

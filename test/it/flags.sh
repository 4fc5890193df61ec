#!/bin/sh
# flags.sh - every flag with nonsense, in every way it can be given; what is printed, and to whom.
. test/it/lib.sh
# NAME KIND of every flag, from the table itself.
tr '\n' ' ' <daemon/opt.def | grep -oE 'OPT\([a-z0-9_]+, *[A-Z]+, *"[a-z0-9-]+"' |
        sed 's/OPT([a-z0-9_]*, *\([A-Z]*\), *"\(.*\)"/\2 \1/' >"$dir/flags"
"$eppd" --help >"$dir/help"
sed -n 's/^  --\([a-z0-9-]*\).*/\1/p' "$dir/help" | grep -vxE 'dump-config|help' | sort >"$dir/helped"
cut -d' ' -f1 "$dir/flags" | sort >"$dir/named"
check "every flag of the table is in --help" diff "$dir/named" "$dir/helped"

# What no kind but a text can hold; a text is taken as it is.
nonsense='nonsense|-1||99999999999999999999|99999999999h|-5s|1e400|0x1f| 1|1 |tru|{}|%s%n'
takes() { # KIND VALUE: whether it is one all the same
        case $1:$2 in
        HEADER: | 'HEADER:1 ' | 'HEADER: 1' | HEADER:{}) return 1 ;;
        TEXT:* | LIST:?* | HEADER:* | METRIC:nonsense | METRIC:tru | METRIC: | LEVEL:) return 0 ;;
        *) return 1 ;;
        esac
}
# one_line NAME FILE: exactly one, which names the flag
one_line() { [ "$(wc -l <"$2")" = 1 ] && grep -qF -e "$1: " "$2"; }
# each_value COMMAND: with NAME KIND VALUE for every flag and every nonsense
each_value() {
        while read -r flag kind; do
                rest=$nonsense
                while :; do
                        value=${rest%%|*}
                        tried=$((tried + 1))
                        "$1" "$flag" "$kind" "$value" || { echo "--$flag ($kind) \"$value\""; cat "$dir/err"; wrong=1; }
                        [ "$rest" != "$value" ] || break
                        rest=${rest#*|}
                done
        done <"$dir/flags"
}
of_the_line() { # NAME KIND VALUE
        "$eppd" "--$1=$3" --dump-config >"$dir/dump" 2>"$dir/err"
        rc=$?
        if takes "$2" "$3"; then
                [ $rc = 0 ] && [ ! -s "$dir/err" ] && grep -qxF -e "--$1=$3" "$dir/dump"
        else
                [ $rc = 1 ] && [ ! -s "$dir/dump" ] && one_line "--$1" "$dir/err"
        fi
}
of_the_environment() {
        variable=EPPD_$(echo "$1" | tr 'a-z-' 'A-Z_')
        env "$variable=$3" "$eppd" --dump-config >"$dir/dump" 2>"$dir/err"
        rc=$?
        if [ -z "$3" ]; then # counts as none
                [ $rc = 0 ] && [ ! -s "$dir/err" ]
        elif takes "$2" "$3" || [ "$2" = LIST ]; then
                [ $rc = 0 ] && [ ! -s "$dir/err" ]
        else
                [ $rc = 1 ] && [ ! -s "$dir/dump" ] && one_line "$variable" "$dir/err"
        fi
}
all_flags() { # COMMAND VALUES
        wrong=0 tried=0 nonsense=$2
        each_value "$1"
        [ "$wrong" = 0 ] && same "$(($(wc -l <"$dir/flags") * $(echo "$nonsense" | tr '|' '\n' | wc -l)))" "$tried"
}
check "each flag with nonsense: one line that names it" all_flags of_the_line "$nonsense"
check "each variable with nonsense: one line that names it" all_flags of_the_environment 'nonsense|-1||99999999999999999999'

# Texts that mean something: whoever reads them refuses, and starts nothing.
here='--bind-address=127.0.0.1 --grpc-port=0 --grpc-health-port=0 --metrics-port=0'
local=--endpoint=127.0.0.1:9
unset KUBECONFIG KUBERNETES_SERVICE_HOST
HOME=/nonexistent
export HOME
refused() { # WORD FLAGS...: WORD is in the one line
        word=$1
        shift
        # shellcheck disable=SC2086
        timeout 10 "$eppd" $here "$@" >"$dir/out1" 2>"$dir/err"
        rc=$?
        [ $rc = 1 ] && [ ! -s "$dir/out1" ] && [ "$(wc -l <"$dir/err")" = 1 ] &&
                grep -qF -e "$word" "$dir/err" || { echo "exit $rc: $*"; cat "$dir/err"; return 1; }
}
texts() {
        for v in nonsense -1 99999999999999999999 '%s%n'; do
                refused "--cert-path: " $local "--cert-path=$v" &&
                        refused "$v: No such file" "--endpoints-file=$v" &&
                        refused "$v: No such file" $local "--objects=$v" &&
                        refused "--endpoint $v: " "--endpoint=$v" &&
                        refused "kubeconfig $v: " --pool-name=x "--kubeconfig=$v" &&
                        refused "--endpoint-target-ports: " --endpoint-selector=a=b \
                                "--endpoint-target-ports=$v" || return 1
        done
        refused "cannot listen on 192.0.2.1 port 0: " $local --bind-address=192.0.2.1
}
check "files, addresses and ports that are none" texts

# Several mistakes: all of them, in one go.
several() {
        "$eppd" --one --two=2 --three three --v=x --pool-nam=p >"$dir/out1" 2>"$dir/err"
        same 1 $? && cat >"$dir/want" <<'LINES' && diff "$dir/want" "$dir/err"
eppd: unknown flag --one (see --help)
eppd: unknown flag --two (see --help)
eppd: unknown flag --three (see --help)
eppd: --v: "x" is not a whole number
eppd: unknown flag --pool-nam; did you mean --pool-name?
LINES
}
check "all mistakes are told at once" several
hundred() {
        # shellcheck disable=SC2046
        "$eppd" $(seq -f --q%g 100) 2>"$dir/err"
        same 1 $? && same 11 "$(wc -l <"$dir/err")" && grep -x 'eppd: and 90 more mistakes' "$dir/err"
}
check "but ten lines of them" hundred

# What is asked for goes to stdout.
asked() { # FLAG TEXT
        "$eppd" "$1" >"$dir/out1" 2>"$dir/err" && [ ! -s "$dir/err" ] && grep -q "$2" "$dir/out1"
}
check "--help" asked --help '^usage: eppd'
check "-h" asked -h '^usage: eppd'
check "--version" asked --version '^eppd [0-9]'
check "--dump-config" asked --dump-config '^--refresh-metrics-interval=50ms$'
narrow() { ! awk 'length($0) > 79 { print; bad = 1 } END { exit !bad }' "$dir/help"; }
check "--help fits 80 columns" narrow
wrong_and_help() { "$eppd" --nonsense --help >"$dir/out1" 2>"$dir/err" && diff "$dir/help" "$dir/out1"; }
check "a mistake does not keep help away" wrong_and_help
gone() { # FLAG: a reader that has left; bigger than a pipe is what stands before it
        { "$eppd" "$1" 2>"$dir/err"; echo $? >"$dir/rc"; } | true
        until_ok 5 test -s "$dir/rc" && same 0 "$(cat "$dir/rc")" && [ ! -s "$dir/err" ]
}
check "--help whose reader is gone" gone --help
check "--dump-config whose reader is gone" gone --dump-config
closed() { "$eppd" --help >&- 2>"$dir/err" && [ ! -s "$dir/err" ]; }
check "--help with stdout closed" closed
full() {
        "$eppd" --help >/dev/full 2>"$dir/err"
        same 1 $? && grep -x 'eppd: stdout: No space left on device' "$dir/err"
}
if [ -c /dev/full ]; then
        check "--help to a full disk says so" full
else
        skip "no /dev/full: --help to a full disk"
fi

# A dump is an argument list, a file of variables is the same.
back() {
        "$eppd" --v=5 --pool-name='a b' --max-held-bodies=1536Mi --zap-encoder=json --metrics-endpoint-auth \
                --endpoint=127.0.0.1:1,a=b --endpoint=127.0.0.1:2 >"$dir/dump" --dump-config &&
                grep -x -e '--log-level=debug' "$dir/dump" && grep -x -e '--max-held-bodies=1536Mi' "$dir/dump" &&
                tr '\n' '\0' <"$dir/dump" | xargs -0 "$eppd" --dump-config | diff "$dir/dump" -
}
check "what --dump-config prints can be given back" back
service() { # what a Service called eppd, and one called eppd-metrics, put into each pod
        env EPPD_SERVICE_HOST=10.0.0.1 EPPD_SERVICE_PORT=9002 EPPD_SERVICE_PORT_GRPC=9002 \
                EPPD_PORT=tcp://10.0.0.1:9002 EPPD_PORT_9002_TCP=tcp://10.0.0.1:9002 \
                EPPD_PORT_9002_TCP_ADDR=10.0.0.1 EPPD_PORT_9002_TCP_PORT=9002 \
                EPPD_PORT_9002_TCP_PROTO=tcp EPPD_METRICS_PORT=tcp://10.0.0.2:9090 \
                "$eppd" --dump-config >"$dir/dump" 2>"$dir/err" && [ ! -s "$dir/err" ] &&
                grep -x -e '--metrics-port=9090' "$dir/dump"
}
check "Kubernetes' variables of a Service are no flags" service
unknown() {
        EPPD_POOL_NAM=x "$eppd" --dump-config 2>&1 >"$dir/dump" | grep -x 'eppd: no flag goes by EPPD_POOL_NAM (see --help)'
}
check "another one is told" unknown
from_variables() { # the rest of start_eppd's flags are given, a list comes from here
        EPPD_ENDPOINT="127.0.0.1:9,name=a
127.0.0.1:10,name=b" EPPD_LOG_FORMAT=json start_eppd && grep -q '"ev":"ready","endpoints":2' "$dir/eppd.log"
}
check "eppd runs on variables" from_variables
stop "$eppd_pid" >"$dir/null" 2>&1
finish

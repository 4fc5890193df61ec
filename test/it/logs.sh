#!/bin/sh
# logs.sh - the log of a running eppd: levels and formats by whatever flag, and what it leaves out.
. test/it/lib.sh
many=$(seq -f --endpoint=127.0.0.1:%g 1 60)
swallowed() { # 60 endpoints that nobody listens at are one event: 20 lines and a sum
        # shellcheck disable=SC2086
        start_eppd $many || return 1
        until_ok 5 grep -q ev=swallowed "$dir/eppd.log"
        same 20 "$(grep -c 'warn ev=scrape ' "$dir/eppd.log")" &&
                grep ' warn ev=swallowed of=scrape lines=40$' "$dir/eppd.log" &&
                grep 'info ev=ready endpoints=60' "$dir/eppd.log"
}
check "too many of a kind are summed up" swallowed
check "eppd ends well" stop "$eppd_pid"
check "start and end are there" grep -q 'info ev=end ' "$dir/eppd.log"

# lines FLAGS: the form of the log with them
lines() {
        start_eppd --endpoint=127.0.0.1:9 "$@" >"$dir/null" || { echo "nothing"; return; }
        until_ok 5 grep -q scrape "$dir/eppd.log"
        kill "$eppd_pid" && wait "$eppd_pid"
        case $(head -n 1 "$dir/eppd.log") in
        '{'*) echo json ;;
        *) echo logfmt ;;
        esac
}
check "-zap-encoder json" same json "$(lines -zap-encoder json)"
check "--zap-encoder=json --log-format=logfmt" same logfmt "$(lines --zap-encoder=json --log-format=logfmt)"
check "EPPD_LOG_FORMAT=json" same json "$(EPPD_LOG_FORMAT=json lines)"
quiet() { # error: nothing of what is well or degraded
        "$eppd" --bind-address=127.0.0.1 --grpc-port=0 --grpc-health-port=0 --metrics-port=0 --endpoint=127.0.0.1:9 \
                --zap-log-level=error >"$dir/quiet" 2>&1 &
        pids="$pids $!"
        sleep 1
        stop $! && same 0 "$(wc -c <"$dir/quiet")"
}
check "--zap-log-level=error is silent when nothing is broken" quiet
finish

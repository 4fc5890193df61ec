#!/bin/sh
# systemd.sh - what a service manager hears, and sockets that it passes; played by systemd.py.
. test/it/lib.sh
command -v python3 >/dev/null || { skip "python3 is not here: every test of this file"; exit 0; }
unset NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID LISTEN_PID LISTEN_FDS LISTEN_FDNAMES

hear() { # NAME: into $dir/heard
        rm -f "$dir/heard"
        python3 test/it/systemd.py hear "$1" "$dir/heard" &
        ear=$!
        pids="$pids $ear"
        until_ok 5 grep -q bound "$dir/heard"
}
heard() { grep -qxE "$1" "$dir/heard"; }
one='--endpoint=127.0.0.1:9 --secure-serving=false'
# shellcheck disable=SC2086
start() { start_eppd $one --drain-timeout=7s; }
between() { [ "$1" -le "$2" ] && [ "$2" -le "$3" ]; }
life() { # NAME of the socket
        hear "$1"
        export NOTIFY_SOCKET="$1" WATCHDOG_USEC=400000
        check "eppd starts" start
        unset NOTIFY_SOCKET WATCHDOG_USEC
        check "its state in words, then READY" until_ok 2 heard 'READY=1'
        check "in this order" same 'bound STATUS=ready READY=1' "$(head -n 3 "$dir/heard" | tr '\n' ' ' | sed 's/ $//')"
        sleep 1.1
        beats=$(grep -cx 'WATCHDOG=1' "$dir/heard")
        check "the watchdog hears of it twice in its time ($beats in 1.1 s)" between 4 "$beats" 8
        kill -HUP "$eppd_pid"
        check "SIGHUP: reloading, at a time" until_ok 2 heard 'RELOADING=1\|MONOTONIC_USEC=[0-9]+'
        twice() { same 2 "$(grep -cx READY=1 "$dir/heard")"; }
        check "then ready again" until_ok 2 twice
        now=$(python3 -c 'import time; print(int(time.monotonic()))') then=$(sed -n 's/.*MONOTONIC_USEC=\([0-9]*\).*/\1/p' "$dir/heard")
        check "the time is that of the monotonic clock" between $((now - 5)) $((then / 1000000)) $((now + 1))
        kill "$eppd_pid"
        check "SIGTERM: stopping, and how long that may take" until_ok 2 heard 'STOPPING=1\|EXTEND_TIMEOUT_USEC=18000000'
        check "and why requests are not wanted" heard 'STATUS=not ready: draining'
        wait "$eppd_pid"
        check "exit 0" same 0 $?
        kill "$ear"
        wait "$ear" 2>/dev/null
}
life "$dir/notify"
life "@eppd-test-$$"

# What eppd starts itself must not speak for it.
kube=https://127.0.0.1:1 kube_ca=
kube_file "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh,
        args: [-c, 'env >$dir/env.new; mv $dir/env.new $dir/env; exit 1']}"
child() {
        export NOTIFY_SOCKET="$dir/notify" LISTEN_FDS=0 WATCHDOG_USEC=1000000
        start_eppd --pool-name=p --kubeconfig="$dir/kubeconfig" --secure-serving=false || return 1
        unset NOTIFY_SOCKET LISTEN_FDS WATCHDOG_USEC
        until_ok 5 [ -s "$dir/env" ] &&
                grep -q ^PATH= "$dir/env" && ! grep -E '^(NOTIFY_SOCKET|WATCHDOG_|LISTEN_)' "$dir/env"
}
check "a child does not get the variables" child
stop "$eppd_pid"

export NOTIFY_SOCKET=vsock:2:1 WATCHDOG_USEC=100
check "a socket of another kind" start
unset NOTIFY_SOCKET WATCHDOG_USEC
check "is told and does not matter" grep -q 'warn ev=notify socket=vsock:2:1 why=' "$dir/eppd.log"
stop "$eppd_pid"
export NOTIFY_SOCKET="$dir/nobody" WATCHDOG_USEC=100000
check "a socket that is not there" start
unset NOTIFY_SOCKET WATCHDOG_USEC
sleep 0.5
check "is told once" same 1 "$(grep -c 'warn ev=notify socket=.*/nobody why="No such file' "$dir/eppd.log")"
stop "$eppd_pid"
hear "$dir/notify2"
WATCHDOG_PID=1 NOTIFY_SOCKET="$dir/notify2" WATCHDOG_USEC=100000
export WATCHDOG_PID NOTIFY_SOCKET WATCHDOG_USEC
check "the watchdog of another process" start
unset WATCHDOG_PID NOTIFY_SOCKET WATCHDOG_USEC
sleep 0.5
check "is not answered" same 0 "$(grep -c WATCHDOG "$dir/heard")"
stop "$eppd_pid"

# ---- passed sockets ----
activated() { # NAMES FLAGS...: eppd with passed sockets, their ports in $p1 $p2 $p3
        names=$1
        shift
        rm -f "$dir/eppd.log" "$dir/ports"
        # shellcheck disable=SC2086
        python3 test/it/systemd.py pass "$names" "$dir/ports" "$eppd" --bind-address=127.0.0.1 $one "$@" \
                >"$dir/eppd.log" 2>&1 &
        eppd_pid=$!
        pids="$pids $eppd_pid"
        until_ok 10 grep -q 'ev=listening' "$dir/eppd.log" || { cat "$dir/eppd.log"; return 1; }
        read -r p1 p2 p3 <"$dir/ports"
        grpc=$(field grpc_port) health=$(field health_port) admin=$(field metrics_port)
}
serves() {
        same 200 "$(code_of "http://127.0.0.1:$admin/readyz")" &&
                timeout 20 python3 test/it/health.py names "$health" | grep -q 'readiness SERVING' &&
                timeout 20 python3 test/it/health.py names "$grpc" | grep -q 'readiness SERVING'
}
check "three sockets by their names" activated grpc,grpc-health,metrics
check "are the three ports" same "$p1 $p2 $p3" "$grpc $health $admin"
check "which serve" serves
check "and do not go on to children" grep -q '^flags:.*02[0-7]\{6\}$' "/proc/$eppd_pid/fdinfo/3"
check "eppd ends well" stop "$eppd_pid"
check "in another order" activated metrics,grpc --grpc-health-port=0
check "two of them; the third is our own" same "$p2 $p1" "$grpc $admin"
check "which serve" serves
check "eppd ends well" stop "$eppd_pid"
start && stop "$eppd_pid"
check "one without a name, by its port" activated "unknown=$grpc" --grpc-port="$grpc" --grpc-health-port=0 --metrics-port=0
check "is that port" same "$p1 $p1" "$grpc $(sed -n 's/.*ev=activated for=grpc port=\([0-9]*\).*/\1/p' "$dir/eppd.log")"
check "which serves" serves
check "eppd ends well" stop "$eppd_pid"
LISTEN_PID=1
export LISTEN_PID
check "sockets for another process" activated grpc --grpc-port=0 --grpc-health-port=0 --metrics-port=0
unset LISTEN_PID
check "are not touched" [ "$p1" != "$grpc" ]
check "eppd ends well" stop "$eppd_pid"
refused() { # NAMES FLAGS...
        names=$1
        shift
        # shellcheck disable=SC2086
        timeout 10 python3 test/it/systemd.py pass "$names" "$dir/ports" "$eppd" $one --grpc-port=0 \
                --grpc-health-port=0 --metrics-port=0 "$@" >"$dir/refused" 2>&1
        rc=$?
        [ $rc -eq 1 ] && same 1 "$(grep -c '^eppd: LISTEN_FDS: descriptor 3\|^eppd: LISTEN_FDS: descriptor 4' "$dir/refused")" ||
                { cat "$dir/refused"; return 1; }
}
check "a socket of no use is refused" refused other
check "two of one name" refused grpc,grpc
check "one that is not TCP" refused grpc:udp
finish

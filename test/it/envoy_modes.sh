#!/bin/sh
# envoy_modes.sh - real Envoy, every body mode: picks, bytes, refusals, the response side.
. test/it/lib.sh
envoy=$(sh test/it/envoy.sh get) || {
        skip "no Envoy can be had here: every test of this file"
        exit 0
}

start_sim --servers 3 || exit 1
# shellcheck disable=SC2046
start_eppd --secure-serving=false $(for s in $servers; do echo "--endpoint=$s"; done) || exit 1
first_admin=$admin
head -c 3000000 /dev/urandom >"$dir/big"
chat='{"model":"m","max_tokens":3,"messages":[{"role":"user","content":"hi"}]}'

status() { get -o "$dir/body" -w '%{http_code}' "$@"; }
echoes() { # CURL OPTIONS...: the body comes back byte for byte
        same 200 "$(status "http://127.0.0.1:$http/echo" --data-binary "@$dir/big" "$@")" &&
                cmp "$dir/big" "$dir/body"
}
picks_endpoint() {
        where=$(get -o "$dir/body" -w '%header{x-sim-endpoint}' "http://127.0.0.1:$http/v1/models")
        echo "$servers" | grep -qxF -- "$where" || { echo "answered by '$where'"; return 1; }
}
chats() { # 1: also streamed
        same 200 "$(status "http://127.0.0.1:$http/v1/chat/completions" -d "$chat")" &&
                grep -q '"usage"' "$dir/body" &&
                same 200 "$(status -N "http://127.0.0.1:$http/v1/chat/completions" \
                        -d "$(echo "$chat" | sed 's/"max/"stream":true,"max/')")" &&
                grep -q '^data: \[DONE\]' "$dir/body"
}
refuses() {
        same 400 "$(status "http://127.0.0.1:$http/v1/chat/completions" -d '{"model":"m"')" &&
                grep -q 'not JSON: the document is not complete' "$dir/body"
}
idle() { same 0 "$(metric eppd_streams)"; }

run_mode() { # REQUEST RESPONSE TRAILERS [OPTION of envoy.sh...]
        req=$1 resp=$2 trailers=$3
        shift 3
        resp="$resp${1:+ $*}"
        check "$req/$resp: Envoy starts" start_envoy "req=$req" "resp=${resp%% *}" "trailers=$trailers" "$@"
        check "$req/$resp: a request without a body reaches a pick" picks_endpoint
        check "$req/$resp: chat, plain and streamed" chats
        check "$req/$resp: 3 MB there and back" echoes
        check "$req/$resp: the same, chunked" echoes -H 'Transfer-Encoding: chunked'
        case $req in
        NONE | STREAMED) # the body is not seen before the pick, but with early answers
                [ "${1:-}" != early=true ] || check "$req/$resp: broken JSON is refused" refuses ;;
        *) check "$req/$resp: broken JSON is refused with its reason" refuses ;;
        esac
        stop "$envoy_pid" >/dev/null 2>&1
        check "$req/$resp: no stream is left" until_ok 5 idle
}
run_mode FULL_DUPLEX_STREAMED FULL_DUPLEX_STREAMED SEND
run_mode FULL_DUPLEX_STREAMED NONE SEND # the lean profile
run_mode BUFFERED NONE SKIP
run_mode BUFFERED BUFFERED SEND
run_mode BUFFERED_PARTIAL BUFFERED SKIP
run_mode STREAMED STREAMED SKIP
run_mode NONE NONE SKIP
run_mode FULL_DUPLEX_STREAMED FULL_DUPLEX_STREAMED SEND resphead=SKIP
run_mode FULL_DUPLEX_STREAMED STREAMED SEND resphead=SKIP
run_mode BUFFERED BUFFERED SKIP resphead=SKIP
run_mode STREAMED STREAMED SKIP early=true

# Trailers both ways: a chunked upload that ends with one, and a model server that sends some.
cat >"$dir/trailing.py" <<'PY'
import socket, sys
s = socket.create_server(("127.0.0.1", 0))
print("port", s.getsockname()[1], flush=True)
while True:
    c, _ = s.accept()
    got = b""
    while b"\r\n0\r\n" not in got or not got.endswith(b"\r\n\r\n"):
        part = c.recv(65536)
        got += part
        if not part or got.startswith(b"GET /metrics"):
            break
    seen = b"yes" if b"x-up: 1" in got.lower() else b"no"
    c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-down\r\nConnection: close\r\n\r\n"
              b"4\r\nbody\r\n0\r\nx-down: " + seen + b"\r\n\r\n")
    c.close()
PY
python3 "$dir/trailing.py" >"$dir/trailing" 2>&1 &
pids="$pids $!"
until_ok 10 grep -q port "$dir/trailing"
trailing=127.0.0.1:$(sed -n 's/^port //p' "$dir/trailing")
first_eppd=$eppd_pid
trailers_pass() { # REQUEST RESPONSE
        start_eppd --secure-serving=false --endpoint="$trailing" &&
                start_envoy "req=$1" "resp=$2" trailers=SEND || return 1
        {
                printf '%s\r\n' 'POST /up HTTP/1.1' 'Host: a' 'Transfer-Encoding: chunked' \
                        'Trailer: x-up' 'Connection: close' ''
                printf '%s\r\n' 2 '{}' 0 'x-up: 1' ''
        } >"$dir/raw"
        timeout 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$http; cat '$dir/raw' >&3; cat <&3" >"$dir/body"
        stop "$envoy_pid" >/dev/null 2>&1
        stop "$eppd_pid" >/dev/null 2>&1
        grep -q 'x-down: yes' "$dir/body" || { cat "$dir/body" "$dir/eppd.log"; return 1; }
}
check "trailers both ways, full duplex" trailers_pass FULL_DUPLEX_STREAMED FULL_DUPLEX_STREAMED
check "trailers both ways, buffered" trailers_pass BUFFERED BUFFERED
check "trailers both ways, streamed" trailers_pass STREAMED STREAMED

# shellcheck disable=SC2086
one() { set -- $servers; echo "$2"; }
# shellcheck disable=SC2046
start_eppd $(for s in $servers; do echo "--endpoint=$s"; done) || exit 1
hinted() {
        start_envoy tls=1 hint="$(one)" || return 1
        for i in 1 2 3 4 5 6; do
                same "$(one)" "$(get -o "$dir/body" -w '%header{x-sim-endpoint}' "http://127.0.0.1:$http/v1/models")" ||
                        return 1
        done
        stop "$envoy_pid" >/dev/null 2>&1
        return 0
}
check "a subset hint, over TLS" hinted
nowhere() {
        start_envoy tls=1 hint=10.9.9.9 && same 503 "$(status "http://127.0.0.1:$http/v1/models")" &&
                grep -q 'failed to find endpoint candidates' "$dir/body"
        r=$?
        stop "$envoy_pid" >/dev/null 2>&1
        return $r
}
check "a hint that names no endpoint" nowhere
stop "$eppd_pid" >/dev/null 2>&1
eppd_pid=$first_eppd admin=$first_admin
check "nothing was malformed" same 0 "$(metric eppd_grpc_malformed_total)"
check "no request was aborted" same 0 "$(metric eppd_requests_aborted_total)"
check "eppd ends well" stop "$eppd_pid"
finish

#!/bin/sh
# envoy_modes.sh - real Envoy, every body mode: picks, bytes, refusals, the response side.
. test/it/lib.sh
envoy=$(sh test/it/envoy.sh get) || { skip "no Envoy can be had here: every test of this file"; exit 0; }

start_sim --servers 3 || exit 1
# shellcheck disable=SC2046
start_eppd --secure-serving=false $(for s in $servers; do echo "--endpoint=$s"; done) || exit 1
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

run_mode() { # REQUEST RESPONSE TRAILERS
        req=$1 resp=$2 trailers=$3
        check "$req/$resp: Envoy starts" start_envoy "req=$req" "resp=$resp" "trailers=$trailers"
        check "$req/$resp: a request without a body reaches a pick" picks_endpoint
        check "$req/$resp: chat, plain and streamed" chats
        check "$req/$resp: 3 MB there and back" echoes
        check "$req/$resp: the same, chunked" echoes -H 'Transfer-Encoding: chunked'
        case $req in
        NONE | STREAMED) ;; # the body is not seen before the pick
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
check "nothing was malformed" same 0 "$(metric eppd_grpc_malformed_total)"
check "no request was aborted" same 0 "$(metric eppd_requests_aborted_total)"
check "eppd ends well" stop "$eppd_pid"
finish

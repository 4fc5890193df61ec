#!/bin/sh
# vllmsim.sh - every route and fault of the simulated model servers, on free ports.
# usage: test/it/vllmsim.sh [path of vllmsim]
bin=${1:-build/${VARIANT:-release}/test/vllmsim/vllmsim}
dir=$(mktemp -d) || exit 1
pid=
trap '[ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid"; rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
n=0 bad=0

# check NAME COMMAND...: one line of result
check() {
        name=$1
        shift
        n=$((n + 1))
        if "$@" >"$dir/out" 2>&1; then
                echo "ok $n - $name"
        else
                echo "not ok $n - $name"
                sed 's/^/# /' "$dir/out" | head -n 20
                bad=$((bad + 1))
        fi
}
get() { curl -s --max-time 10 "$@"; }
post() { # URL BODY [curl options]
        url=$1 body=$2
        shift 2
        get -X POST -H 'Content-Type: application/json' --data-binary "$body" "$@" "$url"
}
has() { # TEXT COMMAND...: the output contains TEXT
        want=$1
        shift
        "$@" >"$dir/has"
        grep -qF -- "$want" "$dir/has" || { head -c 600 "$dir/has"; return 1; }
}
code() { # CODE COMMAND...
        want=$1
        shift
        got=$("$@" -o /dev/null -w '%{http_code}')
        [ "$got" = "$want" ] || { echo "got $got"; return 1; }
}
fault() { post "http://$a/sim" "$1" >/dev/null; }
metric() { get "http://$a/metrics" | sed -n "s/^vllm:$1{[^}]*} //p"; }

"$bin" --servers 2 --port 0 --seed 7 --max-batch 2 --prefill-tps 20000 --decode-tps 400 \
        --kv-blocks 400 --lora sql,chat --max-lora 1 --lora-load-ms 50 >"$dir/log" 2>&1 &
pid=$!
i=0
until grep -q '^ready' "$dir/log"; do
        i=$((i + 1))
        if [ $i -ge 100 ] || ! kill -0 "$pid" 2>/dev/null; then
                cat "$dir/log"
                echo "not ok 1 - starts"
                exit 1
        fi
        sleep 0.05
done
a=$(sed -n 's/^listen //p' "$dir/log" | sed -n 1p)
b=$(sed -n 's/^listen //p' "$dir/log" | sed -n 2p)
chat='{"model":"food","messages":[{"role":"user","content":"hi"}],"max_tokens":5}'
long=$(printf '%0800d' 7)
prompt='{"model":"m","prompt":"'$long'","max_tokens":4}'

check "health" code 200 get "http://$a/health"
check "models lists the adapters" has '"id":"sql"' get "http://$b/v1/models"
check "unknown path is 404" code 404 get "http://$a/nothing"
check "chat" has '"object":"chat.completion"' post "http://$a/v1/chat/completions" "$chat"
check "chat echoes the model" has '"model":"food"' post "http://$a/v1/chat/completions" "$chat"
check "answer names its endpoint" has "x-sim-endpoint: $b" \
        post "http://$b/v1/chat/completions" "$chat" -i
check "max_tokens holds" has '"completion_tokens":5' post "http://$a/v1/chat/completions" "$chat"
check "completions" has '"object":"text_completion"' post "http://$a/v1/completions" "$prompt"
check "second time from the cache" has '"cached_tokens":192' \
        post "http://$a/v1/completions" "$prompt"
check "other server has no cache" has '"cached_tokens":0' post "http://$b/v1/completions" "$prompt"
check "tokens as prompt" has '"prompt_tokens":3' \
        post "http://$a/v1/completions" '{"model":"m","prompt":[1,2,3],"max_tokens":1}'
stream='{"model":"m","stream":true,"messages":[{"role":"user","content":"s"}],"max_tokens":3}'
check "stream ends with DONE" has 'data: [DONE]' post "http://$a/v1/chat/completions" "$stream"
usage=$(printf %s "$stream" |
        sed 's/"max_tokens"/"stream_options":{"include_usage":true},"max_tokens"/')
check "stream with usage" has '"choices":[],"usage":{' post "http://$a/v1/chat/completions" "$usage"
check "stream of completions" has '"finish_reason":"length"' \
        post "http://$a/v1/completions" '{"model":"m","stream":true,"prompt":"x","max_tokens":2}'
check "adapter is loaded and used" has '"model":"sql"' \
        post "http://$a/v1/completions" '{"model":"sql","prompt":"x","max_tokens":2}'
check "adapter is on the page" has 'running_lora_adapters="sql"' get "http://$a/metrics"
check "bad JSON is 400" code 400 post "http://$a/v1/completions" '{'
check "no model is 400" code 400 post "http://$a/v1/completions" '{}'
check "too long is 400" code 400 post "http://$a/v1/completions" \
        '{"model":"m","prompt":"x","max_tokens":99999,"ignore_eos":true}'

for m in num_requests_running num_requests_waiting kv_cache_usage_perc cache_config_info; do
        check "page has $m" has "vllm:$m{" get "http://$a/metrics"
done
size=$(get "http://$a/metrics" | wc -c)
check "page is about 60 KB" test "$size" -gt 60000 -a "$size" -lt 70000

head -c 3000000 /dev/urandom >"$dir/body"
check "echo gives the bytes back" sh -c "curl -s --data-binary @'$dir/body' -H 'X-Tag: 7' \
        -D '$dir/h' 'http://$a/echo' | cmp - '$dir/body' && grep -qi '^x-echo-x-tag: 7' '$dir/h'"
check "last knows the hash" has "$(sha256sum <"$dir/body" | cut -c1-64)" get "http://$a/sim/last"
check "last knows the length" has '"bytes":3000000' get "http://$a/sim/last"

fault '{"waiting":42,"kv":0.5}'
check "fixed waiting" test "$(metric num_requests_waiting)" = 42.0
check "fixed kv" test "$(metric kv_cache_usage_perc)" = 0.5
fault '{"metrics_body":"<html>"}'
check "garbage page" has '<html>' get "http://$a/metrics"
fault '{"reset":true,"metrics_status":500}'
check "page as 500" code 500 get "http://$a/metrics"
fault '{"reset":true,"metrics_delay_ms":1500}'
check "slow page" sh -c "! curl -s --max-time 0.5 'http://$a/metrics'"
check "slow page comes" code 200 get "http://$a/metrics"
fault '{"reset":true,"status":500}'
check "500s" code 500 post "http://$a/v1/chat/completions" "$chat"
check "the other is well" code 200 post "http://$b/v1/chat/completions" "$chat"
fault '{"reset":true,"drop":true}'
check "drop" code 000 post "http://$a/v1/chat/completions" "$chat"
fault '{"reset":true,"sick":true}'
check "sick" code 503 get "http://$a/health"
fault '{"reset":true,"hang":true}'
check "hang" code 000 post "http://$a/v1/chat/completions" "$chat" --max-time 0.5
sleep 0.3
check "a client that left is forgotten" has '"now_waiting":0' get "http://$a/sim"
post "http://$a/v1/chat/completions" "$chat" >"$dir/thaw" &
job=$!
sleep 0.2
fault '{"reset":true}'
wait "$job"
check "hung requests go on" grep -q '"usage"' "$dir/thaw"
fault '{"cut_after":2}'
check "cut in the middle" sh -c "curl -s -d '$stream' 'http://$a/v1/chat/completions' >'$dir/cut';
        test \$? = 18 && ! grep -q DONE '$dir/cut'"
fault '{"reset":true}'
check "unknown fault is 400" code 400 post "http://$a/sim" '{"nonsense":1}'

slow='{"model":"m","prompt":"q","max_tokens":300,"ignore_eos":true,"stream":true}'
jobs=
for i in 1 2 3 4 5; do
        post "http://$a/v1/completions" "$slow" >"$dir/job$i" &
        jobs="$jobs $!"
done
sleep 0.4
check "batch is full" test "$(metric num_requests_running)" = 2.0
check "the rest waits" test "$(metric num_requests_waiting)" = 3.0
check "blocks are used" test "$(metric kv_cache_usage_perc)" != 0.0
for j in $jobs; do wait "$j"; done
check "all were served" test "$(cat "$dir"/job? | grep -c DONE)" = 5
check "idle again" test "$(metric num_requests_running)$(metric num_requests_waiting)" = 0.00.0
check "blocks are free again" test "$(metric kv_cache_usage_perc)" = 0.0

post "http://$a/v1/completions" "$slow" >"$dir/cut" &
job=$!
sleep 0.2
fault '{"restart":400}'
sleep 0.2
check "down during a restart" code 000 get "http://$a/health"
wait "$job"
check "restart cuts streams" sh -c "! grep -q DONE '$dir/cut'"
sleep 0.6
check "up after it" code 200 get "http://$a/health"
check "cache is cold after it" has '"cached_tokens":0' post "http://$a/v1/completions" "$prompt"
check "still alive" kill -0 "$pid"
kill "$pid"
wait "$pid"
check "ends well on SIGTERM" test $? = 0
pid=
echo "1..$n"
[ $bad = 0 ]

#!/bin/sh
# certs.sh - certificates that change while eppd runs, as people and Secrets change them: new connections
# get the new one, running streams go on, what cannot be used leaves the old one.
. test/it/lib.sh
command -v python3 >/dev/null || { skip "python3 is not here: every test of this file"; exit 0; }

pair() { # FOLDER NAME [rsa]: tls.crt and tls.key
        mkdir -p "$1"
        if [ "${3:-}" = rsa ]; then kind=rsa:2048; else kind=ec; fi
        [ $kind = rsa:2048 ] || curve='-pkeyopt ec_paramgen_curve:P-256'
        # shellcheck disable=SC2086
        openssl req -x509 -newkey $kind ${curve:-} -nodes -days 2 -subj "/CN=$2" -keyout "$1/new.key" \
                -out "$1/new.crt" 2>"$dir/req" || cat "$dir/req"
        curve=
        mv "$1/new.key" "$1/tls.key"
        mv "$1/new.crt" "$1/tls.crt"
}
# As the kubelet does it: the files are links through ..data, which is renamed over.
mount_first() { # FOLDER: of $dir/one
        mkdir "$1"
        cp -r "$dir/one" "$1/..one"
        ln -s ..one "$1/..data"
        ln -s ..data/tls.crt "$1/tls.crt"
        ln -s ..data/tls.key "$1/tls.key"
}
swapped() { # FOLDER NAME: the pair $dir/NAME is in place of what was there
        old=$(readlink "$1/..data")
        cp -r "$dir/$2" "$1/..$2"
        ln -s "..$2" "$1/..new"
        mv -T "$1/..new" "$1/..data"
        rm -r "${1:?}/$old"
}
for name in one two four five; do pair "$dir/$name" $name; done
pair "$dir/three" three rsa
mkdir "$dir/mixed" "$dir/alien" "$dir/locked" "$dir/cut" "$dir/torn"
cp "$dir/two/tls.crt" "$dir/four/tls.key" "$dir/mixed"
cp "$dir/two/tls.crt" "$dir/three/tls.key" "$dir/alien"
cp "$dir/two/tls.crt" "$dir/locked"
openssl ec -in "$dir/two/tls.key" -aes128 -passout pass:x -out "$dir/locked/tls.key" 2>"$dir/req"
cp "$dir/two/tls.key" "$dir/cut"
head -c 300 "$dir/two/tls.crt" >"$dir/cut/tls.crt"
cp "$dir/two/tls.key" "$dir/torn"
{ cat "$dir/two/tls.crt"; head -c 300 "$dir/one/tls.crt"; } >"$dir/torn/tls.crt"

start_sim --servers 1 || exit 1
mount_first "$dir/secret"
start_eppd "--endpoint=$servers" --cert-path="$dir/secret" || exit 1

shown() { # the name on the certificate that a new connection sees
        echo | timeout 5 openssl s_client -connect "127.0.0.1:$grpc" -alpn h2 2>/dev/null |
                openssl x509 -noout -subject -nameopt multiline | sed -n 's/.*commonName *= //p'
}
shows() { same "$1" "$(shown)"; }
read_() { same "$1 $2" "$(metric certwatcher_read_certificate_total) $(metric certwatcher_read_certificate_errors_total)"; }
last() { grep 'ev=bad_certificate' "$dir/eppd.log" | tail -n 1 | grep -qF -- "$1"; }
alpn=h2
session() { # OPTIONS of s_client: New or Reused, by a connection that waits for its ticket
        { sleep 0.5; } | timeout 5 openssl s_client -connect "127.0.0.1:$grpc" -alpn "$alpn" "$@" 2>/dev/null |
                sed -n 's/^\(New\|Reused\), TLSv.*/\1/p' | head -n 1
}
check "the first certificate" shows one
timeout 100 python3 test/it/stream.py "$grpc" "$dir/stop" tls >"$dir/stream" 2>&1 &
stream=$!
pids="$pids $stream"
check "a stream over it" until_ok 5 grep -q '^open' "$dir/stream"
check "a session" same New "$(session -tls1_3 -sess_out "$dir/session")"
check "is resumed" same Reused "$(session -tls1_3 -sess_in "$dir/session")"

suite() { # OFFERED: the one that was chosen
        echo | timeout 5 openssl s_client -connect "127.0.0.1:$grpc" -alpn h2 -ciphersuites "$1" 2>/dev/null |
                sed -n 's/^New, TLSv1.3, Cipher is //p'
}
aes256=TLS_AES_256_GCM_SHA384
check "AES-128 is preferred" same TLS_AES_128_GCM_SHA256 "$(suite $aes256:TLS_AES_128_GCM_SHA256)"
check "AES-256 is had, too" same $aes256 "$(suite $aes256)"

swapped "$dir/secret" two
check "swapped: the second" until_ok 2 shows two
check "it was read once" read_ 1 0
check "the log says until when" grep -q 'ev=certificate flag=--cert-path dir=.*/secret expires=20' "$dir/eppd.log"
check "the session is resumed" same Reused "$(session -tls1_3 -sess_in "$dir/session")"
check "another, of TLS 1.2" same New "$(session -tls1_2 -sess_out "$dir/session12")"
swapped "$dir/secret" three
check "swapped: the third, of RSA" until_ok 2 shows three
check "sessions go on or begin anew" same 'Reused Reused' \
        "$(session -tls1_3 -sess_in "$dir/session") $(session -tls1_2 -sess_in "$dir/session12")"
swapped "$dir/secret" four
check "swapped: the fourth" until_ok 2 shows four
check "each was read once" read_ 3 0

bad() { # FOLDER WHAT IS SAID
        count=$((count + 1))
        swapped "$dir/secret" "$1"
        until_ok 2 read_ $((3 + count)) $count && last "$2" && shows four &&
                same $count "$(grep -c 'ev=bad_certificate' "$dir/eppd.log")"
}
count=0
check "a key of another certificate: the old one stays" bad mixed 'secret/tls.key does not fit the certificate'
check "of another kind, too" bad alien 'secret/tls.key does not fit the certificate'
check "one with a passphrase is not asked for at the terminal" bad locked 'secret/tls.key is encrypted'
check "half a certificate" bad cut 'no certificate in PEM form in'
check "half a chain" bad torn 'broken behind its first certificate:'
swapped "$dir/secret" five
check "mended" until_ok 2 shows five

r=$(metric certwatcher_read_certificate_total)
mv "$dir/secret/tls.key" "$dir/aside"
missing() { last 'secret/tls.key: No such file or directory'; }
check "a file that is missing is named" until_ok 2 missing
check "the old one stays" shows five
mv "$dir/aside" "$dir/secret/tls.key"
again() { same $((r + 2)) "$(metric certwatcher_read_certificate_total)"; }
check "it is back and read" until_ok 2 again
check "and shown" shows five
mv "$dir/secret/tls.key" "$dir/aside" && mkfifo "$dir/secret/tls.key"
pipe() { last 'cannot read'; }
check "a pipe in its place does not hold the loop" until_ok 2 pipe
check "alive" same 200 "$(code_of "http://127.0.0.1:$admin/healthz")"
rm "$dir/secret/tls.key" && mv "$dir/aside" "$dir/secret/tls.key"
mv "$dir/secret" "$dir/gone"
check "the folder is gone: it is named" until_ok 8 last 'secret is no directory'
mount_first "$dir/secret"
check "another is there: its certificate" until_ok 8 shows one

# Two files that are written one after the other, in place: never a mistake for longer than between them.
rm "$dir/secret/tls.crt" "$dir/secret/tls.key"
cp "$dir/two/tls.crt" "$dir/two/tls.key" "$dir/secret"
check "plain files" until_ok 2 shows two
cat "$dir/four/tls.crt" >"$dir/secret/tls.crt" && cat "$dir/four/tls.key" >"$dir/secret/tls.key"
check "written over" until_ok 2 shows four

touch "$dir/stop"
wait "$stream"
check "the stream came to its own end" same 0 $?
sed 's/^/# /' "$dir/stream"
check "and nobody was asked to leave" same '' "$(grep -E 'goaway|reset' "$dir/stream")"
held=$(metric 'eppd_callback_longest_cpu_seconds{callback="files"}')
brief() { awk -v s="$held" 'BEGIN { exit !(s > 0 && s < 0.02) }'; }
[ "$variant" = asan ] || check "the loop was never held for 20 ms ($held s)" brief
r=$(metric certwatcher_read_certificate_total)
more() { [ "$(metric certwatcher_read_certificate_total)" -gt "$1" ]; }
kill -HUP "$eppd_pid"
check "SIGHUP reads them, too" until_ok 2 more "$r"
check "eppd ends well" stop "$eppd_pid"

rm -r "$dir/secret"
mount_first "$dir/secret"
start_eppd "--endpoint=$servers" --cert-path="$dir/secret" --enable-cert-reload=false || exit 1
swapped "$dir/secret" two
sleep 1
check "--enable-cert-reload=false: the first stays" shows one
kill -HUP "$eppd_pid"
check "until SIGHUP" until_ok 2 shows two
check "eppd ends well" stop "$eppd_pid"

# ---- the HTTP port, and the CA of its clients ----
for ca in first second; do # each with a client's certificate
        pair "$dir/$ca" $ca
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=client \
                -keyout "$dir/$ca/client.key" -out "$dir/$ca/client.csr" 2>"$dir/req"
        openssl x509 -req -in "$dir/$ca/client.csr" -CA "$dir/$ca/tls.crt" -CAkey "$dir/$ca/tls.key" \
                -set_serial 1 -days 2 -out "$dir/$ca/client.crt" 2>"$dir/req"
done
rm -r "$dir/secret"
mount_first "$dir/secret"
mkdir "$dir/clients"
cp "$dir/first/tls.crt" "$dir/clients/ca.crt"
start_eppd "--endpoint=$servers" --metrics-cert-dir="$dir/secret" --metrics-client-ca-file="$dir/clients/ca.crt" || exit 1
as() { # CA: the status of a page for its client, 000 when there was no connection
        get -k --cert "$dir/$1/client.crt" --key "$dir/$1/client.key" -o "$dir/null" -w '%{http_code}' \
                "https://127.0.0.1:$admin/metrics"
}
admitted() { same "$1" "$(as first) $(as second) $(get -k -o "$dir/null" -w '%{http_code}' "https://127.0.0.1:$admin/metrics")"; }
presents() { # NAME: on the certificate of the HTTP port
        same "$1" "$(get -kv --cert "$dir/$client/client.crt" --key "$dir/$client/client.key" -o "$dir/null" \
                "https://127.0.0.1:$admin/healthz" 2>&1 | sed -n 's/.*subject: CN=//p')"
}
client=first
check "the HTTP port has the first certificate" presents one
check "and takes the clients of its CA" admitted '200 000 000'
grpc=$admin alpn=http/1.1
mutual() { session -tls1_3 -cert "$dir/$1/client.crt" -key "$dir/$1/client.key" "$2" "$dir/session.$1"; }
check "a client's session" same New "$(mutual first -sess_out)"
check "is resumed" same Reused "$(mutual first -sess_in)"
swapped "$dir/secret" two
check "swapped: the second certificate" until_ok 2 presents two
printf 'nonsense\n' >"$dir/clients/ca.new" && mv "$dir/clients/ca.new" "$dir/clients/ca.crt"
ca_why="the clients' CA: no certificate in PEM form in $dir/clients/ca.crt"
named() { grep -qF "bad_certificate flag=--metrics-cert-dir kept=\"the old one\" why=\"$ca_why" "$dir/eppd.log"; }
check "a CA that is none is named" until_ok 2 named
check "the old one stays" admitted '200 000 000'
cat "$dir/first/tls.crt" "$dir/second/tls.crt" >"$dir/clients/ca.new" && mv "$dir/clients/ca.new" "$dir/clients/ca.crt"
check "two of them" until_ok 2 admitted '200 200 000'
check "a session" same New "$(mutual first -sess_out)"
cp "$dir/second/tls.crt" "$dir/clients/ca.new" && mv "$dir/clients/ca.new" "$dir/clients/ca.crt"
check "the second alone" until_ok 2 admitted '000 200 000'
not_resumed() { [ "$(mutual first -sess_in)" != Reused ]; }
check "a session does not get past it" not_resumed
check "eppd ends well" stop "$eppd_pid"
finish

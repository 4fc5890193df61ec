#!/bin/sh
# layers.sh - lib decides, daemon waits: includes point down, libraries have one owner each, and
# the object files neither wait, nor read the environment or a clock, nor keep globals.
. test/it/lib.sh
# The object of every source; build/ may hold those of sources that are gone.
objects=$(find lib -name '*.c' | LC_ALL=C sort | sed "s|\(.*\)c$|build/$variant/\1o|")

# A layer may include itself and lower numbers. wire and model stand side by side and know nothing
# of each other: a page becomes a load in daemon/scrape, an object becomes a model in serve/objects.
cat >"$dir/layers" <<EOT
base 1
proto 1
wire 2
model 2
sched 3
plugin 4
flow 4
serve 5
EOT
# HEADER OWNER...: who may include it; * is all of lib. What has no row is not for lib.
# time.h is in log.c and lease.c for gmtime_r and nothing else: the clock functions are refused below.
cat >"$dir/owners" <<EOT
emmintrin.h *
errno.h *
inttypes.h *
limits.h *
math.h *
stdarg.h *
stdbool.h *
stddef.h *
stdint.h *
stdio.h *
stdlib.h *
string.h *
xxhash.h *
arpa/inet.h lib/base/addr.c
time.h lib/base/log.c lib/serve/lease.c
nghttp2/nghttp2.h lib/serve/h2.c
jansson.h lib/serve/lease.c lib/serve/review.c daemon/exec_credential.c
yaml.h lib/wire/yaml.c
curl/curl.h daemon/fetch.c
EOT
# What lib's objects may not call or read, _chk and 64 variants included.
cat >"$dir/refused" <<EOT
exit _exit abort __assert_fail getenv secure_getenv setenv
stdin stdout stderr printf vprintf puts putchar fprintf vfprintf fputs fputc fwrite perror
fopen fdopen freopen open openat creat close read write pread pwrite opendir stat fstat
time clock gettimeofday clock_gettime timespec_get sleep usleep nanosleep
socket bind listen accept accept4 connect send sendto sendmsg recv recvfrom recvmsg
select poll ppoll epoll_wait getaddrinfo gethostbyname
signal sigaction fork execve system pthread_create rand srand random drand48
EOT

# FILE:KIND NAME for every include below the folders given; KIND is " or <.
includes() {
        find "$@" -name '*.[ch]' | LC_ALL=C sort | xargs grep -H '^ *# *include' |
                sed -n 's/^\([^:]*\): *# *include *\(["<]\)\([^">]*\)[">].*/\1 \2 \3/p'
}
down() {
        includes lib | awk -v q='"' '
                NR == FNR { rank[$1] = $2; next }
                $2 != q { next }
                { split($1, from, "/"); split($3, to, "/"); f = from[2]; t = to[1] }
                !(f in rank) || !(t in rank) || (f != t && rank[t] >= rank[f]) {
                        print $1 " includes " $3; bad = 1
                }
                END { exit bad }' "$dir/layers" -
}
owned() {
        includes lib daemon | awk '
                NR == FNR { for (i = 2; i <= NF; i++) may[$1, $i] = 1; next }
                $2 != "<" || (($3, "*") in may) || (($3, $1) in may) { next }
                $1 ~ /^daemon/ && $3 !~ /^(nghttp2|jansson|yaml|curl)/ { next }
                { print $1 " includes <" $3 ">"; bad = 1 }
                END { exit bad }' "$dir/owners" -
}
calm() {
        tr ' ' '\n' <"$dir/refused" | LC_ALL=C sort -u >"$dir/refused.sorted"
        # shellcheck disable=SC2086
        nm -A --undefined-only --format=posix $objects >"$dir/undefined" || return 1
        sed -e 's/:* *\([^ ]*\) *U.*/ \1/' -e 's/@.*//' \
                        -e 's/ __\(.*\)_chk$/ \1/' -e 's/64$//' "$dir/undefined" |
                awk 'NR == FNR { no[$1] = 1; next }
                        $2 in no { print $1 " uses " $2; bad = 1 } END { exit bad }' \
                        "$dir/refused.sorted" -
}
# One global is wanted: where a failed assertion goes, set by daemon before anything runs.
globals() {
        echo "build/$variant/lib/base/base.o epp_assert_handler" >"$dir/wanted"
        for o in $objects; do
                objdump -t "$o" | awk -v o="$o" '
                        / (\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ && !/ (d  |O \.data\.rel\.ro)/ {
                                print o, $NF }'
        done >"$dir/globals"
        diff "$dir/wanted" "$dir/globals"
}
check "includes in lib point down" down
check "each library has one owner" owned
case $variant in
asan | fuzz) skip "the sanitizer adds globals of its own: the objects are looked at in release" ;;
*)
        check "lib calls nothing that waits, reads a clock or writes out" calm
        check "lib has no globals that change" globals
        ;;
esac
finish

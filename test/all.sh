#!/bin/sh
# all.sh - what `make check` runs once both variants are built; one closing line for everything.
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
sh test/run.sh test/lint/*.sh | tee -a "$log"
for VARIANT in release asan; do
        export VARIANT
        set --
        for t in test/unit/test_*.c test/model/model_*.c test/sim/player.c test/fail/fail.c; do
                set -- "$@" "build/$VARIANT/${t%.c}"
        done
        for t in test/it/*.sh; do
                case $t in
                */lib.sh | */envoy.sh) ;; # used by the others
                # of tables, pages, flags and other programs: the same under sanitizers, for minutes
                */status.sh | */prometheus.sh | */manual.sh | */manifests.sh | */fakekube.sh | \
                        */age.sh | */flags.sh | */start.sh | */ports.sh)
                        [ "$VARIANT" = asan ] || set -- "$@" "$t"
                        ;;
                *) set -- "$@" "$t" ;;
                esac
        done
        sh test/run.sh "$@" | tee -a "$log"
done
# A real API server, once: what it tests is eppd and Kubernetes, not memory. Built here rather than in
# the script, so that its three minutes are seen and do not count as the script's.
{ sh test/kube/kube.sh build && sh test/kube/kube.sh etcd; } >/dev/null
VARIANT=release sh test/run.sh test/kube/harness.sh test/kube/check.sh | tee -a "$log"
awk '/^[0-9]+ passed, [0-9]+ failed/ { p += $1; f += $3; s += $5; seen++ }
        END { if (s) printf "%d passed, %d failed, %d skipped\n", p, f, s;
              else printf "%d passed, %d failed\n", p, f; exit !(seen == 4 && p && !f) }' "$log"

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
                *) set -- "$@" "$t" ;;
                esac
        done
        sh test/run.sh "$@" | tee -a "$log"
done
awk '/^[0-9]+ passed, [0-9]+ failed/ { p += $1; f += $3; s += $5; seen++ }
        END { if (s) printf "%d passed, %d failed, %d skipped\n", p, f, s;
              else printf "%d passed, %d failed\n", p, f; exit !(seen == 3 && p && !f) }' "$log"

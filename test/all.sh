#!/bin/sh
# all.sh - what `make check` runs once both variants are built; one closing line for everything.
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
for VARIANT in release asan; do
        export VARIANT
        sh test/run.sh $(ls test/unit/test_*.c test/model/model_*.c | sed "s|\(.*\)\.c|build/$VARIANT/\1|") \
                $(ls test/it/*.sh | grep -vE '/(lib|envoy)\.sh$') | tee -a "$log"
done
awk '/^[0-9]+ passed, [0-9]+ failed/ { p += $1; f += $3; s += $5; seen++ }
        END { if (s) printf "%d passed, %d failed, %d skipped\n", p, f, s;
              else printf "%d passed, %d failed\n", p, f; exit !(seen == 2 && p && !f) }' "$log"

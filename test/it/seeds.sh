#!/bin/sh
# seeds.sh - replays the seeds of every fuzz target, whole, cut and with bits flipped.
. test/it/lib.sh
for source in test/fuzz/fuzz_*.c; do
        name=$(basename "$source" .c)
        check "$name" timeout 300 "build/$variant/test/fuzz/$name" test/data
done
finish

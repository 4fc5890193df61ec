#!/bin/sh
# run.sh PROGRAM... - runs Check suites and scripts that print "ok", "not ok" and "skip" lines;
# shows what failed, ends with "N passed, N failed" (and ", N skipped").
passed=0 failed=0 skipped=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
# Sets n (all), bad and out (skipped) from the log of one program.
count() {
        line=$(grep -aE '^[0-9]+%: Checks: ' "$log" | tail -n 1)
        out=$(grep -acE '^skip ' "$log")
        if [ -n "$line" ]; then
                n=$(printf '%s' "$line" | sed 's/.*Checks: \([0-9]*\),.*/\1/')
                bad=$(printf '%s' "$line" |
                        sed 's/.*Failures: \([0-9]*\), Errors: \([0-9]*\).*/\1+\2/')
                bad=$(($bad))
        else
                bad=$(grep -acE '^not ok ' "$log")
                n=$((bad + $(grep -acE '^ok ' "$log")))
        fi
}
for prog; do
        began=$(date +%s)
        case $prog in
        *.sh) timeout 900 sh "$prog" >"$log" 2>&1 ;;
        *) timeout 900 "$prog" >"$log" 2>&1 ;;
        esac
        rc=$?
        count
        [ "$rc" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1 n=$((n + 1))
        [ "$rc" -eq 0 ] && [ "$n" -eq 0 ] && [ "$out" -eq 0 ] && bad=1 n=1
        passed=$((passed + n - bad)) failed=$((failed + bad)) skipped=$((skipped + out))
        result="$n ok"
        [ "$bad" -eq 0 ] || result="$bad FAILED"
        [ "$out" -eq 0 ] || result="$result, $out SKIPPED"
        took=$(($(date +%s) - began))
        [ "$took" -lt 10 ] || result="$result, $took s"
        printf '%-44s %s\n' "$prog${VARIANT:+ ($VARIANT)}" "$result"
        grep -aE '^skip ' "$log"
        [ "$bad" -eq 0 ] || grep -avE ':P:|^ok ' "$log" | tail -n 60
done
[ "$skipped" -eq 0 ] && echo "$passed passed, $failed failed" ||
        echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

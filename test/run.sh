#!/bin/sh
# run.sh PROGRAM... - runs Check suites, shows what failed, ends with "N passed, N failed".
passed=0 failed=0
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
for prog; do
        timeout 600 "$prog" >"$log" 2>&1
        rc=$?
        line=$(grep -aE '^[0-9]+%: Checks: ' "$log" | tail -n 1)
        n=$(printf '%s' "$line" | sed -n 's/.*Checks: \([0-9]*\),.*/\1/p')
        bad=$(printf '%s' "$line" | sed -n 's/.*Failures: \([0-9]*\), Errors: \([0-9]*\).*/\1+\2/p')
        bad=$((${bad:-1}))
        [ "$rc" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
        n=${n:-$bad}
        [ "$n" -lt "$bad" ] && n=$bad
        passed=$((passed + n - bad)) failed=$((failed + bad))
        printf '%-44s %s\n' "$prog" "$([ "$bad" -eq 0 ] && echo "$n ok" || echo "$bad FAILED")"
        [ "$bad" -eq 0 ] || grep -avE ':P:' "$log" | tail -n 40
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]

#!/usr/bin/env bash
# Instructions per proxied request inside the gateway (no kernel, no uvloop): callgrind counts, repeatable on a busy machine.
# usage: perf/instructions.sh [PYTHON] [--layers none|retries|limit|priority] [--observe bare|none|log|unsampled|trace|log-trace]
set -euo pipefail
cd "$(dirname "$0")/.."
python=${1:-.venv/bin/python}
shift || true
count() {
    PYTHONHASHSEED=0 valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$python" -m perf.micro.bench_request --exactly "$@" 2>&1 | awk '/Collected/ {print $NF}'
}
"$python" -m perf.micro.bench_request --exactly 1 "$@" # byte code of changed files is written now
few=$(count 1000 "$@")
many=$(count 7000 "$@")
echo "$(((many - few) / 6000)) instructions per request"

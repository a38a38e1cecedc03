#!/usr/bin/env bash
# A simulated prefill/decode pair and the gateway before it, until Ctrl+C.
#
#   deploy/examples/pd-pair.sh [sglang|vllm] [gateway flags]
#
# Ports: PORT (30000), METRICS_PORT (29000), PREFILL_PORT (31000), DECODE_PORT (31001),
# BOOTSTRAP_PORT (8998). With real engines only the first two commands change: docs/guide/pd.md.
set -euo pipefail

engine=${1:-sglang}
shift || true
python=${PYTHON:-python3}
port=${PORT:-30000}
prefill=http://127.0.0.1:${PREFILL_PORT:-31000}
decode=http://127.0.0.1:${DECODE_PORT:-31001}
bootstrap=${BOOTSTRAP_PORT:-8998}

trap 'trap - EXIT; kill $(jobs -p) 2>/dev/null || true; wait' EXIT
trap 'exit 143' INT TERM

"$python" -m smg.sim --engine "$engine" --role prefill --port "${prefill##*:}" \
    --bootstrap-port "$bootstrap" &
"$python" -m smg.sim --engine "$engine" --role decode --port "${decode##*:}" &

gateway=("$python" -m smg launch --pd-disaggregation --decode "$decode" --policy round_robin
    --host 127.0.0.1 --port "$port" --prometheus-port "${METRICS_PORT:-29000}" "$@")
if [ "$engine" = sglang ]; then
    "${gateway[@]}" --prefill "$prefill" "$bootstrap" &
else
    # vLLM does not tell its connector over HTTP: the prefill worker is registered with it.
    "${gateway[@]}" &
    curl -sS --retry 50 --retry-connrefused --retry-delay 1 "http://127.0.0.1:$port/workers" -d "{
        \"url\": \"$prefill\", \"worker_type\": \"prefill\", \"kv_connector\": \"NixlConnector\"}"
fi
wait -n

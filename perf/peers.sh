#!/bin/sh
# Installs the gateways that bench.py compares with into .peers/ (not under version control).
# Each has an environment of its own. A peer that cannot be installed is left out of later runs.
#   perf/peers.sh [reference] [sglang] [vllm] [haproxy]        default: all
set -u
cd "$(dirname "$0")/.." || exit 1
mkdir -p .peers
peers=${*:-reference sglang vllm haproxy}
python=${PYTHON:-python3}

# venv NAME [pip arguments...]
venv() {
    name=$1
    shift
    [ -x ".peers/$name/bin/python" ] || "$python" -m venv ".peers/$name" || return 1
    ".peers/$name/bin/pip" install --quiet --disable-pip-version-check "$@"
}

for peer in $peers; do
    case $peer in
        reference)
            venv reference smg==1.13.0 ;;
        # The routers name engine packages as dependencies; what they import at start is this much.
        sglang)
            venv sglang --no-deps sglang-router==0.3.2 &&
                venv sglang setproctitle aiohttp fastapi orjson uvicorn ;;
        vllm)
            venv vllm --no-deps vllm-router==0.1.17 &&
                venv vllm setproctitle aiohttp fastapi orjson requests uvicorn ;;
        haproxy)
            if command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ]; then
                :
            elif [ "$(id -u)" = 0 ]; then
                apt-get update -qq && apt-get install -y -qq haproxy >/dev/null
            else
                # Not root: unpack the package, nothing is installed.
                (cd .peers && apt-get download -qq haproxy && dpkg-deb -x haproxy_*.deb haproxy)
            fi ;;
        *)
            echo "unknown peer: $peer" >&2
            false ;;
    esac && echo "$peer: ready" || echo "$peer: not installed, bench will skip it"
done

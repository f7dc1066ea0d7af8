#!/usr/bin/env bash
# Compares the real Labelbox with `trainhook emulate`: statuses, config and read-back of a throw-away model run.
#
#   LABELBOX_API_KEY=… tests/live.sh
#
# LABELBOX_MODEL_ID names a model to make the run under; without it an ontology and a model are made as well. All of
# them are deleted at the end. LABELBOX_ENDPOINT is another address than https://api.labelbox.com/graphql.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -z "${LABELBOX_API_KEY:-}" ]; then
    echo "tests/live.sh: LABELBOX_API_KEY is not set: make a key in Labelbox under Workspace settings, API keys" >&2
    exit 2
fi

venv=${TRAINHOOK_TEST_VENV:-$PWD/target/conformance-venv}
tests/conformance/make-venv "$venv"
if [ -z "${TRAINHOOK:-}" ]; then
    cargo build --quiet --locked
    TRAINHOOK=${CARGO_TARGET_DIR:-target}/debug/trainhook
fi

# The emulator ends with this script: it writes its one line and then waits to be ended.
coproc emulator { exec "$TRAINHOOK" emulate --json --api-key emulated-key; }
trap 'kill "$emulator_PID" 2>/dev/null || true' EXIT
read -r -t 20 ready <&"${emulator[0]}"
"$venv/bin/python" tests/conformance/live.py "$ready"

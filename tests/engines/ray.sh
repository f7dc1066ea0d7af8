#!/usr/bin/env bash
# A Ray cluster for tests: a head with the Jobs API, and on demand a second node, all on loopback addresses and below one folder.
#
#   tests/engines/ray.sh install     makes the Python environment with the pinned Ray, or leaves it if it is as it should be
#   tests/engines/ray.sh start       starts a head and prints the line that tells the tests where it is; more options are
#                                    for `ray start`
#   tests/engines/ray.sh crash       kills the head with all that belongs to it, as a power cut would but for the jobs'
#                                    own processes
#   tests/engines/ray.sh revive      starts the head again, and leaves alone what is left of jobs
#   tests/engines/ray.sh join        starts another node, with a resource "spare" that the head does not have
#   tests/engines/ray.sh lose        kills that node's raylet
#   tests/engines/ray.sh stop        ends everything that it has started, jobs included
#
# TRAINHOOK_RAY_DIR is its folder, whose path must be short: Ray keeps sockets below it. TRAINHOOK_RAY_PORT is the first
# of its ports; the Jobs API listens on the second. With RAY_AUTH_MODE=token the cluster takes none but RAY_AUTH_TOKEN.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=${TRAINHOOK_RAY_DIR:-/tmp/trainhook-ray-$(id -u)}
venv=${TRAINHOOK_RAY_VENV:-$top/target/ray-venv}
port=${TRAINHOOK_RAY_PORT:-17910}
address=http://127.0.0.1:$((port + 1))

authorization=()
if [ -n "${RAY_AUTH_TOKEN:-}" ]; then authorization=(-H "Authorization: Bearer $RAY_AUTH_TOKEN"); fi

export RAY_USAGE_STATS_ENABLED=0 RAY_DISABLE_IMPORT_WARNING=1
# What a job is not to have in its environment, Ray would give it.
unset RAY_ADDRESS

fail() {
    echo "tests/engines/ray.sh: $*" >&2
    exit 1
}

# A process that has ended may stay in the table of processes for a while.
lives() {
    local state
    state=$(sed 's/^.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) && [ -n "$state" ] && [ "$state" != Z ]
}

# Ours are those that have the mark in their environment: Ray passes it on to all that it starts, jobs included.
ours() {
    local process
    for process in /proc/[0-9]*; do
        if grep -q -z -F "TRAINHOOK_RAY_MARK=$dir/" "$process/environ" 2>/dev/null; then
            echo "${process#/proc/}"
        fi
    done
}

install() {
    local requirements=$top/tests/engines/ray-requirements.txt stamp
    stamp=$({ python3 --version; cat "$requirements"; } | sha256sum)
    if [ -e "$venv/stamp" ] && [ "$(cat "$venv/stamp")" = "$stamp" ]; then return; fi
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
    printf '%s\n' "$stamp" >"$venv/stamp"
}

# In a session of its own: it outlives whoever runs this script. The mark tells its processes from all others.
begin() {
    local name=$1
    shift
    TRAINHOOK_RAY_MARK=$dir/$name setsid "$venv/bin/ray" start --block --disable-usage-stats \
        --object-store-memory=80000000 --min-worker-port=0 --max-worker-port=0 "$@" \
        >"$dir/$name.log" 2>&1 </dev/null &
    echo "$!" >"$dir/$name.pid"
}

answers() {
    # It is up only when the job manager and its agent are.
    [ "$(curl -s "${authorization[@]}" -o /dev/null -m 2 -w '%{http_code}' "$address/api/jobs/")" = 200 ]
}

has_joined() {
    [ "$(curl -s "${authorization[@]}" -m 2 "$address/nodes?view=summary" | grep -o '"state": "ALIVE"' | wc -l)" -ge 2 ]
}

until_true() {
    local name=$1 tries
    shift
    for tries in $(seq 600); do
        if "$@" >/dev/null 2>&1; then return; fi
        lives "$(cat "$dir/$name.pid")" || break
        sleep 0.1
    done
    tail -n 20 "$dir/$name.log" >&2 || true
    fail "the $name is not ready"
}

start() {
    [ -x "$venv/bin/ray" ] || fail "there is no Ray: run tests/engines/ray.sh install"
    stop
    revive "$@"
}

revive() {
    mkdir -p "$dir"
    # In place of 127.0.0.1 Ray would take the address of the first network card.
    begin head --head --node-ip-address=127.0.0.2 --port="$port" --dashboard-host=127.0.0.1 --include-dashboard=true --dashboard-port=$((port + 1)) \
        --dashboard-agent-listen-port=$((port + 2)) --ray-client-server-port=$((port + 3)) \
        --num-cpus="${RAY_CPUS:-4}" --num-gpus="${RAY_GPUS:-2}" --resources='{"slot": 8}' --temp-dir="$dir/tmp" "$@"
    until_true head answers
    echo "export TRAINHOOK_TEST_RAY=$address TRAINHOOK_RAY_DIR=$dir"
}

join_node() {
    end node
    begin node --node-ip-address=127.0.0.3 --address="127.0.0.2:$port" --dashboard-agent-listen-port=$((port + 4)) \
        --num-cpus=2 --num-gpus=0 --resources='{"spare": 1}'
    until_true node has_joined
}

# The pids of all below a process, but for what jobs have started.
tree() {
    local child
    if grep -q '^ray::JobSuperv' "/proc/$1/comm" 2>/dev/null; then return; fi
    for child in $(cat "/proc/$1"/task/*/children 2>/dev/null); do
        echo "$child"
        tree "$child"
    done
}

end() {
    local pid name=$1
    [ -s "$dir/$name.pid" ] || return 0
    pid=$(cat "$dir/$name.pid")
    if lives "$pid"; then
        # shellcheck disable=SC2046
        kill -KILL "$pid" $(tree "$pid") 2>/dev/null || true
    fi
    rm -f "$dir/$name.pid"
}

lose() {
    local pid
    for pid in $(tree "$(cat "$dir/node.pid")"); do
        if grep -q -x raylet "/proc/$pid/comm" 2>/dev/null; then kill -KILL "$pid"; fi
    done
}

stop() {
    local pids tries
    [ -d "$dir" ] || return 0
    end node
    end head
    # Entrypoints are in sessions of their own, and workers outlive their raylet for a moment.
    for tries in $(seq 50); do
        pids=$(ours)
        [ -n "$pids" ] || break
        # shellcheck disable=SC2086
        kill -KILL $pids 2>/dev/null || true
        sleep 0.1
    done
    rm -rf "$dir"
}

case ${1:-} in
    install) install ;;
    start) shift && start "$@" ;;
    crash) end head ;;
    revive) revive ;;
    join) join_node ;;
    lose) lose ;;
    stop) stop ;;
    *) fail "say install, start, crash, revive, join, lose or stop" ;;
esac

#!/usr/bin/env bash
# A real Docker Engine of its own for tests: own store, own socket, no bridge, no packet filter; containers run with the
# networks "none" and "host". Nothing of an engine that the machine has is touched.
#
#   docker.sh start [dockerd's options]   prints the line that tells the tests where it is
#   docker.sh kill                        kills the engine as a crash would; what it runs goes on
#   docker.sh stop                        ends it with all it runs, and its mounts
#
# TRAINHOOK_DOCKER_DIR is its folder. Needs root, dockerd and its client (Debian: docker.io), and busybox-static.
set -euo pipefail
# shellcheck source=tests/engines/images.sh
. "$(dirname "${BASH_SOURCE[0]}")/images.sh"

folder=${TRAINHOOK_DOCKER_DIR:-${TMPDIR:-/tmp}/trainhook-engines/docker}
export DOCKER_HOST=unix://$folder/docker.sock

fail() {
    printf 'docker.sh: %s\n' "$*" >&2
    exit 1
}

# A process that has ended may stay in the table until it is waited for.
lives() {
    local pid state
    pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] || return 1
    state=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f1)
    [ -n "$state" ] && [ "$state" != Z ]
}

is_running() {
    lives "$folder/pid"
}

wait_for() {
    local what=$1 tries
    shift
    for tries in $(seq 300); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    tail -n 20 "$folder/dockerd.log" >&2
    fail "waited too long for $what"
}

answers() {
    is_running && docker version
}

start() {
    [ "$(id -u)" = 0 ] || fail "needs root"
    command -v dockerd docker >/dev/null || fail "dockerd is missing: apt-get install docker.io"
    [ -x /bin/busybox ] || fail "busybox is missing: apt-get install busybox-static"
    mkdir -p "$folder"
    if ! is_running; then
        rm -f "$folder/docker.sock" "$folder/dockerd.pid"
        # The engine takes one that has ended and was not waited for as alive, and waits for its answer.
        lives "$folder/exec/containerd/containerd.pid" || rm -f "$folder/exec/containerd/containerd.pid"
        setsid dockerd --host "$DOCKER_HOST" --data-root "$folder/data" --exec-root "$folder/exec" \
            --pidfile "$folder/dockerd.pid" --iptables=false --ip6tables=false --ip-forward=false --bridge=none "$@" \
            >>"$folder/dockerd.log" 2>&1 </dev/null &
        echo $! >"$folder/pid"
        wait_for "the engine" answers
    fi
    docker image inspect "$image" >/dev/null 2>&1 || make_images docker import -
    echo "export TRAINHOOK_TEST_DOCKER=$DOCKER_HOST"
}

kill_engine() {
    is_running || return 0
    kill -KILL "$(cat "$folder/pid")"
    wait_for "the engine's end" stopped
    # It is bound to the engine's life, but for a moment.
    wait_for "the end of containerd" containerd_ended
}

stopped() {
    ! is_running
}

containerd_ended() {
    ! lives "$folder/exec/containerd/containerd.pid"
}

# What runs on after a crash of the engine: each container's keeper, known by the folder in its arguments, and its child.
end_shims() {
    local process pid
    for process in /proc/[0-9]*; do
        pid=${process#/proc/}
        if tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -qF -- "-address $folder/exec/"; then
            # shellcheck disable=SC2046
            kill -KILL $(cat "$process"/task/*/children 2>/dev/null) "$pid" 2>/dev/null || true
        fi
    done
}

stop() {
    local containers
    [ -d "$folder" ] || return 0
    if is_running; then
        containers=$(timeout 10 docker ps --all --quiet 2>/dev/null || true)
        # shellcheck disable=SC2086
        [ -z "$containers" ] || timeout 60 docker rm --force $containers >/dev/null 2>&1 || true
        kill -TERM "$(cat "$folder/pid")"
        wait_for "the engine's end" stopped
    fi
    end_shims
    for mount in $(grep -o " $folder/[^ ]*" /proc/mounts | sort -r); do
        umount "$mount" || true
    done
    rm -rf "$folder"
}

case ${1:-} in
start) shift && start "$@" ;;
kill) kill_engine ;;
stop) stop ;;
*) fail "start, kill or stop?" ;;
esac

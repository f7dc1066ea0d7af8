#!/usr/bin/env bash
# podman with a store of its own for tests, and its API that is Docker's; containers run with the networks "none" and
# "host". Nothing of a podman that the machine has is touched.
#
#   podman.sh start   prints the line that tells the tests where it is
#   podman.sh stop    ends it with all it runs, and its mounts
#
# TRAINHOOK_PODMAN_DIR is its folder. Needs root, podman, runc, and busybox-static.
set -euo pipefail
# shellcheck source=tests/engines/images.sh
. "$(dirname "${BASH_SOURCE[0]}")/images.sh"

folder=${TRAINHOOK_PODMAN_DIR:-${TMPDIR:-/tmp}/trainhook-engines/podman}
socket=unix://$folder/podman.sock
export CONTAINERS_CONF=$folder/containers.conf CONTAINERS_STORAGE_CONF=$folder/storage.conf

fail() {
    printf 'podman.sh: %s\n' "$*" >&2
    exit 1
}

# A process that has ended may stay in the table until it is waited for.
is_running() {
    local pid state
    pid=$(cat "$folder/pid" 2>/dev/null) && [ -n "$pid" ] || return 1
    state=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null | cut -d' ' -f1)
    [ -n "$state" ] && [ "$state" != Z ]
}

stopped() {
    ! is_running
}

answers() {
    is_running && podman --remote --url "$socket" version
}

wait_for() {
    local what=$1
    shift
    for _ in $(seq 300); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    tail -n 20 "$folder/service.log" >&2
    fail "waited too long for $what"
}

# Limits are as they are, since to raise them is not ours everywhere; the soft one is the hard one, since podman 4.3
# mistakes one for the other in Docker's API. runc bears all mixtures of cgroups. Locks are files: those in shared
# memory would be shared with the machine's own podman.
write_settings() {
    local files
    files=$(ulimit -Hn)
    cat >"$CONTAINERS_CONF" <<CONF
[containers]
default_ulimits = ["nofile=$files:$files", "nproc=4096:4096"]
netns = "none"
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "$folder/tmp"
CONF
    cat >"$CONTAINERS_STORAGE_CONF" <<CONF
[storage]
driver = "overlay"
graphroot = "$folder/store"
runroot = "$folder/run"
CONF
}

start() {
    [ "$(id -u)" = 0 ] || fail "needs root"
    for program in podman runc; do
        command -v "$program" >/dev/null || fail "$program is missing: apt-get install $program"
    done
    [ -x /bin/busybox ] || fail "busybox is missing: apt-get install busybox-static"
    mkdir -p "$folder"
    write_settings
    podman image exists "$image" 2>/dev/null || make_images podman import --quiet -
    if ! is_running; then
        rm -f "$folder/podman.sock"
        setsid podman system service --time=0 "$socket" >>"$folder/service.log" 2>&1 </dev/null &
        echo $! >"$folder/pid"
        wait_for "the engine" answers
    fi
    echo "export TRAINHOOK_TEST_PODMAN=$socket"
}

stop() {
    [ -d "$folder" ] || return 0
    timeout 60 podman rm --force --time 0 --all >/dev/null 2>&1 || true
    if is_running; then
        kill -TERM "$(cat "$folder/pid")"
        wait_for "the engine's end" stopped
    fi
    for mount in $(grep -o " $folder/[^ ]*" /proc/mounts | sort -r); do
        umount "$mount" || true
    done
    rm -rf "$folder"
}

case ${1:-} in
start) start ;;
stop) stop ;;
*) fail "start or stop?" ;;
esac

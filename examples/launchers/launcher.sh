#!/bin/sh
# A launcher for trainhook in sh: starts jobs as processes of this machine, or hands every call on to a service with
# a REST interface. It needs jq, and curl for the service.
#
#   [executors.mine]
#   kind = "program"
#   command = ["examples/launchers/launcher.sh"]
#   # env = { LAUNCHER_URL = "https://cluster.example.com/launcher", LAUNCHER_HEADER_FILE = "/etc/launcher-header" }
#
# The verb is the argument, the message comes on standard input, the answer goes to standard output. Exit codes: 0 done,
# 64 unknown verb, 65 refused for good, 66 no such attempt, 75 nothing was done and it may work later; anything else
# means that nobody knows.
set -eu

verb=${1:-}
# Kept in a variable, and never among arguments: a launch may hold secrets.
message=$(cat)

fail() {
    code=$1
    shift
    printf '%s\n' "$*" >&2
    exit "$code"
}

# Asks the message: a jq filter.
ask() {
    printf '%s' "$message" | jq -r "$1"
}

# Hands the call on to a service. A file with a line such as "authorization: Bearer ..." keeps the token out of arguments.
call_service() {
    answer=$(mktemp)
    trap 'rm -f "$answer"' EXIT
    set -- --silent --show-error --max-time 20 --header 'content-type: application/json'
    [ -z "${LAUNCHER_HEADER_FILE:-}" ] || set -- "$@" --header "@$LAUNCHER_HEADER_FILE"
    code=0
    status=$(printf '%s' "$message" | curl "$@" --data-binary @- --output "$answer" --write-out '%{http_code}' \
        "$LAUNCHER_URL/$verb") || code=$?
    case $code in
        0) ;;
        6 | 7) fail 75 "$LAUNCHER_URL cannot be reached" ;;
        *) fail 70 "no answer from $LAUNCHER_URL: curl ended with $code" ;;
    esac
    case $status in
        2??) cat "$answer" ;;
        400 | 422) fail 65 "$(head -n 1 "$answer")" ;;
        # A service that has the launch already: it is looked for.
        409) fail 70 "the service has it already: $(head -n 1 "$answer")" ;;
        404 | 410) fail 66 'the service knows no such attempt' ;;
        429 | 503) fail 75 "the service answered $status: $(head -n 1 "$answer")" ;;
        *) fail 70 "the service answered $status: $(head -n 1 "$answer")" ;;
    esac
}

# The time at which a process started; nothing if there is none, or it has ended and was not waited for.
start_of() {
    stat=$(sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null) || return 0
    case $stat in Z* | X*) return 0 ;; esac
    printf '%s' "$stat" | cut -d ' ' -f 20
}

# A pid alone names nobody: it is used again.
is_alive() {
    [ "$2" != 0 ] && [ "$(start_of "$1")" = "$2" ]
}

submit() {
    job_dir=$(ask '.launch.job_dir')
    # One of this name that is handed to us would be taken for one of ours below.
    unset variables
    variables=$(ask '.launch.env | to_entries[] | "export \(.key)=\(.value | @sh)"')
    arguments=$(ask '.launch.argv | @sh')
    eval "set -- $arguments"
    (
        # What we start gets the variables of the launch, and none that are meant for us.
        for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do
            case $name in PATH | HOME) ;; *) unset "$name" ;; esac
        done
        eval "$variables"
        exec setsid "$@"
    ) </dev/null >/dev/null 2>>"$job_dir/supervisor.log" &
    pid=$!
    start=$(start_of "$pid")
    handle=$(jq -n --arg pid "$pid" --arg start "${start:-0}" --arg job_dir "$job_dir" \
        '{pid: $pid, start: $start, job_dir: $job_dir}')
    # For find, should the answer be lost.
    printf '%s\n' "$handle" >"$job_dir/.launcher.json"
    printf '{"handle": %s}\n' "$handle"
}

# A process that was just started may have left no note yet: null says that we cannot tell.
find_launch() {
    note=$(ask '.launch.job_dir')/.launcher.json
    if [ -s "$note" ]; then
        printf '{"handles": [%s]}\n' "$(cat "$note")"
    else
        printf '{"handles": null}\n'
    fi
}

observe() {
    ask '.attempts[] | [.launch_id, .handle.pid // 0, .handle.start // 0] | join(" ")' |
        while read -r launch_id pid start; do
            phase=gone
            ! is_alive "$pid" "$start" || phase=running
            printf '{"launch_id": "%s", "phase": "%s"}\n' "$launch_id" "$phase"
        done | jq -s '{attempts: .}'
}

# The supervisor stops its command with SIGTERM and, after the model's cancel_grace, with SIGKILL.
cancel() {
    pid=$(ask '.handle.pid // 0')
    is_alive "$pid" "$(ask '.handle.start // 0')" || fail 66 'it has ended'
    kill -TERM "$pid"
}

# What does not end by itself is killed; the command dies with its supervisor.
cleanup() {
    pid=$(ask '.handle.pid // 0')
    is_alive "$pid" "$(ask '.handle.start // 0')" || return 0
    kill -KILL "$pid"
}

command -v jq >/dev/null || fail 75 'jq is missing: install it'
if [ -n "${LAUNCHER_URL:-}" ]; then
    call_service
    exit
fi
case $verb in
    submit) submit ;;
    find) find_launch ;;
    observe) observe ;;
    cancel) cancel ;;
    cleanup) cleanup ;;
    logs) cat "$(ask '.handle.job_dir')/supervisor.log" ;;
    check) printf 'processes of %s\n' "$(uname -n)" ;;
    *) fail 64 "unknown verb: $verb" ;;
esac

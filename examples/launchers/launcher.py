#!/usr/bin/env python3
"""A launcher for trainhook in Python: starts jobs as processes of this machine, or hands every call on to a service
with a REST interface, by way of curl.

    [executors.mine]
    kind = "program"
    command = ["examples/launchers/launcher.py"]
    # env = { LAUNCHER_URL = "https://cluster.example.com/launcher", LAUNCHER_HEADER_FILE = "/etc/launcher-header" }

The verb is the argument, the message comes on standard input, the answer goes to standard output. Exit codes: 0 done,
64 unknown verb, 65 refused for good, 66 no such attempt, 75 nothing was done and it may work later; anything else
means that nobody knows.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

UNKNOWN_VERB, REJECTED, NOT_FOUND, UNKNOWN, TRANSIENT = 64, 65, 66, 70, 75


class Failure(Exception):
    """Ends the call with a code and a sentence for people."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def start_of(pid):
    """When the process started; None if there is none, or it has ended and was not waited for."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(") ")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def is_alive(handle):
    """A pid alone names nobody, since it is used again."""
    return handle.get("start") is not None and start_of(handle.get("pid")) == handle["start"]


def note_of(launch):
    return pathlib.Path(launch["job_dir"], ".launcher.json")


def submit(message):
    launch = message["launch"]
    log = os.path.join(launch["job_dir"], "supervisor.log")
    with open(log, "ab") as errors:
        supervisor = subprocess.Popen(
            launch["argv"],
            # None of the variables that are meant for us.
            env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | launch["env"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    handle = {"pid": supervisor.pid, "start": start_of(supervisor.pid), "log": log}
    # For find, should the answer be lost.
    note_of(launch).write_text(json.dumps(handle))
    return {"handle": handle}


def find(message):
    """A process that was just started may have left no note yet: null says that we cannot tell."""
    note = note_of(message["launch"])
    return {"handles": [json.loads(note.read_text())] if note.exists() else None}


def observe(message):
    def look(attempt):
        phase = "running" if is_alive(attempt["handle"]) else "gone"
        return {"launch_id": attempt["launch_id"], "phase": phase}

    return {"attempts": [look(attempt) for attempt in message["attempts"]]}


def cancel(message):
    """The supervisor stops its command with SIGTERM and, after the model's cancel_grace, with SIGKILL."""
    if not is_alive(message["handle"]):
        raise Failure(NOT_FOUND, "it has ended")
    os.kill(message["handle"]["pid"], signal.SIGTERM)


def cleanup(message):
    """What does not end by itself is killed; the command dies with its supervisor."""
    if is_alive(message["handle"]):
        os.kill(message["handle"]["pid"], signal.SIGKILL)


def logs(message):
    return pathlib.Path(message["handle"]["log"]).read_text(errors="replace")


def check(_message):
    return f"processes of {os.uname().nodename}\n"


def call_service(url, verb, message):
    """Hands the call on. A file with a line such as "authorization: Bearer ..." keeps the token out of arguments."""
    arguments = ["--silent", "--show-error", "--max-time", "20", "--header", "content-type: application/json"]
    header_file = os.environ.get("LAUNCHER_HEADER_FILE")
    if header_file:
        arguments += ["--header", f"@{header_file}"]
    with tempfile.NamedTemporaryFile() as body:
        arguments += ["--data-binary", "@-", "--output", body.name, "--write-out", "%{http_code}", f"{url}/{verb}"]
        called = subprocess.run(["curl", *arguments], input=message, capture_output=True, check=False)
        text = body.read().decode(errors="replace")
    if called.returncode in (6, 7):
        raise Failure(TRANSIENT, f"{url} cannot be reached")
    if called.returncode != 0:
        raise Failure(UNKNOWN, f"no answer from {url}: {called.stderr.decode(errors='replace').strip()}")
    status = int(called.stdout)
    if 200 <= status < 300:
        return text
    codes = {400: REJECTED, 422: REJECTED, 404: NOT_FOUND, 410: NOT_FOUND, 429: TRANSIENT, 503: TRANSIENT}
    # Any other status, 409 of a service that has the launch already too, means that it is looked for.
    first_line = (text.splitlines() or [""])[0]
    raise Failure(codes.get(status, UNKNOWN), f"the service answered {status}: {first_line}")


def answer(verb, message):
    url = os.environ.get("LAUNCHER_URL")
    if url:
        return call_service(url, verb, message)
    verbs = (submit, find, observe, cancel, cleanup, logs, check)
    for known in verbs:
        if known.__name__ == verb:
            return known(json.loads(message))
    raise Failure(UNKNOWN_VERB, f"unknown verb: {verb}")


def main():
    verb = sys.argv[1] if len(sys.argv) == 2 else ""
    try:
        said = answer(verb, sys.stdin.buffer.read())
    except Failure as failure:
        print(failure, file=sys.stderr)
        return failure.code
    if said is not None:
        print(said if isinstance(said, str) else json.dumps(said), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

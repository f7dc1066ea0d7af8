#!/usr/bin/env bash
# A Slurm of two nodes on this machine, for tests: munge, slurmctld and two slurmd, all on 127.0.0.1 and below one folder.
#
#   tests/engines/slurm.sh start     starts it and prints the folder; with ACCOUNTING=1 also slurmdbd and its MariaDB
#   tests/engines/slurm.sh stop      ends everything that it has started
#   tests/engines/slurm.sh crash     kills slurmctld as a power cut would, and starts it again
#   tests/engines/slurm.sh remember  copies what slurmctld has written down so far
#   tests/engines/slurm.sh forget    crashes it, and lets it find no more than that: it writes only now and then
#   tests/engines/slurm.sh crash-nodes   the same with both slurmd; what they run goes on
#   tests/engines/slurm.sh install   installs the Debian packages, as root
#
# SLURM_TEST_DIR says where; SLURM_CONF for clients is etc/slurm.conf in there.
set -euo pipefail

dir=${SLURM_TEST_DIR:-$(cd "$(dirname "$0")/../.." && pwd)/target/engines/slurm}
accounting=${ACCOUNTING:-0}
# Finished jobs are forgotten soon, so that tests see it happen.
min_job_age=${MIN_JOB_AGE:-20}
base_port=${SLURM_TEST_PORT:-17817}
export SLURM_CONF=$dir/etc/slurm.conf

fail() {
    echo "tests/engines/slurm.sh: $*" >&2
    exit 1
}

# Waits for a command to succeed, half a minute at most.
until_true() {
    local what=$1
    shift
    for _ in $(seq 300); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.1
    done
    tail -n 5 "$dir"/log/* >&2 || true
    fail "$what is not ready"
}

# Starts a program beside us and notes its pid, for stop.
begin() {
    local name=$1
    shift
    # In a session of its own: it outlives whoever runs this script.
    setsid "$@" >"$dir/log/$name.out" 2>&1 </dev/null &
    echo "$!" >"$dir/pids/$name"
}

# A process that has ended may stay in the table of processes for a while.
lives() {
    local state
    state=$(sed 's/^.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) && [ -n "$state" ] && [ "$state" != Z ]
}

end() {
    local pid
    [ -s "$dir/pids/$1" ] || return 0
    pid=$(cat "$dir/pids/$1")
    kill "-${2:-TERM}" "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
        lives "$pid" || break
        sleep 0.05
    done
    ! lives "$pid" || kill -KILL "$pid" 2>/dev/null || true
    rm -f "$dir/pids/$1"
}

# Steps and their commands outlive the daemons. Ours are those that our slurmd has started: a step's own process, and
# what bears our settings and a job's number in its environment.
end_steps() {
    local process variables
    for process in /proc/[0-9]*; do
        variables=$({ tr '\0' '\n' <"$process/environ"; } 2>/dev/null) || continue
        grep -q -x -F "SLURM_CONF=$SLURM_CONF" <<<"$variables" || continue
        if grep -q '^SLURM_JOB_ID=' <<<"$variables" || grep -q -x slurmstepd "$process/comm"; then
            kill -KILL "${process#/proc/}" 2>/dev/null || true
        fi
    done
}

install_packages() {
    [ "$(id -u)" = 0 ] || fail "only root may install packages"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        slurm-wlm slurmctld slurmd munge slurmdbd slurm-wlm-mysql-plugin mariadb-server >/dev/null
}

write_config() {
    local storage=accounting_storage/none
    [ "$accounting" != 1 ] || storage=accounting_storage/slurmdbd
    cat >"$SLURM_CONF" <<CONF
ClusterName=trainhook
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$base_port
SlurmUser=root
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge.socket
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd-%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,bf_interval=2
GresTypes=gpu
ReturnToService=2
SlurmdTimeout=20
MinJobAge=$min_job_age
KillWait=3
DefMemPerNode=100
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
AccountingStorageType=$storage
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((base_port + 3))
AccountingStorageUser=root
AccountingStoragePass=$dir/run/munge.socket
NodeName=node[1-2] NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$((base_port + 1))-$((base_port + 2)) CPUs=2 RealMemory=2000 Gres=gpu:2
PartitionName=main Nodes=node[1-2] Default=YES MaxTime=INFINITE PriorityTier=1
PartitionName=urgent Nodes=node[1-2] MaxTime=INFINITE PriorityTier=10 PreemptMode=off
CONF
    # Devices that pretend to be GPUs must be device files.
    for gpu in 0 1; do
        [ -c "$dir/run/gpu$gpu" ] || mknod -m 666 "$dir/run/gpu$gpu" c 1 3
    done
    printf 'AutoDetect=off\nNodeName=node[1-2] Name=gpu File=%s/run/gpu[0-1]\n' "$dir" >"$dir/etc/gres.conf"
}

start_munge() {
    if [ ! -s "$dir/etc/munge.key" ]; then
        (umask 077 && head -c 128 /dev/urandom >"$dir/etc/munge.key")
    fi
    begin munged munged --foreground --force --num-threads=2 --key-file="$dir/etc/munge.key" \
        --socket="$dir/run/munge.socket" --pid-file="$dir/run/munged.pid" \
        --log-file="$dir/log/munged.log" --seed-file="$dir/run/munge.seed"
    until_true munge timeout 5 munge --no-input --socket="$dir/run/munge.socket"
}

start_accounting() {
    local sql="$dir/mysql-run/socket"
    if [ ! -d "$dir/mysql/mysql" ]; then
        install -d -o mysql "$dir/mysql"
        mariadb-install-db --no-defaults --user=mysql --datadir="$dir/mysql" --skip-test-db \
            --auth-root-authentication-method=normal >"$dir/log/mariadb-install.out" 2>&1
    fi
    install -d -o mysql "$dir/mysql-run"
    begin mariadbd mariadbd --no-defaults --user=mysql --datadir="$dir/mysql" --socket="$sql" \
        --pid-file="$dir/mysql-run/pid" --port=$((base_port + 4)) --bind-address=127.0.0.1 --skip-log-bin \
        --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900
    until_true MariaDB timeout 5 mariadb-admin --no-defaults --socket="$sql" --user=root ping
    mariadb --no-defaults --socket="$sql" --user=root --execute="
        create database if not exists slurm_acct_db;
        create user if not exists slurm@'127.0.0.1' identified by 'slurm';
        create user if not exists slurm@localhost identified by 'slurm';
        grant all on slurm_acct_db.* to slurm@'127.0.0.1', slurm@localhost;"
    (umask 077 && cat >"$dir/etc/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge.socket
CommunicationParameters=NoInAddrAny
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((base_port + 3))
SlurmUser=root
LogFile=$dir/log/slurmdbd.log
PidFile=$dir/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((base_port + 4))
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
CONF
    )
    begin slurmdbd slurmdbd -D
    until_true slurmdbd timeout 5 sacctmgr --noheader --immediate show cluster
    timeout 10 sacctmgr --immediate add cluster trainhook >/dev/null 2>&1 || true
}

start_controller() {
    begin slurmctld slurmctld -D
    until_true slurmctld timeout 5 scontrol ping
}

start_nodes() {
    begin slurmd-node1 slurmd -D -N node1
    begin slurmd-node2 slurmd -D -N node2
}

both_nodes_answer() {
    [ "$(timeout 5 sinfo --noheader --Node --partition=main --format=%T | grep -c -E '^(idle|mixed|allocated|completing)$')" = 2 ]
}

start() {
    for program in munged slurmctld slurmd sbatch; do
        command -v "$program" >/dev/null || fail "$program is missing: run tests/engines/slurm.sh install"
    done
    [ "$(id -u)" = 0 ] || fail "only root can start the nodes' daemons"
    stop
    # A node that was drained once would be remembered.
    rm -rf "$dir/state" "$dir/spool"
    mkdir -p "$dir"/{etc,state,spool/node1,spool/node2,log,run,pids}
    # munge insists on folders that nobody else can write.
    chmod 755 "$dir" "$dir/run" "$dir/etc"
    write_config
    start_munge
    [ "$accounting" != 1 ] || start_accounting
    start_controller
    start_nodes
    until_true "the nodes" both_nodes_answer
    echo "$dir"
}

stop() {
    [ -d "$dir/pids" ] || return 0
    if [ -s "$dir/pids/slurmctld" ] && lives "$(cat "$dir/pids/slurmctld")"; then
        timeout 10 scancel --quiet --partition=main,urgent 2>/dev/null || true
        timeout 10 scancel --quiet --user=root 2>/dev/null || true
        for _ in $(seq 100); do
            [ -n "$(timeout 5 squeue --noheader 2>/dev/null || true)" ] || break
            sleep 0.1
        done
    fi
    for name in slurmd-node1 slurmd-node2 slurmctld slurmdbd mariadbd munged; do
        end "$name"
    done
    end_steps
}

case ${1:-} in
    start) start ;;
    stop) stop ;;
    crash)
        end slurmctld KILL
        start_controller
        until_true "the nodes" both_nodes_answer
        ;;
    remember)
        rm -rf "$dir/remembered"
        cp -a "$dir/state" "$dir/remembered"
        ;;
    forget)
        end slurmctld KILL
        rm -rf "$dir/state"
        cp -a "$dir/remembered" "$dir/state"
        start_controller
        until_true "the nodes" both_nodes_answer
        ;;
    crash-nodes)
        end slurmd-node1 KILL
        end slurmd-node2 KILL
        start_nodes
        until_true "the nodes" both_nodes_answer
        ;;
    install) install_packages ;;
    *) fail "say start, stop, crash, remember, forget, crash-nodes or install" ;;
esac

# Talk, errors, and the one way in which the lab names a process.
# shellcheck shell=bash

# Host number N has the address $NETWORK.N, from 11 on, and is plugged into portN of the switch.
readonly NETWORK=10.88.0 CONTROLLER_ADDRESS=10.88.0.1

# The directory that marks a lab as ours holds this file; `down` removes nothing that lacks it.
readonly MARKER=.kvmsh-lab

say() { printf '%s: %s\n' "$PROGRAM" "$*" >&2; }

# die WHAT [WHAT TO DO]
die() {
    printf '%s: %s\n' "$PROGRAM" "$1" >&2
    [[ -z ${2-} ]] || printf '     %s\n' "$2" >&2
    exit 1
}

usage_error() { die "$1" "See: $PROGRAM help"; }

need_root() {
    ((EUID == 0)) || die "namespaces, mounts and veths need root" "Run it as root, for instance: sudo $0 $COMMAND …"
}

# Names become file names, interface descriptions, host names and XML: keep to what is safe in all of them.
check_name() {
    [[ $1 =~ ^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$ ]] ||
        die "'$1' is not a name the lab can use" "Letters, digits, '.', '_' and '-', at most 63."
}

# Sets START to the start time of process $1 in clock ticks since boot; fails for one that is gone or a zombie. One whose
# first thread has ended while others are still ending holds its files and devices, so it is not gone.
# The command name (field 2) may hold blanks and brackets, so fields are counted after the last ')'.
process_start() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    local fields
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} != [ZX] ]] || ((fields[17] > 1)) || return 1
    START=${fields[19]}
}

# A process is written down as "PID START": a pid alone may since belong to somebody else.
# Records the calling shell in file $1, by the number it has in the procfs it sees.
record_self() {
    local pid _
    read -r pid _ </proc/self/stat
    process_start "$pid"
    printf '%s %s\n' "$pid" "$START" >"$1.new"
    mv "$1.new" "$1"
}

# Sets PID from the record in file $1; fails if there is none or that process is gone.
recorded() {
    local start
    PID='' START=''
    { read -r PID start <"$1"; } 2>/dev/null || return 1
    process_start "$PID" && [[ $START == "$start" ]]
}

# Waits for the end of the killed process recorded in file $1.
await_end() {
    local -i tries
    for ((tries = 0; tries < 1500; tries++)); do
        recorded "$1" || return 0
        sleep 0.02
    done
    die "process $PID was killed and does not end" "Something in it hangs in the kernel: see /proc/$PID/stack."
}

# Sets DIR to the lab named on the command line.
open_lab() {
    [[ -n ${1-} ]] || usage_error "which lab? Give its directory"
    [[ -d $1 ]] || die "there is no lab in $1" "Start one: $PROGRAM up $1"
    DIR=$(cd -- "$1" && pwd -P)
    [[ -e $DIR/$MARKER ]] || die "$DIR is not a lab"
    local program
    read -r program <"$DIR/$MARKER" || program=$PROGRAM
    [[ $program == "$PROGRAM" ]] || die "the lab in $DIR is one of the program '$program', not of '$PROGRAM'"
}

# Sets HOST, HOST_DIR, INDEX (the last part of its address), KIND (host or bare) and PID (of its init) for host $1 of
# the lab in DIR.
open_host() {
    [[ -n ${1-} ]] || usage_error "which host?"
    HOST=$1 HOST_DIR=$DIR/hosts/$1
    [[ $HOST != */* && -d $HOST_DIR ]] ||
        die "the lab has no host '$HOST'" "It has: $(cd "$DIR/hosts" && echo *)"
    # shellcheck disable=SC2034 # nodes have no KIND
    read -r INDEX KIND <"$HOST_DIR/host"
    recorded "$HOST_DIR/pid" || die "host $HOST is not running" "See $HOST_DIR/log; or was it crashed? Then: $PROGRAM boot"
}

# Runs a command inside all namespaces of the host opened last, with that host's root directory.
in_host() { nsenter -t "$PID" -m -u -i -n -p -- "$@"; }

# Runs a command in the switch's network namespace only.
in_switch() {
    local PID START
    recorded "$DIR/pid" || die "the lab in $DIR is not running"
    nsenter -t "$PID" -n -- "$@"
}

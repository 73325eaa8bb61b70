# sshd and libvirtd of a host: run inside it by its init, and handled from outside by `lab stop` and `lab start`.
# The scripts in quotes run inside the host, where the lab's own files are out of sight.
# shellcheck shell=bash disable=SC2016

# Runs daemon $1; the further words lead into the host, for a caller that is not there already.
run_daemon() {
    local command
    case $1 in
        sshd) command='/usr/sbin/sshd -D -e' ;;
        libvirtd) command=libvirtd ;;
    esac
    "${@:2}" setsid -f sh -c "exec $command </dev/null >>/var/log/$1.out 2>&1"
}

# Waits until daemon $1 answers. sshd's pid file appears once it listens; libvirtd must be asked.
await_daemon() {
    local answers='[ -s /run/sshd.pid ]'
    [[ $1 != libvirtd ]] ||
        answers='[ -S /run/libvirt/libvirt-sock ] && timeout 10 virsh -q -c qemu:///system uri >/dev/null 2>&1'
    "${@:2}" sh -c "for i in \$(seq 400); do $answers && exit; sleep 0.05; done; exit 1" ||
        die "$1 does not answer on $HOST" "See $HOST_DIR/var/log/$1.out and $1.log"
}

# Prints running, hung (stopped by a signal) or dead for daemon $1 of the open host.
daemon_state() {
    in_host sh -c '
        pid=$(cat /run/$0.pid 2>/dev/null) && [ "$(cat /proc/"$pid"/comm 2>/dev/null)" = "$0" ] || { echo dead; exit; }
        case $(sed "s/.*) //; s/ .*//" "/proc/$pid/stat") in
            T) echo hung ;;
            Z | X) echo dead ;;
            *) echo running ;;
        esac' "$1"
}

# Sets DAEMON from the command line, for the open host.
open_daemon() {
    DAEMON=${1-}
    [[ $DAEMON == libvirtd || $DAEMON == sshd ]] || usage_error "which daemon? libvirtd or sshd"
    [[ $KIND$DAEMON != barelibvirtd ]] || die "host $HOST is a bare one, it has no libvirtd"
}

lab_stop() {
    need_root
    open_lab "${1-}"
    open_host "${2-}"
    open_daemon "${3-}"
    local signal=TERM
    case $#:${4-} in
        3:) ;;
        5:--signal) signal=${5#SIG} ;;
        *) usage_error "stop: after the daemon there can only be --signal NAME" ;;
    esac
    [[ $signal =~ ^[A-Z0-9]+$ ]] || usage_error "--signal wants a name such as KILL"
    [[ $(daemon_state "$DAEMON") != dead ]] || die "$DAEMON does not run on $HOST"
    in_host sh -c 'kill -"$1" "$(cat /run/$0.pid)"' "$DAEMON" "$signal"
    [[ $signal == TERM || $signal == KILL ]] || return 0
    local -i tries
    for ((tries = 0; tries < 500; tries++)); do
        [[ $(daemon_state "$DAEMON") != dead ]] || return 0
        sleep 0.02
    done
    die "$DAEMON on $HOST did not end on SIG$signal" "It may be hung; --signal KILL ends it."
}

# Starts the daemon, or lets a stopped one go on; one that runs is left alone.
lab_start() {
    need_root
    open_lab "${1-}"
    open_host "${2-}"
    open_daemon "${3-}"
    (($# == 3)) || usage_error "start takes a directory, a host and a daemon"
    local into=(nsenter -t "$PID" -m -u -i -n -p --)
    case $(daemon_state "$DAEMON") in
        hung) in_host sh -c 'kill -CONT "$(cat /run/$0.pid)"' "$DAEMON" ;;
        dead)
            in_host rm -f "/run/$DAEMON.pid"
            run_daemon "$DAEMON" "${into[@]}"
            ;;
    esac
    await_daemon "$DAEMON" "${into[@]}"
}

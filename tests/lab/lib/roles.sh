# The lab's own processes. Each runs `lab @ROLE …` and lives until its lab ends:
#
#   @watch        outside all namespaces; ends the lab when the owner is gone
#   └ @switch     PID 1 of the lab's PID namespace; its network namespace is the switch
#     ├ @controller   network and mount namespace in which `lab enter` runs commands
#     └ @host         PID 1 of one host's namespaces
#       └ libvirtd, sshd, QEMU …
#
# No namespace has a name: they are held by these processes alone. Killing @switch makes the kernel kill every process
# of the lab, and with them go veths and mounts. @watch and @switch are tied by parent-death signals, so that the lab
# also ends when @watch is killed.
# shellcheck shell=bash

# A descriptor on which `read -t` waits without starting a process.
never_readable() {
    exec {NEVER}<> <(:)
}

# PID 1 must reap what its descendants leave: a QEMU that stays a zombie makes every migration's confirm step wait 40 s.
# bash collects any child on SIGCHLD; it only has to stay alive.
be_init() {
    never_readable
    while :; do read -r -u "$NEVER" || :; done
}

# @watch DIR OWNER START: OWNER is a process with that start time, or '-'.
role_watch() {
    local owner=$2 start=$3 switch
    DIR=$1
    record_self "$DIR/watch"
    setpriv --pdeathsig KILL -- \
        unshare --fork --pid --net --ipc --mount --propagation slave --kill-child=KILL -- \
        "$HERE/$PROGRAM" @switch "$DIR" &
    switch=$!
    if [[ $owner == - ]]; then
        wait "$switch" || :
        return
    fi
    never_readable
    while kill -0 "$switch" 2>/dev/null; do
        if ! process_start "$owner" || [[ $START != "$start" ]]; then break; fi
        read -r -t 0.5 -u "$NEVER" || :
    done
    end_lab
}

# @switch DIR
role_switch() {
    DIR=$1
    record_self "$DIR/pid"
    # `lab down` first kills @watch and then looks for this record: either it finds it, or this finds no @watch.
    recorded "$DIR/watch" || die "@watch is gone"
    guest_files || die "the guest kernel is missing from $CACHE" "Run: lab install"
    mount --bind "$BOOT_FILES" "$DIR/boot"
    ip link set lo up
    # The switch needs no address: it only joins the ports.
    ip link add switch type bridge
    ip link set switch up
    unshare --mount --propagation slave --uts --net -- "$HERE/$PROGRAM" @controller "$DIR" >"$DIR/controller/log" 2>&1 &
    local host control
    for host in "$DIR"/hosts/*; do power_on "${host##*/}"; done
    # `lab boot` writes the name of a host here. Waiting for one, this is the lab's init (see be_init).
    exec {control}<>"$DIR/control"
    while :; do
        ! read -r -u "$control" host || power_on "$host"
    done
}

power_on() {
    unshare --fork --pid --net --mount --uts --ipc --kill-child=KILL -- \
        "$HERE/$PROGRAM" @host "$DIR" "$1" >>"$DIR/hosts/$1/log" 2>&1 &
}

# plug_in PORT ADDRESS: joins this network namespace to the switch. Runs while /proc is still that of the machine, so
# that the switch and this process can be named in it.
plug_in() {
    local PID START self _
    read -r self _ </proc/self/stat
    recorded "$DIR/pid"
    nsenter -t "$PID" -n -- ip -batch - <<END
link add $1 type veth peer name eth0 address 02:00:00:88:00:$(printf %02x "${2##*.}") netns /proc/$self/ns/net
link set $1 master switch up
END
    ip -batch - <<END
link set lo up
address add $2/24 dev eth0
link set eth0 up
END
}

# @controller DIR
role_controller() {
    DIR=$1
    open_ready
    trap 'announce failed controller' EXIT
    echo controller >/proc/sys/kernel/hostname
    plug_in controller "$CONTROLLER_ADDRESS"
    # With DNS in nsswitch.conf each look-up of a name would wait for servers that cannot be reached.
    mount --bind "$DIR/etc/hosts" /etc/hosts
    mount --bind "$DIR/etc/nsswitch.conf" /etc/nsswitch.conf
    # The user's own keys, known hosts and libvirt have no business in the lab.
    local home
    home=$(getent passwd 0 | cut -d: -f6)
    [[ -d $home/.ssh ]] || mkdir -m 700 "$home/.ssh"
    mount --bind "$DIR/controller/ssh" "$home/.ssh"
    [[ ! -d /run/libvirt ]] || mount -t tmpfs -o mode=755 tmpfs /run/libvirt
    record_self "$DIR/controller/pid"
    trap - EXIT
    announce up controller
    exec sleep infinity
}

# Tells `lab up`, which reads the other end, how it went. Opened early, as a host does not see DIR for long, and for
# reading too, lest it block when `up` was killed.
open_ready() { exec {READY}<>"$DIR/ready"; }
announce() {
    printf '%s %s\n' "$1" "$2" >&"$READY"
    exec {READY}>&-
}

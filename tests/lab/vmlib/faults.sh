# What can happen to a node: cables, power, and going back in time.
# shellcheck shell=bash

vm_cable() {
    need_root
    open_lab "${1-}"
    open_host "${2-}"
    [[ ${3-} == [12] ]] || usage_error "cable wants 1 (enp2s0) or 2 (enp3s0)"
    # Both ends lose the link, so that the switch forgets what it has learnt about the port, as a real one does.
    case ${4-} in
        up)
            in_switch ip link set "nic$INDEX-$3" up
            monitor "set_link nic$3 on"
            ;;
        down)
            monitor "set_link nic$3 off"
            in_switch ip link set "nic$INDEX-$3" down
            ;;
        *) usage_error "cable wants up or down" ;;
    esac
    forget_addresses
}

# The switches forget who is behind the other one, as a spanning tree makes them when a link comes or goes. Their own ports
# they clear by themselves.
forget_addresses() {
    local port
    for port in between1 between2; do in_switch ip link set "$port" type bridge_slave fdb_flush; done
}

# What the node had not flushed is lost, as its memory is; what it had flushed is in its disk.
vm_kill() {
    need_root
    open_lab "${1-}"
    open_host "${2-}"
    kill -KILL "$PID"
    await_end "$HOST_DIR/pid"
}

# Returns when the agent answers; SSH may come a little later, or, after what was done to the node, never.
vm_boot() {
    need_root
    open_lab "${1-}"
    local HOST HOST_DIR PID START
    known_host "${2-}"
    recorded "$DIR/pid" || die "the lab in $DIR is not running"
    ! recorded "$HOST_DIR/pid" || die "node $HOST is running" "Take its power first: vm kill $DIR $HOST"
    printf '%s\n' "$HOST" 1<>"$DIR/control"
    local -i tries
    for ((tries = 0; tries < 200; tries++)); do
        ! recorded "$HOST_DIR/pid" || break
        sleep 0.05
    done
    await_agent $((SECONDS + BOOT_SECONDS)) || die "node $HOST did not boot" "See: vm console $DIR $HOST"
}

# Returns when the agent answers after the reboot.
vm_reboot() {
    need_root
    open_lab "${1-}"
    open_host "${2-}"
    local before now
    local -i end=$((SECONDS + BOOT_SECONDS))
    before=$(boot_id)
    case ${3-} in
        # It may be down before its agent says how that ended; whether it comes back is seen below.
        '') (run_in_node 60 '' systemctl reboot --no-block) 2>/dev/null || : ;;
        --reset) monitor system_reset ;;
        *) usage_error "reboot has no option $3" ;;
    esac
    while ((SECONDS < end)); do
        await_agent "$end" || break
        # While it goes down, the agent may be there for the one question and gone for the next.
        now=$(boot_id 2>/dev/null) && [[ -n $now && $now != "$before" ]] && return
        sleep 0.3
    done
    die "node $HOST did not boot again" "See: vm console $DIR $HOST"
}

boot_id() { run_in_node 30 '' cat /proc/sys/kernel/random/boot_id; }

check_tag() { [[ $1 =~ ^[A-Za-z][A-Za-z0-9._-]{0,60}$ ]] || usage_error "a snapshot's name is of letters, digits, '.', '_' and '-'"; }

# Memory and disk, kept inside the node's disk image. The node stands still meanwhile.
vm_snapshot() {
    need_root
    open_lab "${1-}"
    open_host "${2-}"
    check_tag "${3-}"
    monitor "savevm $3" 300
}

vm_restore() {
    need_root
    open_lab "${1-}"
    open_host "${2-}"
    check_tag "${3-}"
    # Cables are part of the surroundings: in a snapshot, and put back with it.
    local nic
    for nic in 1 2; do
        in_switch ip link set "nic$INDEX-$nic" down
        in_switch ip link set "nic$INDEX-$nic" up
    done
    forget_addresses
    monitor "loadvm $3" 300
    set_clock
}

# A restored node believes that it is still the time of its snapshot.
set_clock() { run_in_node 60 '' date -s "@$(date +%s.%N)" >/dev/null; }

# Cables: cut, slowed, bridged.
# shellcheck shell=bash

lab_link() {
    need_root
    open_lab "${1-}"
    open_host "${2-}"
    [[ ${3-} == up || ${3-} == down ]] || usage_error "link wants up or down"
    # At the switch's end, so that the host sees what it would see of a pulled cable: no carrier.
    in_switch ip link set "port$INDEX" "$3"
}

lab_shape() {
    need_root
    open_lab "${1-}"
    open_host "${2-}"
    [[ ${3-} =~ ^(off|[0-9.]+[a-zA-Z]+)$ ]] || usage_error "shape wants a rate such as 100mbit, or off"
    # A qdisc slows what leaves a device: eth0 what the host sends, its port what it receives.
    shape_device "$3" eth0 nsenter -t "$PID" -n --
    shape_device "$3" "port$INDEX" in_switch
}

# shape_device RATE DEVICE WORDS… that lead into the device's namespace
shape_device() {
    if [[ $1 == off ]]; then
        "${@:3}" tc qdisc delete dev "$2" root 2>/dev/null || :
    else
        "${@:3}" tc qdisc replace dev "$2" root tbf rate "$1" burst 1mb latency 50ms ||
            die "tc did not take the rate '$1'" "Rates are written like 100mbit or 1gbit."
    fi
}

lab_bridge() {
    need_root
    open_lab "${1-}"
    open_host "${2-}"
    local name=${3-} uplink=${4-}
    [[ $name =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,14}$ ]] || usage_error "bridge wants a name of at most 15 characters"
    [[ -z $uplink || $uplink == --uplink ]] || usage_error "bridge has no option $uplink"
    {
        echo "link add $name type bridge"
        echo "link set $name up"
        # The host's address moves to the bridge, as on any host that bridges the NIC it is managed through.
        [[ -z $uplink ]] || printf '%s\n' "address flush dev eth0" "link set eth0 master $name" \
            "address add $NETWORK.$INDEX/24 dev $name"
    } | nsenter -t "$PID" -n -- ip -batch - || die "the bridge $name could not be made on $HOST"
}

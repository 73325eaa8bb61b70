# The whole state of the hosts' libvirt daemons in a form that can be compared.
# shellcheck shell=bash

lab_state() {
    (($# == 1)) || usage_error "state takes a directory"
    need_root
    open_lab "$1"
    local host
    for host in "$DIR"/hosts/*; do
        open_host "${host##*/}"
        [[ $KIND != bare ]] || continue
        echo "== host $HOST"
        in_host sh -c "$STATE_SCRIPT" </dev/null ||
            die "the state of $HOST could not be read" "Is its libvirtd running? See: lab status $DIR"
    done
}

# Runs inside a host. Left out is what changes by itself or is given out anew at every start: ids, ptys, tap names,
# CPU time, fill levels. Pools are refreshed first, so that the volumes are those on disk and not those of some past look.
# shellcheck disable=SC2016
readonly STATE_SCRIPT='
set -eu
export LIBVIRT_DEFAULT_URI=qemu:///system
v() { virsh -q "$@"; }
steady() {
    sed -E -e "/^$/d" -e "/<(allocation|physical|available|atime|mtime|ctime|btime|timestamps|\/timestamps)/d" \
        -e "s/^(<domain[^>]*) id=.[0-9]+./\1/" -e "s/\/dev\/pts\/[0-9]+/PTY/g" -e "s/.(vnet|macvtap)[0-9]+./TAP/" \
        -e "s/domain-[0-9]+-/domain-ID-/" -e "s/ index=.[0-9]+.//"
}
v list --all --name | sort | while read -r name; do
    [ -n "$name" ] || continue
    echo "-- domain $name"
    v dominfo "$name" | grep -E "^(State|Persistent|Autostart|Managed save|Max memory|Used memory|CPU\(s\)):"
    v snapshot-list --name "$name" | sed "s/^/snapshot: /"
    v dumpxml --security-info --inactive "$name" | steady
    ! v domstate "$name" | grep -qv "shut off" || { echo live:; v dumpxml --security-info "$name" | steady; }
done
v pool-list --all --name | sed "s/ *$//" | sort | while read -r name; do
    [ -n "$name" ] || continue
    echo "-- pool $name"
    v pool-info "$name" | grep -E "^(State|Persistent|Autostart):"
    v pool-dumpxml --inactive "$name" | grep -v "<capacity" | steady
    v pool-info "$name" | grep -q "^State: *running" || continue
    v pool-refresh "$name" >/dev/null
    v vol-list "$name" | awk "NF { print \$1 }" | sort | while read -r volume; do
        v vol-dumpxml "$volume" --pool "$name" | steady
    done
done
v net-list --all --name | sed "s/ *$//" | sort | while read -r name; do
    [ -n "$name" ] || continue
    echo "-- network $name"
    v net-info "$name" | grep -E "^(Active|Persistent|Autostart):"
    v net-dumpxml --inactive "$name" | steady
done
'

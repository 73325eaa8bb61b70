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

# Runs inside a host. One virsh asks for everything: starting it takes longer than asking. Pools are refreshed first,
# so that the volumes are those on disk and not those of some past look. Left out is what changes by itself or is given
# out anew at every start: ids, ptys, tap names, CPU time, fill levels.
# shellcheck disable=SC2016
readonly STATE_SCRIPT='
set -eu
export LIBVIRT_DEFAULT_URI=qemu:///system
names() { virsh -q "$1" --name $2 | sed "s/ *$//; /^$/d" | sort; }
# ask TITLE COMMANDS; echo of virsh adds no line end, so the title has its own.
ask() { questions="$questions echo \"-- $1
\"; $2; "; }
questions=
IFS="
"
for name in $(names list --all); do
    ask "domain $name" "dominfo \"$name\"; dumpxml --security-info --inactive \"$name\""
    ask "snapshots of domain $name" "snapshot-list --name \"$name\""
done
for name in $(names list ""); do
    ask "live domain $name" "dumpxml --security-info \"$name\""
done
for name in $(names pool-list --all); do
    ask "pool $name" "pool-info \"$name\"; pool-dumpxml --inactive \"$name\""
done
for pool in $(names pool-list ""); do
    virsh -q pool-refresh "$pool" >/dev/null
    for name in $(virsh -q vol-list "$pool" | sed "s/^ *//; s/  .*//; /^$/d" | sort); do
        ask "volume $name in pool $pool" "vol-dumpxml \"$name\" --pool \"$pool\""
    done
done
for name in $(names net-list --all); do
    ask "network $name" "net-info \"$name\"; net-dumpxml --inactive \"$name\""
done
[ -z "$questions" ] || virsh -q "${questions%; }" | sed -E -e "/^ *$/d" \
    -e "/^(Id|CPU time|Security label|Security DOI|Capacity|Allocation|Available):/d" \
    -e "/<(allocation|physical|available|atime|mtime|ctime|btime|timestamps|\/timestamps)/d" \
    -e "s/^(<domain[^>]*) id=.[0-9]+./\1/" -e "s/\/dev\/pts\/[0-9]+/PTY/g" -e "s/.(vnet|macvtap)[0-9]+./TAP/" \
    -e "s/domain-[0-9]+-/domain-ID-/" -e "s/ index=.[0-9]+.//"
'

# A node that has booted before need not boot again: its memory and disk were kept then, and a node of the same name,
# number and options in another lab goes on from there. What differs between labs is set when it does.
# shellcheck shell=bash

# Sets WARM to where the kept state of the node NAME is, or would be. Whatever the state depends on is in its name.
warm_state() {
    local stamp
    stamp=$({
        echo "$NAME $INDEX $VARIANT $MEMORY $CPU $PASSWORD $ROLE"
        qemu-system-x86_64 --version
        cat "$HERE/vmlib/node.sh" "$HERE/vmlib/warm.sh"
    } | sha256sum)
    WARM=$IMAGES/warm-$NAME-${stamp:0:16}
}

# Makes the node in HOST_DIR one that goes on from WARM; fails if nothing was kept.
make_warm() {
    # It is listed only once it is whole (see keep_warm). A use makes it young again (see prune_warm).
    touch -c "$WARM" 2>/dev/null && [[ -s $WARM/memory ]] || return 1
    cp "$WARM"/ssh_host_ed25519_key* "$HOST_DIR/"
    qemu-img create -q -f qcow2 -F qcow2 -b "$WARM/disk.qcow2" "$HOST_DIR/disk.qcow2" &&
        ln -s "$WARM/memory" "$HOST_DIR/incoming"
}

# Tells a node that goes on from an earlier lab what is new: the time, the lab's key, password and names.
adopt() {
    local hash part parts=(etc/hosts)
    [[ ! -e $HOST_DIR/node/root/.ssh/authorized_keys ]] || parts+=(root/.ssh/authorized_keys)
    hash=$(<"$DIR/password.hash")
    tar -C "$HOST_DIR/node" --owner=0 --group=0 -cf "$HOST_DIR/news.tar" "${parts[@]}"
    # shellcheck disable=SC2016 # for the node's bash
    run_in_node 60 "$HOST_DIR/news.tar" bash -c \
        'date -s "@$0" >/dev/null && tar -C / -xf - && usermod -p "$1" root && sync' "$(date +%s.%N)" "$hash"
}

# Keeps the state of the running node, which stands still for 1 to 2 s meanwhile.
keep_warm() {
    local new=$WARM.new.$BASHPID
    prune_warm
    # Asking libvirt once fills its cache of what QEMU can do, which takes long.
    run_in_node 240 '' sh -c 'systemctl is-system-running --wait
        ! command -v virsh || virsh -q -c qemu:///system domcapabilities --virttype qemu
        sync' >/dev/null 2>&1 || :
    mkdir -m 700 "$new"
    cp "$HOST_DIR"/ssh_host_ed25519_key* "$new/"
    monitor 'migrate_set_parameter max-bandwidth 64G'
    qmp '"migrate", "arguments": {"uri": "exec:zstd -1 -q >'"$new"'/memory"}' 30
    local -i end=$((SECONDS + 120))
    while :; do
        qmp '"query-migrate"' 30
        case $ANSWER in
            *'"status": "completed"'*) break ;;
            *'"status": "failed"'*) die "the state of $HOST could not be kept: $ANSWER" "Is the disk full?" ;;
        esac
        ((SECONDS < end)) || die "keeping the state of $HOST takes too long"
        sleep 0.1
    done
    cp --sparse=always "$HOST_DIR/disk.qcow2" "$new/"
    qmp '"cont"' 30
    sync "$new"/* "$new"
    # Another lab may have kept the same at this moment; one is enough.
    mv -T "$new" "$WARM" 2>/dev/null || rm -rf "$new"
}

# A node's state is removed when no lab has used it for a day; disks in use stay with those who have them open.
prune_warm() {
    find "$IMAGES" -maxdepth 1 -name 'warm-*' -mmin +1440 -exec rm -rf {} +
}

# One node: what makes it that node, and its QEMU.
# shellcheck shell=bash

# Node number N (the last part of its address) is plugged into both switches, with nicN-1 and nicN-2.
readonly SWITCHES=(switch switch2)

# The options of a node, as NAME[:KEY=VALUE].. has them. Sets NAME, MEMORY, VARIANT, CPU and PASSWORD.
parse_node() {
    local option
    NAME=${1%%:*} MEMORY=512 VARIANT=ifupdown CPU=Nehalem PASSWORD=no
    check_name "$NAME"
    [[ $1 == *:* ]] || return 0
    local -a options
    IFS=: read -ra options <<<"${1#*:}"
    for option in "${options[@]}"; do
        case $option in
            mem=*) MEMORY=${option#*=} ;;
            variant=*) VARIANT=${option#*=} ;;
            cpu=*) CPU=${option#*=} ;;
            password=yes | password=no) PASSWORD=${option#*=} ;;
            *) usage_error "node $NAME: '$option' is no option of a node" ;;
        esac
    done
    check_variant "$VARIANT"
    [[ $MEMORY =~ ^[0-9]{3,5}$ ]] || usage_error "node $NAME: mem wants MiB, at least 256"
    ((MEMORY >= 256)) || usage_error "node $NAME: mem wants MiB, at least 256"
    [[ $CPU =~ ^[A-Za-z0-9._,=+-]+$ ]] || usage_error "node $NAME: '$CPU' is not a CPU model"
}

# Two nodes differ in whatever tells machines apart; the same node of two labs does not.
node_uuid() {
    local sum
    sum=$(sha256sum <<<"kvmsh lab node $1 $2")
    echo "${sum:0:8}-${sum:8:4}-4${sum:13:3}-8${sum:17:3}-${sum:20:12}"
}

# node_mac INDEX NIC
node_mac() { printf '52:54:00:88:%02x:%02x' "$1" "$2"; }

# Writes to HOST_DIR/node what is copied over the image at the first boot. Reads NAME, INDEX, VARIANT, ROLE, PASSWORD.
node_files() {
    local node=$HOST_DIR/node uuid address=$NETWORK.$INDEX
    uuid=$(<"$HOST_DIR/uuid")
    mkdir -p "$node"/{etc/ssh/sshd_config.d,etc/network,root/.ssh}
    chmod 700 "$node/root" "$node/root/.ssh"
    # Root's user manager runs from the start: the first login would wait 3 s for it, and 10 s on a busy machine.
    mkdir -p "$node/var/lib/systemd/linger"
    : >"$node/var/lib/systemd/linger/root"
    echo "$NAME" >"$node/etc/hostname"
    echo "${uuid//-/}" >"$node/etc/machine-id"
    cp "$DIR/etc/hosts" "$node/etc/hosts"
    cp "$HOST_DIR"/ssh_host_ed25519_key* "$node/etc/ssh/"
    if [[ $PASSWORD == yes ]]; then
        printf 'PermitRootLogin yes\nPasswordAuthentication yes\n' >"$node/etc/ssh/sshd_config.d/lab.conf"
    else
        printf 'PermitRootLogin prohibit-password\nPasswordAuthentication no\n' \
            >"$node/etc/ssh/sshd_config.d/lab.conf"
        install -m 600 "$DIR/id_ed25519.pub" "$node/root/.ssh/authorized_keys"
    fi
    case $VARIANT in
        ifupdown | bare) interfaces "
# The primary network interface
allow-hotplug enp2s0
iface enp2s0 inet static
	address $address/24
	gateway $CONTROLLER_ADDRESS" >"$node/etc/network/interfaces" ;;
        nm) interfaces '' >"$node/etc/network/interfaces" ;;
        netplan) : >"$node/etc/network/interfaces" ;;
    esac
    case $VARIANT in
        netplan)
            mkdir -p "$node/etc/netplan"
            install -m 600 /dev/stdin "$node/etc/netplan/01-lab.yaml" <<END
# The network as the lab's installer left it.
network:
  version: 2
  renderer: networkd
  ethernets:
    enp2s0:
      addresses: [$address/24]
      routes:
        - to: default
          via: $CONTROLLER_ADDRESS
END
            ;;
        nm)
            mkdir -p "$node/etc/NetworkManager/system-connections"
            install -m 600 /dev/stdin "$node/etc/NetworkManager/system-connections/wired.nmconnection" <<END
[connection]
id=wired
uuid=$(node_uuid "$NAME" wired)
type=ethernet
interface-name=enp2s0

[ipv4]
method=manual
address1=$address/24,$CONTROLLER_ADDRESS

[ipv6]
method=link-local
END
            ;;
    esac
    if [[ $ROLE == nas ]]; then
        mkdir -p "$node/etc/systemd/system/multi-user.target.wants" "$node/etc/systemd/system/sockets.target.wants"
        ln -s /lib/systemd/system/nfs-server.service "$node/etc/systemd/system/multi-user.target.wants/"
        ln -s /lib/systemd/system/rpcbind.socket "$node/etc/systemd/system/sockets.target.wants/"
    fi
}

# The file that Debian's installer writes.
interfaces() {
    cat <<END
# This file describes the network interfaces available on your system
# and how to activate them. For more information, see interfaces(5).

source /etc/network/interfaces.d/*

# The loopback network interface
auto lo
iface lo inet loopback
END
    [[ -z $1 ]] || printf '%s\n' "$1"
}

# What the node boots with: the image's initrd, and behind it an archive of what makes it this node.
node_initrd() {
    {
        cat "$IMAGES/initrd"
        (
            cd "$HOST_DIR"
            umask 077
            cp "$DIR/password.hash" password
            find node password | cpio --quiet -o -H newc -R 0:0 | gzip -1
        )
    } >"$HOST_DIR/initrd"
}

# @node DIR NAME: becomes the node's QEMU, in the network namespace of the switches.
role_node() {
    DIR=$1 HOST=$2 HOST_DIR=$1/hosts/$2
    local nic devices=()
    record_self "$HOST_DIR/pid"
    read -r INDEX VARIANT MEMORY CPU _ <"$HOST_DIR/host"
    IMAGES=$(<"$DIR/images")
    cd "$HOST_DIR"
    rm -f monitor agent
    local incoming=()
    if [[ -L incoming ]]; then
        incoming=(-incoming "exec:zstd -dcq $(readlink incoming)")
        rm incoming
    fi
    for nic in 1 2; do
        ip link show "nic$INDEX-$nic" >/dev/null 2>&1 || ip -batch - <<END
tuntap add nic$INDEX-$nic mode tap
link set nic$INDEX-$nic master ${SWITCHES[nic - 1]} up
END
        devices+=(
            -device "pcie-root-port,id=port$nic,bus=pcie.0,addr=$((nic + 2)).0,chassis=$((nic + 1)),slot=$((nic + 1))"
            -netdev "tap,id=net$nic,ifname=nic$INDEX-$nic,script=no,downscript=no"
            -device "virtio-net-pci,id=nic$nic,netdev=net$nic,bus=port$nic,mac=$(node_mac "$INDEX" "$nic"),romfile="
        )
    done
    # Each device is alone on a bus of its own, in this order: so the NICs are enp2s0 and enp3s0.
    exec qemu-system-x86_64 -name "$HOST" -uuid "$(<uuid)" -nodefaults -no-user-config -display none -vga none \
        -machine q35 -accel tcg,thread=multi -smp 2 -cpu "$CPU" -m "$MEMORY" -rtc base=utc,clock=host \
        -kernel "$IMAGES/vmlinuz" -initrd initrd \
        -append 'root=/dev/vda rw TERM=dumb console=ttyS0 loglevel=4 systemd.show_status=true mitigations=off nowatchdog random.trust_cpu=on' \
        -chardev file,id=console,path=console.log,append=on -serial chardev:console \
        -chardev socket,id=monitor,path=monitor,server=on,wait=off -mon chardev=monitor,mode=control \
        -device pcie-root-port,id=port0,bus=pcie.0,addr=2.0,chassis=1,slot=1 \
        -drive if=none,id=disk,file=disk.qcow2,format=qcow2,cache=writeback,discard=unmap \
        -device virtio-blk-pci,drive=disk,bus=port0 \
        "${devices[@]}" \
        -device pcie-root-port,id=port3,bus=pcie.0,addr=5.0,chassis=4,slot=4 \
        -device virtio-serial-pci,bus=port3 \
        -chardev socket,id=agent,path=agent,server=on,wait=off \
        -device virtserialport,chardev=agent,name=org.qemu.guest_agent.0 \
        "${incoming[@]}"
}

# What a node's image holds. Any change of this file, of initrd-init or of the guest makes new images.
# shellcheck shell=bash

readonly SUITE=bookworm

# Every node has these: a Debian server as its installer leaves it, and the agent through which `vm exec` works.
readonly BASE_PACKAGES=(
    systemd-sysv dbus libpam-systemd udev kmod procps sudo ifupdown isc-dhcp-client iproute2 iputils-ping netbase
    openssh-server linux-image-cloud-amd64 qemu-guest-agent
)
# What the article's author installs on top, with the cron of a server; and what variants have instead of ifupdown.
readonly HOST_PACKAGES=(
    ifenslave bridge-utils iputils-arping nfs-common nfs-kernel-server libvirt-daemon-system libvirt-clients
    qemu-system-x86 qemu-utils cron
)
readonly NETPLAN_PACKAGES=(netplan.io) NM_PACKAGES=(network-manager)

readonly VARIANTS=(ifupdown netplan bare nm)

# Units that would only cost time, or change the node while a test looks at it.
readonly MASKED=(
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer
    logrotate.timer systemd-tmpfiles-clean.timer systemd-pstore.service systemd-update-utmp.service
    systemd-update-utmp-runlevel.service getty@tty1.service serial-getty@ttyS0.service systemd-vconsole-setup.service
    nfs-blkmap.service
)

# Drivers that the initrd loads to find the root file system.
readonly INITRD_MODULES=(virtio_pci virtio_blk crc32c_generic ext4)

# make_base TREE: bootstraps what all variants share. Runs in a mount namespace of its own.
make_base() {
    local tree=$1 unit mirror=()
    [[ -z ${KVMSH_LAB_MIRROR-} ]] || mirror=("$KVMSH_LAB_MIRROR")
    # The nodes boot with the lab's own initrd, so none is made in them.
    # shellcheck disable=SC2016 # $1 and $MMDEBSTRAP_APT_CONFIG belong to the hook
    INITRD=No LC_ALL=C mmdebstrap --quiet --variant=minbase --mode=root --skip=cleanup/apt/cache \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        --include="${BASE_PACKAGES[*]}" --aptopt='Apt::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt=force-confold --dpkgopt=force-unsafe-io \
        --essential-hook='mkdir -p "$1/etc/initramfs-tools" && echo update_initramfs=no >"$1/etc/initramfs-tools/update-initramfs.conf"' \
        --customize-hook='sync_debs() { APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -qq -y install --download-only --no-install-recommends "$@" >/dev/null; }
            sync_debs '"${HOST_PACKAGES[*]}"' && sync_debs '"${NETPLAN_PACKAGES[*]}"' && sync_debs '"${NM_PACKAGES[*]}"' && mkdir "$1/srv/debs" && mv "$1"/var/cache/apt/archives/*.deb "$1/srv/debs/"' \
        "$SUITE" "$tree" "${mirror[@]}" >&2
    # Packages that are in the base already are of no use in the repository.
    drop_installed "$tree"
    index_debs "$tree"
    echo 'deb [trusted=yes] file:/srv/debs ./' >"$tree/etc/apt/sources.list"
    rm -rf "$tree"/etc/apt/sources.list.d/* "$tree"/var/lib/apt/lists/* "$tree"/boot/initrd.img*
    enter_tree "$tree" apt-get -qq update
    rm -f "$tree"/etc/ssh/ssh_host_* "$tree/etc/resolv.conf" "$tree/var/lib/dbus/machine-id"
    : >"$tree/etc/resolv.conf"
    : >"$tree/etc/machine-id"
    echo '/dev/vda / ext4 noatime 0 0' >"$tree/etc/fstab"
    mkdir -p "$tree/etc/systemd/journald.conf.d" "$tree/etc/sysctl.d"
    printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\n' >"$tree/etc/systemd/journald.conf.d/lab.conf"
    for unit in "${MASKED[@]}"; do ln -sf /dev/null "$tree/etc/systemd/system/$unit"; done
    # A guest for tests inside a node: the one of tier "ns".
    mkdir "$tree/srv/guest"
    cp "$BOOT_FILES/vmlinuz" "$BOOT_FILES/initrd" "$tree/srv/guest/"
}

drop_installed() {
    local tree=$1 deb package
    for deb in "$tree"/srv/debs/*.deb; do
        package=$(dpkg-deb -f "$deb" Package)
        [[ ! -e $tree/var/lib/dpkg/info/$package.list && ! -e $tree/var/lib/dpkg/info/$package:amd64.list ]] ||
            rm "$deb"
    done
}

# A repository needs no more than a Packages file.
index_debs() {
    local deb
    for deb in "$1"/srv/debs/*.deb; do
        dpkg-deb -f "$deb"
        printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "${deb##*/}" "$(stat -c %s "$deb")" \
            "$(sha256sum "$deb" | cut -d' ' -f1)"
    done >"$1/srv/debs/Packages"
}

enter_tree() {
    local tree=$1
    shift
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive INITRD=No \
        chroot "$tree" "$@"
}

install_debs() {
    enter_tree "$1" apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install "${@:2}"
}

# make_variant VARIANT TREE: turns the base into a variant. Nothing here names a node: node_files does.
make_variant() {
    local tree=$2
    mount -t proc proc "$tree/proc"
    mount -t sysfs -o ro sysfs "$tree/sys"
    printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d"
    chmod 755 "$tree/usr/sbin/policy-rc.d"
    case $1 in
        bare) ;;
        ifupdown) install_debs "$tree" "${HOST_PACKAGES[@]}" ;;
        netplan) install_debs "$tree" "${HOST_PACKAGES[@]}" "${NETPLAN_PACKAGES[@]}" ;;
        nm) install_debs "$tree" "${NM_PACKAGES[@]}" ;;
    esac
    rm "$tree/usr/sbin/policy-rc.d"
    umount "$tree/proc" "$tree/sys"
    # Only the NFS server of a lab runs one (see node_files): on the others it would cost 5 s of each boot.
    local unit
    for unit in nfs-server.service rpcbind.service rpcbind.socket; do
        [[ ! -e $tree/lib/systemd/system/$unit ]] ||
            systemctl --quiet --root="$tree" disable "$unit" 2>/dev/null
    done
    case $1 in
        netplan) systemctl --quiet --root="$tree" enable systemd-networkd.service 2>/dev/null ;;
    esac
    if [[ $1 != bare ]]; then
        rm -rf "$tree"/srv/debs "$tree"/var/lib/apt/lists/*
        : >"$tree/etc/apt/sources.list"
    fi
    rm -f "$tree"/var/cache/apt/*.bin "$tree"/var/cache/apt/archives/*.deb "$tree"/boot/initrd.img* \
        "$tree"/etc/ssh/ssh_host_*
}

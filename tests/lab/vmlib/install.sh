# What the machine needs for nodes.
# shellcheck shell=bash

# Read by missing_packages. modprobe only looks up which module needs which; it loads none.
PARTS=(
    qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils mmdebstrap:mmdebstrap mke2fs:e2fsprogs socat:socat
    modprobe:kmod zstd:zstd perl:perl-base dpkg-deb:dpkg systemctl:systemd
    ssh:openssh-client ip:iproute2 tc:iproute2 nsenter:util-linux unshare:util-linux setsid:util-linux
    setpriv:util-linux flock:util-linux mount:mount cpio:cpio gzip:gzip
)
DRIVERS=()

vm_install() { lab_install "$@"; }

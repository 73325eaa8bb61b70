# What the lab is made of, and how it gets there.
# shellcheck shell=bash

CACHE=${KVMSH_LAB_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/kvmsh-lab}

# program:package, for Debian and Ubuntu. Only what a libvirtd started by hand needs: no libvirt-daemon-system, which
# would bring units, a default network and users to a machine that asked for none.
PARTS=(
    libvirtd:libvirt-daemon virt-ssh-helper:libvirt-daemon virsh:libvirt-clients
    qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils
    dnsmasq:dnsmasq-base iptables:iptables # for libvirt networks with addresses
    sshd:openssh-server ssh:openssh-client ip:iproute2 tc:iproute2
    nsenter:util-linux unshare:util-linux setsid:util-linux setpriv:util-linux flock:util-linux
    mount:mount cpio:cpio gzip:gzip faketime:faketime # a controller whose clock jumps
)
# libvirt_driver_NAME.so. Newer releases have a package libvirt-daemon-driver-NAME for each, older ones for the first.
DRIVERS=(qemu storage network secret nodedev nwfilter)

# Drivers for the guest, in the order in which they must be loaded. A kernel that has one built in lacks the file.
readonly GUEST_MODULES=(
    virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net
    virtio_blk virtio_balloon button evdev
)

# Prints the packages whose programs are missing, on one line.
missing_packages() {
    local part driver missing=''
    for part in "${PARTS[@]}"; do
        command -v "${part%%:*}" >/dev/null || [[ " $missing " == *" ${part##*:} "* ]] || missing+=" ${part##*:}"
    done
    for driver in "${DRIVERS[@]}"; do
        compgen -G "/usr/lib/*/libvirt/connection-driver/libvirt_driver_$driver.so" >/dev/null ||
            missing+=" libvirt-daemon-driver-$driver"
    done
    echo "${missing# }"
}

lab_install() {
    (($# == 0)) || usage_error "install takes no arguments"
    # Everything of the lab runs as root, the cache included; so the whole command does.
    if ((EUID != 0)); then
        command -v sudo >/dev/null || die "installing packages needs root, and there is no sudo"
        exec sudo -- "$HERE/$PROGRAM" install
    fi
    # The output of apt is parsed.
    export LC_ALL=C
    [[ -z $(missing_packages) ]] || install_packages
    guest_files || fetch_guest_parts
    guest_files || die "the guest kernel could not be prepared in $CACHE"
}

need_apt() {
    command -v apt-get >/dev/null ||
        die "this machine has no apt-get" "On Debian or Ubuntu the lab installs its parts itself; elsewhere install: $*"
}

apt() {
    env DEBIAN_FRONTEND=noninteractive apt-get -q -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 "$@"
}

candidate() { apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'; }

# Installs what is missing and upgrades nothing else, unless the missing packages demand it.
install_packages() {
    local -a missing packages=()
    local package log units
    read -ra missing < <(missing_packages)
    need_apt "${missing[@]}"
    [[ -n $(candidate libvirt-daemon) ]] || apt update >&2 || die "apt-get update failed"
    for package in "${missing[@]}"; do
        [[ $package == libvirt-daemon-driver-* && -z $(candidate "$package") ]] || packages+=("$package")
    done

    local -a choice
    choose_versions "${packages[@]}"
    say "installing: ${packages[*]}"
    log=$(mktemp)
    units=$(enabled_units)
    deny_service_starts
    if ! apt install -y --no-install-recommends --allow-downgrades "${choice[@]}" >"$log" 2>&1; then
        allow_service_starts
        tail -n 20 "$log" >&2
        die "apt-get could not install the packages" "Its whole output is in $log; 'apt-get update' is the usual cure."
    fi
    allow_service_starts
    disable_new_units "$units"
    rm -f "$log"
}

# Sets choice to the arguments with which apt-get can install the packages $@. QEMU's packages must be of one version;
# a qemu-utils from backports therefore blocks the release's qemu-system-x86 ("held broken packages"). First the rest
# from where qemu-utils came from; failing that, qemu-utils moves to the release's version.
choose_versions() {
    local utils x86
    choice=("$@")
    ! can_install || return 0
    utils=$(dpkg-query -W -f '${Version}' qemu-utils 2>/dev/null) || utils=''
    x86=$(candidate qemu-system-x86)
    if [[ -n $utils ]]; then
        choice=("$@" "qemu-system-x86=$utils" "qemu-system-common=$utils" "qemu-system-data=$utils")
        ! can_install || return 0
    fi
    if [[ -n $x86 ]]; then
        choice=("$@" "qemu-utils=$x86")
        if can_install; then
            say "qemu-utils goes from $utils to $x86, the version of qemu-system-x86"
            return
        fi
    fi
    die "apt-get finds no set of versions to install: $*" \
        "See: apt-get install --no-install-recommends $*"
}

can_install() {
    apt-get -s -q install --no-install-recommends --allow-downgrades "${choice[@]}" >/dev/null 2>&1
}

# A package must not start its daemon here: the user did not ask for a second libvirtd or for an open SSH port.
# Debian's hook for that is policy-rc.d; one that is there already is put back afterwards.
readonly POLICY=/usr/sbin/policy-rc.d
deny_service_starts() {
    trap allow_service_starts EXIT
    if [[ -e $POLICY && ! -e $POLICY.before-lab ]]; then mv "$POLICY" "$POLICY.before-lab"; fi
    printf '#!/bin/sh\n# Put here by kvmsh tests/lab for one apt-get run.\nexit 101\n' |
        install -m 755 /dev/stdin "$POLICY"
}
allow_service_starts() {
    trap - EXIT
    if [[ -e $POLICY.before-lab ]]; then
        mv "$POLICY.before-lab" "$POLICY"
    else
        rm -f "$POLICY"
    fi
}

# Units and their enabling are read from the files (--root), which works whether or not systemd runs here.
enabled_units() {
    ! command -v systemctl >/dev/null ||
        systemctl --root=/ list-unit-files --no-legend --state=enabled 2>/dev/null | awk '{ print $1 }' | sort
}
disable_new_units() {
    local new
    new=$(comm -13 <(printf '%s\n' "$1") <(enabled_units))
    [[ -n $new ]] || return 0
    # shellcheck disable=SC2086 # a list of unit names
    systemctl --root=/ disable $new >/dev/null 2>&1 ||
        say "could not disable the new units: ${new//$'\n'/ }"
}

# The guest is the distribution's smallest kernel and a static busybox, unpacked into the cache: neither is installed,
# so that the machine's own boot loader and busybox stay as they are.
fetch_guest_parts() {
    local kernel version work
    need_apt linux-image-cloud-amd64 busybox-static
    mkdir -p "$CACHE"
    exec {lock}>"$CACHE/lock"
    flock "$lock"
    ! guest_files || return 0
    [[ -n $(candidate busybox-static) ]] || apt update >&2 || die "apt-get update failed"
    kernel=$(kernel_package)
    version=$(candidate "$kernel")
    say "fetching the guest kernel $kernel $version"
    work=$(mktemp -d "$CACHE/fetch.XXXXXX")
    local packages=("$kernel" busybox-static) modules=${kernel/linux-image-/linux-modules-}
    # Ubuntu keeps a kernel's modules in a package of their own.
    [[ $modules == "$kernel" || -z $(candidate "$modules") ]] || packages+=("$modules")
    (cd "$work" && apt-get -q -o APT::Sandbox::User=root download "${packages[@]}") >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        die "could not download ${packages[*]}"
    }
    local deb
    for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
    local parts
    parts=$CACHE/parts-${version//[^A-Za-z0-9.+-]/_}-$(modules_stamp)
    rm -rf "$parts" "$parts.new"
    mkdir "$parts.new"
    install -m 644 "$work"/root/boot/vmlinuz-* "$parts.new/vmlinuz"
    install -m 755 "$(find "$work/root" -path '*bin/busybox' -type f | head -n 1)" "$parts.new/busybox"
    guest_modules "$work/root" "$parts.new/modules"
    mv "$parts.new" "$parts"
    ln -sfn "${parts##*/}" "$CACHE/parts-$(modules_stamp)"
    rm -rf "$work"
    exec {lock}>&-
}

# Prints the name of the package that holds the kernel.
kernel_package() {
    local meta real
    for meta in linux-image-cloud-amd64 linux-image-kvm linux-image-virtual linux-image-amd64; do
        [[ -n $(candidate "$meta") ]] || continue
        real=$(apt-cache depends --important "$meta" | awk '
            $1 == "Depends:" && $2 ~ /^linux-image-/ { print $2; exit }')
        [[ -z $real ]] || { echo "$real"; return; }
    done
    die "no package with a small kernel was found" \
        "Looked for linux-image-cloud-amd64 (Debian), linux-image-kvm and linux-image-virtual (Ubuntu)."
}

# Copies the modules the guest can use from the unpacked packages in $1 to the directory $2.
guest_modules() {
    local name file
    mkdir -p "$2"
    : >"$2/order"
    for name in "${GUEST_MODULES[@]}"; do
        file=$(find "$1" -name "$name.ko*" -type f | head -n 1)
        case $file in
            '') continue ;;
            *.zst) zstd -dcq "$file" >"$2/$name.ko" ;;
            *.xz) xz -dc "$file" >"$2/$name.ko" ;;
            *) cp "$file" "$2/$name.ko" ;;
        esac
        echo "$name.ko" >>"$2/order"
    done
}

# The fetched parts are found by a link of this name, so that a changed list of modules fetches them anew.
modules_stamp() { cksum <<<"${GUEST_MODULES[*]}" | cut -d' ' -f1; }

# Sets BOOT_FILES to the directory with the guest's vmlinuz and initrd, building the initrd when guest/init is new.
# Fails if the kernel has not been fetched.
guest_files() {
    local parts stamp work
    parts=$(readlink -e "$CACHE/parts-$(modules_stamp)") || return 1
    stamp=$(cksum <"$HERE/guest/init" | cut -d' ' -f1)
    BOOT_FILES=$CACHE/boot-${parts##*/parts-}-$stamp
    [[ ! -e $BOOT_FILES/initrd ]] || return 0
    work=$(mktemp -d "$CACHE/boot.XXXXXX")
    mkdir -p "$work/root/bin" "$work/boot"
    cp "$parts/busybox" "$work/root/bin/"
    cp -r "$parts/modules" "$work/root/"
    install -m 755 "$HERE/guest/init" "$work/root/init"
    (cd "$work/root" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -9) >"$work/boot/initrd"
    ln "$parts/vmlinuz" "$work/boot/vmlinuz"
    # Another lab may have built the same at this moment; then its directory serves as well.
    mv -T "$work/boot" "$BOOT_FILES" 2>/dev/null || [[ -e $BOOT_FILES/initrd ]]
    rm -rf "$work"
}

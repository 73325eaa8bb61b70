# What a host brings for running guests: KEY=VALUE lines, one round trip. Changes nothing.
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/sbin:/sbin
say() { printf '%s=%s\n' "$1" "$2"; }
arch=$(uname -m)
say arch "$arch"

# Virtualisation: what the processor can, what the kernel has made of it.
case $arch in
    x86_64 | i?86)
        flags=$(sed -n 's/^flags[[:space:]]*: //p; /^flags/q' /proc/cpuinfo)
        for flag in vmx svm hypervisor; do
            case " $flags " in *" $flag "*) say flag "$flag" ;; esac
        done
        if grep -q GenuineIntel /proc/cpuinfo; then say driver kvm_intel; else say driver kvm_amd; fi
        ;;
    *) say flag "$arch" && say driver kvm ;;
esac
[ -c /dev/kvm ] && say kvm yes
[ -r /dev/kvm ] && [ -w /dev/kvm ] && say kvm_usable yes
for module in kvm kvm_intel kvm_amd; do
    if [ -d "/sys/module/$module" ]; then say loaded "$module"; fi
    nested=$(cat "/sys/module/$module/parameters/nested" 2>/dev/null) && say nested "$nested"
done
dmesg 2>/dev/null | grep -q 'kvm.*disabled by [Bb][Ii][Oo][Ss]' && say firmware disabled

# QEMU for this machine's own architecture; libvirt, as one daemon or as many.
for file in "/usr/bin/qemu-system-$arch" /usr/libexec/qemu-kvm /usr/bin/qemu-kvm; do
    [ -x "$file" ] || continue
    say qemu "$file"
    if version=$("$file" --version 2>&1); then
        say qemu_version "$(printf '%s\n' "$version" | sed -n '1s/.*version \([0-9.]*\).*/\1/p')"
    else
        say qemu_said "$(printf '%s\n' "$version" | head -n 1)"
    fi
    break
done
for daemon in virtqemud libvirtd; do
    command -v "$daemon" >/dev/null 2>&1 || continue
    say daemon "$daemon"
    say libvirt_version "$("$daemon" --version 2>/dev/null | sed -n '1s/.* \([0-9][0-9.]*\)$/\1/p')"
done
for socket in libvirt-sock virtqemud-sock; do
    [ -S "/run/libvirt/$socket" ] && say socket "$socket"
done
if [ -d /run/systemd/system ]; then
    say systemd yes
    for unit in libvirtd.service libvirtd.socket virtqemud.service virtqemud.socket; do
        [ "$(systemctl is-active "$unit" 2>/dev/null)" = active ] && say active "$unit"
        [ "$(systemctl is-enabled "$unit" 2>/dev/null)" = enabled ] && say enabled "$unit"
    done
fi

say uid "$(id -u)"
say groups "$(id -Gn)"
# ifupdown owns the network where it is there and configures more than the loopback device.
if command -v ifup >/dev/null 2>&1 &&
    cat /etc/network/interfaces /etc/network/interfaces.d/* 2>/dev/null |
    grep -Eq '^[[:space:]]*iface[[:space:]]+[^[:space:]]+' &&
    cat /etc/network/interfaces /etc/network/interfaces.d/* 2>/dev/null |
    grep -E '^[[:space:]]*iface[[:space:]]' | grep -Evq 'iface[[:space:]]+lo[[:space:]]'; then
    say ifupdown yes
fi
[ -e /run/ostree-booted ] && say image ostree
command -v transactional-update >/dev/null 2>&1 && say image transactional-update
uuid=$(cat /sys/class/dmi/id/product_uuid 2>/dev/null) && say product_uuid "$uuid"
exit 0

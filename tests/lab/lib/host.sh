# One host: its root directory and its daemons.
# shellcheck shell=bash

# @host DIR NAME
role_host() {
    DIR=$1 HOST=$2 HOST_DIR=$1/hosts/$2
    open_ready
    trap 'announce failed "$HOST"' EXIT
    record_self "$HOST_DIR/pid"
    read -r INDEX KIND <"$HOST_DIR/host"
    plug_in "port$INDEX" "$NETWORK.$INDEX"
    echo "$HOST" >/proc/sys/kernel/hostname
    [[ -e $HOST_DIR/ssh_host_ed25519_key ]] ||
        ssh-keygen -q -t ed25519 -N '' -C "$HOST" -f "$HOST_DIR/ssh_host_ed25519_key"
    host_root
    host_etc
    if [[ $KIND == bare ]]; then remove_libvirt; else configure_libvirt; fi
    finish_root
    local daemons=(sshd) daemon
    [[ $KIND == bare ]] || daemons+=(libvirtd)
    for daemon in "${daemons[@]}"; do run_daemon "$daemon"; done
    for daemon in "${daemons[@]}"; do await_daemon "$daemon"; done
    trap - EXIT
    announce up "$HOST"
    be_init
}

# The host sees the machine's programs, but whatever it writes stays its own and goes with it: /etc, /usr and /var are
# copies on write, the rest is private or read-only. So nothing that is done to a lab host can change the machine.
host_root() {
    local dir
    # DIR may lie anywhere, also below a directory that is covered in a moment: from here on it is /mnt.
    mount --rbind "$DIR" /mnt
    mount -t proc proc /proc
    # /sys/class/net is that of the network namespace in which sysfs was mounted.
    mount -t sysfs sysfs /sys
    # The layers are in a tmpfs, as overlayfs takes none from below the directory it covers; finish_root hides them.
    mount -t tmpfs -o mode=755 tmpfs /srv
    for dir in etc usr var; do
        mkdir -p "/srv/$dir/upper" "/srv/$dir/work"
        mount -t overlay -o "lowerdir=/$dir,upperdir=/srv/$dir/upper,workdir=/srv/$dir/work" overlay "/$dir"
    done
    mount -t tmpfs -o mode=755 tmpfs /run
    mount -t tmpfs -o mode=1777 tmpfs /tmp
    mount -t tmpfs -o mode=1777 tmpfs /dev/shm
    mount -t tmpfs -o mode=755 tmpfs /home
    mkdir -p /run/lock /run/sshd
    for dir in root var/log; do mount --bind "/mnt/hosts/$HOST/$dir" "/$dir"; done
}

host_etc() {
    cp /mnt/etc/hosts /mnt/etc/nsswitch.conf /etc/
    echo "$HOST" >/etc/hostname
    read -r UUID <"/mnt/hosts/$HOST/uuid"
    rm -f /etc/machine-id
    echo "${UUID//-/}" >/etc/machine-id
    # sshd without PAM takes "!" for a locked account, which is how some distributions ship root.
    sed -i 's/^root:[^:]*:/root:*:/' /etc/shadow
    sed -i 's|^\(root:[^:]*:0:0:[^:]*\):.*|\1:/root:/bin/bash|' /etc/passwd
    rm -rf /etc/ssh/sshd_config.d /etc/ssh/ssh_host_*
    cp /mnt/hosts/"$HOST"/ssh_host_ed25519_key* /etc/ssh/
    cat >/etc/ssh/sshd_config <<'END'
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
MaxStartups 100
MaxSessions 100
HostKey /etc/ssh/ssh_host_ed25519_key
Subsystem sftp internal-sftp
END
    # OpenSSH 9.8 and later slow down an address that fails to log in; tests do so on purpose.
    ! /usr/sbin/sshd -t -o PerSourcePenalties=no 2>/dev/null || echo 'PerSourcePenalties no' >>/etc/ssh/sshd_config
}

configure_libvirt() {
    local dir
    mkdir -p /var/lib/libvirt /var/cache/libvirt /etc/libvirt
    for dir in etc/libvirt var/lib/libvirt var/cache/libvirt; do
        mount --bind "/mnt/hosts/$HOST/$dir" "/$dir"
    done
    # Debian's libvirtd looks up the user its QEMU runs as by default even where qemu.conf names another one.
    grep -q ^libvirt-qemu: /etc/passwd ||
        echo 'libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin' >>/etc/passwd
    grep -q ^libvirt-qemu: /etc/group || echo 'libvirt-qemu:x:64055:' >>/etc/group
    # A host that was started before keeps what its admin made of it.
    [[ ! -e /etc/libvirt/libvirtd.conf ]] || return 0
    mkdir -p /etc/libvirt/storage/autostart /var/lib/libvirt/images
    # Two daemons with one UUID refuse to migrate to each other.
    cat >/etc/libvirt/libvirtd.conf <<END
host_uuid = "$UUID"
auth_unix_rw = "none"
log_outputs = "3:file:/var/log/libvirtd.log"
END
    # stdio_handler: QEMU itself writes a guest's console to its file, so that virtlogd need not run.
    # The rest would need a system manager, cgroups or an unprivileged user that this machine may not have.
    cat >/etc/libvirt/qemu.conf <<'END'
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
END
    cat >/etc/libvirt/storage/shared.xml <<END
<pool type='dir'>
  <name>shared</name>
  <uuid>$UUID</uuid>
  <target><path>/srv/shared</path></target>
</pool>
END
    ln -s /etc/libvirt/storage/shared.xml /etc/libvirt/storage/autostart/shared.xml
    # What QEMU can do takes libvirt 0.5 s to find out. It checks a cached answer against the programs' change times.
    ! compgen -G '/mnt/capabilities/*.xml' >/dev/null || {
        mkdir -p /var/cache/libvirt/qemu/capabilities
        cp /mnt/capabilities/*.xml /var/cache/libvirt/qemu/capabilities/
    }
}

# Takes libvirt and QEMU off the host, down to what dpkg knows of them.
remove_libvirt() {
    local removed='^(libvirt-(daemon|clients)|qemu-(system|utils|block))'
    local lists=()
    mapfile -t lists < <(find /var/lib/dpkg/info -name '*.list' -printf '%f\n' | grep -E "$removed")
    (
        cd /var/lib/dpkg/info || exit
        cat -- "${lists[@]}" | tr '\n' '\0' | xargs -0 rm -f -- 2>/dev/null || :
        rm -f -- "${lists[@]}"
    )
    awk -v RS= -v ORS='\n\n' -v removed="$removed" '
        { name = $0; sub(/^Package: /, "", name); sub(/\n.*/, "", name) }
        name !~ removed' /var/lib/dpkg/status >/var/lib/dpkg/status.new
    mv /var/lib/dpkg/status.new /var/lib/dpkg/status
    rm -rf /etc/libvirt /var/lib/libvirt /var/cache/libvirt
    hash -r
}

finish_root() {
    mount -t tmpfs -o mode=755 tmpfs /srv
    mkdir /srv/shared /srv/boot
    mount --bind /mnt/shared /srv/shared
    mount --bind -o ro /mnt/boot /srv/boot
    umount -l /mnt
    mount -o remount,bind,ro /
    cd /
}


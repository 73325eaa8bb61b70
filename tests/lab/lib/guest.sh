# Guests: what they are, and what they have said.
# shellcheck shell=bash

lab_guest() {
    need_root
    open_lab "${1-}"
    open_host "${2-}"
    local name=${3-} memory=128 max='' dirty=0 address='' start=1 disk=/srv/shared cdrom='' nic='' file=''
    [[ -n $name ]] || usage_error "guest wants a name"
    [[ $KIND != bare ]] || die "host $HOST is a bare one, it runs no guests"
    check_name "$name"
    shift 3
    while (($#)); do
        case $1 in
            --off) start=0; shift; continue ;;
            --local-disk) disk=/var/lib/libvirt/images; shift; continue ;;
            --no-disk) disk=''; shift; continue ;;
        esac
        (($# > 1)) || usage_error "guest: $1 is no option, or wants a value"
        case $1 in
            --memory) memory=$2 ;;
            --max-memory) max=$2 ;;
            --dirty) dirty=$2 ;;
            --cdrom) cdrom=$2 ;;
            --network) nic="network $2" ;;
            --bridge) nic="bridge $2" ;;
            --address) address=$2 ;;
            --xml) file=$2 ;;
            *) usage_error "guest has no option $1" ;;
        esac
        shift 2
    done
    max=${max:-$memory}
    [[ $memory =~ ^[0-9]+$ && $max =~ ^[0-9]+$ && $dirty =~ ^[0-9]+$ ]] ||
        usage_error "--memory, --max-memory and --dirty want whole numbers of MiB"
    # Below this the kernel finds no room for its initrd.
    ((memory >= 96 && memory <= max)) || usage_error "--memory must be at least 96, and at most --max-memory"
    [[ -z $nic ]] || check_name "${nic#* }"
    [[ $cdrom$address != *[\<\>\&\'\"]* ]] || usage_error "quotes, <, > and & cannot be in a path or address"

    if [[ -n $file ]]; then
        virsh_here define /dev/stdin <"$file" >/dev/null
    else
        [[ -z $disk ]] || make_disk "$disk/$name.qcow2"
        domain_xml | virsh_here define /dev/stdin >/dev/null
    fi
    ((start == 0)) || virsh_here start "$name" >/dev/null
    keep_capabilities
}

virsh_here() { in_host virsh -q -c qemu:///system "$@"; }

make_disk() {
    in_host sh -c "[ -e '$1' ] || qemu-img create -q -f qcow2 '$1' 64M"
}

# The options of lab_guest are read here.
domain_xml() {
    cat <<END
<domain type='qemu'>
  <name>$name</name>
  <memory unit='MiB'>$max</memory>
  <currentMemory unit='MiB'>$memory</currentMemory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>/srv/boot/vmlinuz</kernel>
    <initrd>/srv/boot/initrd</initrd>
    <cmdline>console=ttyS1 quiet panic=1 guest=$name dirty=$dirty${address:+ address=$address}</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <on_reboot>restart</on_reboot>
  <on_crash>restart</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
END
    [[ -z $disk ]] || cat <<END
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='$disk/$name.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
END
    [[ -z $cdrom ]] || cat <<END
    <disk type='file' device='cdrom'>
      <driver name='qemu' type='raw'/>
      <source file='$cdrom'/>
      <target dev='hdc' bus='ide'/>
      <readonly/>
    </disk>
END
    [[ -z $nic ]] || cat <<END
    <interface type='${nic% *}'>
      <source ${nic% *}='${nic#* }'/>
      <model type='virtio'/>
    </interface>
END
    # The first serial port is the console that \`virsh console\` opens, the second the log that tests read.
    cat <<END
    <serial type='pty'><target port='0'/></serial>
    <serial type='file'>
      <source path='/srv/shared/console/$name.log' append='on'/>
      <target port='1'/>
    </serial>
    <memballoon model='virtio'/>
  </devices>
</domain>
END
}

# What libvirt has found out about QEMU serves the next lab too (see configure_libvirt).
keep_capabilities() {
    compgen -G "$HOST_DIR/var/cache/libvirt/qemu/capabilities/*.xml" >/dev/null || return 0
    mkdir -p "$CACHE/capabilities"
    cp -u "$HOST_DIR"/var/cache/libvirt/qemu/capabilities/*.xml "$CACHE/capabilities/"
}

lab_ticks() {
    open_lab "${1-}"
    [[ -n ${2-} ]] || usage_error "ticks wants a guest's name"
    check_name "$2"
    [[ -e $DIR/shared/console/$2.log ]] || die "guest $2 has said nothing yet, or there is no such guest"
    # A serial line ends in \r\n; a number without its \r may still be being written.
    awk -v boot="^$2 boot [0-9a-f-]+\r\$" '
        $0 ~ boot { boots++; tick = 0 }
        /^tick [0-9]+\r$/ { tick = $2 }
        END { printf "tick=%d boots=%d\n", tick, boots }' "$DIR/shared/console/$2.log"
}

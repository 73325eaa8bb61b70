# What there is of a host's network, and who looks after it: KEY=VALUE lines, files as file=PATH MODE =BASE64.
# Arguments: `all`, or `live` for what there is without who looks after it; $SSH_CONNECTION of whoever asks, where sudo
# hides it. Changes nothing.
LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
say() { printf '%s=%s\n' "$1" "$2"; }
has() { command -v "$1" >/dev/null 2>&1; }
coded() { base64 -w 0; }

say uid "$(id -u)"
[ ! -r /etc/machine-id ] || say machine_id "$(cat /etc/machine-id)"
[ ! -d /run/systemd/system ] || say systemd yes
depth=$1
connection=${2:-${SSH_CONNECTION-}}
set --
say ssh "$connection"
has ip || { say missing ip; exit 0; }
say links "$(ip -j -d link show | coded)"
say addresses "$(ip -j addr show | coded)"
say routes "$(ip -j -4 route show | coded)"
say routes6 "$(ip -j -6 route show | coded)"

# Who does not answer a ping may still answer ARP.
for gateway in $(ip -4 route show default | sed -n 's/.* via \([^ ]*\).*/\1/p') \
    $(ip -6 route show default | sed -n 's/.* via \([^ ]*\) dev \([^ ]*\).*/\1%\2/p'); do
    if ping -n -q -c 1 -W 1 "$gateway" >/dev/null 2>&1 ||
        ip neigh show "${gateway%\%*}" | grep -qE 'lladdr .*(REACHABLE|DELAY|PROBE)'; then
        say answers "${gateway%\%*}"
    fi
done

# The interface we came in by; on this machine itself, the one that leads out.
# shellcheck disable=SC2086 # four words
set -- $connection
if [ -n "${3-}" ]; then
    main=$(ip -o addr show to "${3#::ffff:}" | head -n 1 | { read -r _ dev _ && echo "$dev"; })
else
    main=$(ip -o -4 route show default | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1)
fi
say main "$main"

# Where a change that undoes itself stands.
D=/var/lib/kvmsh/network
for state in pending undoing undone; do
    [ -d "$D/$state" ] || continue
    read -r id <"$D/$state/id"
    say change "$state $id $([ ! -e "$D/$state/applied" ] || echo applied)"
    break
done
if [ -r "$D/last-confirmed" ]; then
    read -r id <"$D/last-confirmed"
    say confirmed "$id"
fi
[ "$depth" = all ] || exit 0

for tool in flock systemd-run; do
    ! has "$tool" || say tool "$tool"
done
# Another program of that name means something else by -D.
case $(arping -V 2>&1) in *iputils*) say tool arping ;; esac
# ifupdown's ways to make a bond and a bridge.
for hook in ifenslave bridge; do
    [ ! -x "/etc/network/if-pre-up.d/$hook" ] || say tool "$hook"
done
if has ifup; then
    # Not by the full path: dpkg knows it as /sbin/ifup, wherever /sbin is merged to. Without dpkg it is another's.
    say ifup "$(dpkg-query -S '*sbin/ifup' 2>/dev/null | cut -d : -f 1 | head -n 1)"
    [ ! -r /run/network/ifstate ] || say ifstate "$(sed 's/=.*//' /run/network/ifstate | tr '\n' ' ')"
fi
! has netplan || say netplan "$(dpkg-query -W -f '${Version}' netplan.io 2>/dev/null)"
# One line for each, in this order.
networkd=
set -- networking systemd-networkd NetworkManager
for state in $(systemctl is-active "$@" 2>/dev/null); do
    say unit "$1 $state"
    [ "$1 $state" != 'systemd-networkd active' ] || networkd=active
    shift
done
if [ -n "$main" ] && [ -n "$networkd" ] && has networkctl; then
    say networkd "$(networkctl status "$main" 2>/dev/null | sed -n 's/^ *Network File: *//p')"
fi
if [ -n "$main" ] && has nmcli; then
    say nm "$(nmcli -g GENERAL.STATE device show "$main" 2>/dev/null)"
    nmcli -t -f DEVICE,STATE device 2>/dev/null | sed -n 's/^\(.*\):connect\(ed\|ing.*\)$/managed=\1/p'
fi
# cloud-init writes its files anew, unless it is told not to.
if [ -d /etc/cloud ] && ! grep -qsE '^network: *\{ *config: *disabled' /etc/cloud/cloud.cfg /etc/cloud/cloud.cfg.d/*.cfg; then
    say cloud_init active
fi

file() {
    [ -f "$1" ] && [ -r "$1" ] || return 0
    about=$(stat -L -c '%s %a' -- "$1")
    if [ "${about% *}" -gt 262144 ]; then say large "$1"; else say file "$1 ${about#* } =$(coded <"$1")"; fi
}
# Those that interfaces(5) makes ifupdown read: `source` takes patterns, `source-directory` names without dots.
seen=' '
interfaces() {
    case $seen in *" $1 "*) return 0 ;; esac
    seen="$seen$1 "
    file "$1"
    [ -r "$1" ] || return 0
    while read -r word rest; do
        case $word in
            source | source-directory)
                # Relative to the file that says it.
                for path in $rest; do
                    case $path in /*) ;; *) path=${1%/*}/$path ;; esac
                    for found in $path; do
                        if [ -d "$found" ]; then
                            for inside in "$found"/*; do
                                case ${inside##*/} in *[!A-Za-z0-9_-]*) ;; *) interfaces "$inside" ;; esac
                            done
                        elif [ -f "$found" ]; then
                            interfaces "$found"
                        fi
                    done
                done
                ;;
        esac
    done <"$1"
}
interfaces /etc/network/interfaces
for path in /etc/netplan/*.yaml /run/netplan/*.yaml /lib/netplan/*.yaml; do file "$path"; done
for path in /var/lib/kvmsh/network/records/*; do file "$path"; done
exit 0

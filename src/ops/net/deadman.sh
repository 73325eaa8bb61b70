#!/bin/sh
# kvmsh's dead-man switch for changes of the network: what nobody confirms in time is undone, also after a power cut.
#
#   deadman arm ID       snapshot, timer and boot unit; then the change staged in $D/staging-ID is pending
#   deadman start ID     makes the pending change, apart from the session that asks for it
#   deadman apply ID     (that is what runs then)
#   deadman confirm ID   keeps the change
#   deadman undo ID REASON  takes it back
#   deadman boot         takes it back before the network comes up
#   deadman status       KEY=VALUE lines
#   deadman forget ID    removes the report of a change that was undone
#
# A change is a directory of $D, and its state is that directory's name: staging-ID, pending, undoing, undone. Each step
# is one rename, synced: whoever renames first decides, and a power cut leaves one state or the next.
#
# In it: id title seconds; links (to be deleted when it is undone); touched (links whose addresses, masters and state are
# brought back by hand where the commands do not; empty for all); pre post undo-pre undo-post (one command a line);
# N.path with N.after (the new text; none: the file goes), N.mode (of a new file), N.sum (of the old text; `-` for
# none), N.before (the old file, copied by arm); keep-NAME and drop-NAME (records that let a change be taken back later).
#
# Statuses of its own: 60 another change is pending, 61 a file is not what it was, 62 this host cannot do it, 63 nothing
# of that ID is pending, 64 not applied yet.
set -u
LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL PATH
umask 077
D=/var/lib/kvmsh/network
BOOT=kvmsh-network-undo.service
# With the ID behind it: a DHCP client that ifup has started keeps its unit's name in use.
TIMER=kvmsh-network-timeout
APPLY=kvmsh-network-apply

die() {
    status=$1
    shift
    echo "$*" >&2
    exit "$status"
}

each() { # each DIR: the numbers of its files
    for each in "$1"/*.path; do
        [ -e "$each" ] || continue
        each=${each##*/}
        echo "${each%.path}"
    done
}

lock() {
    # Opened for reading: the way back must not need room.
    exec 9<"$D/deadman"
    flock -w 120 9 || die 60 "another kvmsh works on this host's network"
}

# One command a line. Closed: the lock, which a daemon started here would hold for ever. With the usual umask: what these
# write is the system's, resolv.conf for one.
run_list() { # run_list FILE stop|go-on
    [ -s "$1" ] || return 0
    while IFS= read -r line; do
        echo "+ $line"
        (umask 022 && exec timeout -k 5 120 sh -c "$line") </dev/null 9>&- && continue
        echo "  status $?"
        [ "$2" = go-on ] || return 1
    done <"$1"
}

like() { # like FILE MODE NEW: owner and mode of FILE, or MODE where there is no FILE
    if [ -e "$1" ]; then cp -a --attributes-only -- "$1" "$3"; else chmod "$2" "$3"; fi
}

move() { # move FROM TO
    sync -- "$1" && mv -fT -- "$1" "$2"
}

# Puts the new files into place. ROOT is set when the way back is rehearsed.
install_files() { # install_files DIR
    for n in $(each "$1"); do
        path=${ROOT-}$(cat "$1/$n.path")
        if [ ! -e "$1/$n.after" ]; then
            rm -f -- "$path" || return 1
        else
            tmp=$(mktemp -- "${path%/*}/.kvmsh.XXXXXXXXXX") || return 1
            if ! { like "$path" "$(cat "$1/$n.mode")" "$tmp" && cat -- "$1/$n.after" >"$tmp" && move "$tmp" "$path"; }; then
                rm -f -- "$tmp"
                return 1
            fi
        fi
        sync -- "${path%/*}"
    done
}

restore_files() { # restore_files DIR
    [ -n "${ROOT-}" ] || rm -f -- "$1/room"
    for n in $(each "$1"); do
        path=${ROOT-}$(cat "$1/$n.path")
        if [ ! -e "$1/$n.before" ]; then
            rm -f -- "$path"
        elif ! cmp -s -- "$1/$n.before" "$path"; then
            tmp=$(mktemp -- "${path%/*}/.kvmsh.XXXXXXXXXX") || continue
            if ! { cp -a -- "$1/$n.before" "$tmp" && move "$tmp" "$path"; }; then rm -f -- "$tmp"; fi
        fi
        sync -- "${path%/*}"
    done
}

# Which files are not what they were; nothing when all are.
differences() { # differences DIR
    for n in $(each "$1"); do
        path=${ROOT-}$(cat "$1/$n.path")
        if [ -e "$1/$n.before" ]; then cmp -s -- "$1/$n.before" "$path"; else [ ! -e "$path" ]; fi || echo "$path"
    done
}

# Goes the whole way there and back in a copy, before anything is changed.
rehearse() { # rehearse DIR
    ROOT=$1/rehearsal
    for n in $(each "$1"); do
        path=$ROOT$(cat "$1/$n.path")
        mkdir -p -- "${path%/*}" || return 1
        [ ! -e "$1/$n.before" ] || cp -a -- "$1/$n.before" "$path" || return 1
    done
    install_files "$1" && restore_files "$1" && [ -z "$(differences "$1")" ] || return 1
    rm -rf -- "$ROOT"
    unset ROOT
}

# What `systemctl enable` would do, without the reload of everything: systemd reads it when it next boots.
install_boot_unit() {
    wants=/etc/systemd/system/multi-user.target.wants
    [ -d "$wants" ] || mkdir -m 755 -- "$wants" || return 1
    cat >"/etc/systemd/system/$BOOT" <<UNIT || return 1
[Unit]
Description=Undo a change of the network that nobody confirmed (kvmsh)
DefaultDependencies=no
RequiresMountsFor=$D
After=local-fs.target
Before=network-pre.target networking.service systemd-networkd.service NetworkManager.service shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
TimeoutStartSec=120
ExecStart=/bin/sh $D/deadman boot

[Install]
WantedBy=multi-user.target
UNIT
    chmod 644 "/etc/systemd/system/$BOOT" && ln -sfT "../$BOOT" "$wants/$BOOT" &&
        sync -- "/etc/systemd/system/$BOOT" /etc/systemd/system "$wants"
}

remove_boot_unit() {
    rm -f -- "/etc/systemd/system/multi-user.target.wants/$BOOT" "/etc/systemd/system/$BOOT"
    sync -- /etc/systemd/system
}

# What a step that was cut short has left.
tidy() {
    if [ -d "$D/confirmed" ]; then keep_records; fi
    [ -d "$D/pending" ] || [ -d "$D/undoing" ] || {
        [ ! -e "/etc/systemd/system/$BOOT" ] || remove_boot_unit
    }
    for left in "$D"/staging-*; do
        [ "$left" = "$D/staging-${1-}" ] || [ ! -d "$left" ] || rm -rf -- "$left"
    done
}

keep_records() {
    mkdir -p -- "$D/records"
    for record in "$D"/confirmed/drop-*; do
        [ ! -e "$record" ] || rm -f -- "$D/records/${record##*/drop-}"
    done
    for record in "$D"/confirmed/keep-*; do
        [ ! -e "$record" ] || { sync -- "$record" && mv -fT -- "$record" "$D/records/${record##*/keep-}"; }
    done
    sync -- "$D/records"
    rm -rf -- "$D/confirmed"
}

arm() {
    id=$1 T=$D/staging-$1
    [ -d /run/systemd/system ] || die 62 "this host was not booted with systemd, whose timers undo what nobody confirms"
    # Waits for whoever is at it, and goes on where it died.
    if [ -d "$D/undoing" ]; then (undo "$(cat "$D/undoing/id")" resumed); fi
    lock
    if [ -d "$D/pending" ] || [ -d "$D/undoing" ]; then die 60 "a change of the network is not confirmed yet"; fi
    tidy "$id"
    for n in $(each "$T"); do
        path=$(cat "$T/$n.path")
        if [ -L "$path" ] && [ ! -e "$path" ]; then die 61 "$path"; fi
        # A link stays a link: the file it points to is replaced.
        if [ -e "$path" ]; then path=$(readlink -f -- "$path") && printf '%s\n' "$path" >"$T/$n.path"; fi
        sum=-
        if [ -e "$path" ]; then
            cp -a -- "$path" "$T/$n.before" || exit 1
            sum=$(sha256sum <"$T/$n.before")
            sum=${sum%% *}
        fi
        [ "$sum" = "$(cat "$T/$n.sum")" ] || die 61 "$path"
        [ -d "${path%/*}" ] || die 61 "${path%/*}"
        tmp=$(mktemp -- "${path%/*}/.kvmsh.XXXXXXXXXX") || die 62 "nothing can be written in ${path%/*}"
        rm -f -- "$tmp"
    done
    # What undoing writes is there already, should there be no room then.
    for log in apply.log undo.log reason differences; do : >"$T/$log" || die 62 "there is no room in $D"; done
    ip -o addr show scope global >"$T/addresses"
    ip -o link show >"$T/all-links"
    { ip -4 route show && ip -6 route show; } >"$T/routes"
    sh -n "$D/deadman" || die 62 "this host's sh cannot read the way back"
    rehearse "$T" || die 62 "the way back failed in a rehearsal: is there room on the disk?"
    # Room for the copies that undoing makes beside what it replaces, on the same file system as /etc nearly everywhere.
    head -c $(($(cat "$T"/*.before 2>/dev/null | wc -c) + 65536)) /dev/zero >"$T/room" || die 62 "there is no room in $D"
    cut -d . -f 1 /proc/uptime >"$T/armed"
    sync -- "$T"/* "$T" "$D/deadman"
    install_boot_unit || die 62 "the unit that undoes the change at boot cannot be installed"
    # The timer first: from here on, whatever happens to us, nothing unconfirmed stays.
    systemd-run -q --unit="$TIMER-$id" --collect --on-active="$(cat "$T/seconds")" --timer-property=AccuracySec=1s \
        --property=KillMode=process /bin/sh "$D/deadman" undo "$id" 'nobody confirmed it in time' || {
        remove_boot_unit
        die 62 "the timer that undoes the change cannot be started"
    }
    rm -rf -- "$D/undone"
    mv -T -- "$T" "$D/pending" || exit 1
    sync -- "$D"
}

start() {
    [ "$(cat "$D/pending/id" 2>/dev/null)" = "$1" ] || die 63 "nothing is pending"
    # KillMode: a DHCP client that ifup starts must outlive the unit.
    systemd-run -q --unit="$APPLY-$1" --collect --property=KillMode=process /bin/sh "$D/deadman" apply "$1"
}

apply() {
    P=$D/pending
    [ "$(cat "$P/id" 2>/dev/null)" = "$1" ] || exit 63
    exec >>"$P/apply.log" 2>&1
    : >"$P/applying"
    if run_list "$P/pre" stop && install_files "$P" && run_list "$P/post" stop; then
        : >"$P/applied"
        sync -- "$P/applied" "$P"
    else
        last=$(grep '^+ ' "$P/apply.log" | tail -n 1)
        undo "$1" "\`${last#+ }\` failed" self
    fi
}

confirm() {
    lock
    [ "$(cat "$D/pending/id" 2>/dev/null)" = "$1" ] || die 63 "nothing of this ID is pending"
    [ -e "$D/pending/applied" ] || die 64 "it is not applied yet"
    # What needs room comes first: a change is not kept whose keeping cannot be told.
    { echo "$1" >"$D/last-confirmed.new" && sync -- "$D/last-confirmed.new"; } || die 62 "there is no room in $D"
    mv -T -- "$D/pending" "$D/confirmed" || exit 1
    mv -fT -- "$D/last-confirmed.new" "$D/last-confirmed"
    sync -- "$D"
    systemctl -q stop "$TIMER-$1.timer"
    keep_records
    remove_boot_unit
    exit 0
}

take_over() { # take_over ID REASON: it is ours to undo
    if [ "$(cat "$D/pending/id" 2>/dev/null)" = "$1" ] && mv -T -- "$D/pending" "$D/undoing" 2>/dev/null; then
        printf '%s\n' "$2" >"$D/undoing/reason"
        sync -- "$D/undoing/reason" "$D"
    fi
    [ "$(cat "$D/undoing/id" 2>/dev/null)" = "$1" ]
}

undo() { # undo ID REASON [self]
    lock
    take_over "$1" "$2" || exit 0
    U=$D/undoing
    if [ "${3-}" != self ]; then
        systemctl -q kill -s KILL "$APPLY-$1.service" 2>/dev/null
        systemctl -q stop "$APPLY-$1.service" 2>/dev/null
    fi
    # A full disk must not end this: dash ends when exec cannot open its file.
    if : >>"$U/undo.log"; then exec >>"$U/undo.log" 2>&1; else exec >/dev/null 2>&1; fi
    if [ -e "$U/applying" ]; then
        run_list "$U/undo-pre" go-on
        while IFS= read -r link; do
            [ ! -e "/sys/class/net/$link" ] || ip link delete "$link"
        done <"$U/links"
        restore_files "$U"
        run_list "$U/undo-post" go-on
        bring_back
    fi
    finish
    systemctl -q stop "$TIMER-$1.timer" 2>/dev/null
}

is_touched() { # is_touched LINK: it is there, and the change was about it
    [ -e "/sys/class/net/$1" ] || return 1
    [ ! -s "$U/touched" ] || grep -qxF -- "$1" "$U/touched"
}

# What the configuration did not bring back by itself: better an address by hand than no host.
bring_back() {
    while read -r _ link flags rest; do
        link=${link%:}
        link=${link%@*}
        is_touched "$link" || continue
        case $rest in
            *' master '*)
                master=${rest#* master }
                master=${master%% *}
                [ "$(readlink "/sys/class/net/$link/master")" = "../$master" ] || {
                    echo "+ by hand: $link in $master"
                    ip link set dev "$link" master "$master"
                }
                ;;
        esac
        case $flags in
            *[,\<]UP[,\>]*) ip link set dev "$link" up ;;
            *) ip link set dev "$link" down ;;
        esac
    done <"$U/all-links"
    # What was given to a link that was there before.
    ip -o addr show scope global | while read -r _ dev _ address rest; do
        case $rest in *' dynamic '*) continue ;; esac
        is_touched "$dev" || continue
        grep -q "^[0-9]*: ${dev}[@:]" "$U/all-links" || continue
        grep -q "^[0-9]*: $dev .* $address " "$U/addresses" && continue
        echo "+ by hand: no $address on $dev"
        ip addr del "$address" dev "$dev"
    done
    while read -r _ dev _ address _; do
        is_touched "$dev" || continue
        [ -z "$(ip -o addr show dev "$dev" to "$address")" ] || continue
        echo "+ by hand: $address on $dev"
        ip addr add "$address" dev "$dev"
    done <"$U/addresses"
    # Flags that ip prints and does not look for.
    sed 's/ linkdown//; s/ dead//; s/ onlink//' "$U/routes" | while IFS= read -r route; do
        case $route in *'proto kernel'* | *'proto ra'*) continue ;; esac
        family=-4
        case $route in *:*) family=-6 ;; esac
        # shellcheck disable=SC2086 # words of ip's own output
        ip "$family" route show $route 2>/dev/null | grep -q . && continue
        echo "+ by hand: route $route"
        # shellcheck disable=SC2086
        ip "$family" route replace $route || ip "$family" route replace $route onlink
    done
    # Who remembers another hardware address for ours learns the right one now.
    command -v arping >/dev/null || return 0
    while read -r _ dev family address _; do
        [ "$family" != inet ] || arping -q -U -c 2 -w 3 -I "$dev" "${address%/*}" </dev/null 9>&- &
    done <"$U/addresses"
    wait
}

# With a file that could not be restored it is not over: the boot unit stays and tries again.
finish() {
    U=$D/undoing
    found=$(differences "$U")
    printf '%s\n' "$found" | sed '/^$/d' >"$U/differences"
    sync -- "$U"/*
    [ -z "$found" ] || return 0
    rm -rf -- "$D/undone"
    mv -T -- "$U" "$D/undone"
    sync -- "$D"
    remove_boot_unit
}

boot() {
    [ ! -d "$D/confirmed" ] || keep_records
    [ ! -d "$D/pending" ] || take_over "$(cat "$D/pending/id")" 'the host was started anew before anybody confirmed it'
    if [ ! -d "$D/undoing" ]; then
        remove_boot_unit
        exit 0
    fi
    restore_files "$D/undoing"
    # netplan writes networkd's files at boot, before this runs.
    [ ! -e "$D/undoing/netplan" ] || (umask 022 && exec timeout -k 5 60 netplan generate) >>"$D/undoing/undo.log" 2>&1
    finish
}

state() {
    for state in pending undoing undone; do
        if [ -d "$D/$state" ]; then echo "$state"; return; fi
    done
    echo none
}

status() {
    [ -d "$D" ] || { echo state=none; exit 0; }
    state=$(state) S=
    echo "state=$state"
    [ ! -e "$D/last-confirmed" ] || echo "confirmed=$(cat "$D/last-confirmed")"
    [ "$state" != none ] || exit 0
    S=$D/$state
    for key in id title by reason; do
        [ ! -e "$S/$key" ] || echo "$key=$(head -n 1 "$S/$key")"
    done
    [ ! -e "$S/applied" ] || echo applied=yes
    if [ -e "$S/armed" ]; then
        read -r now _ </proc/uptime
        echo "left=$(($(cat "$S/armed") + $(cat "$S/seconds") - ${now%.*}))"
    fi
    [ ! -s "$S/differences" ] || sed 's/^/different=/' "$S/differences"
    for log in apply.log undo.log; do
        [ ! -e "$S/$log" ] || tail -n 20 "$S/$log" | sed "s/^/$log=/"
    done
}

forget() {
    [ "$(cat "$D/undone/id" 2>/dev/null)" != "$1" ] || rm -rf -- "$D/undone"
}

command=$1
shift
case $command in
    arm | start | apply | confirm | undo | boot | status | forget) "$command" "$@" ;;
    *) die 2 "there is no command '$command'" ;;
esac

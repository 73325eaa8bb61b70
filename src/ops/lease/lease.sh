# Who changes this host, and whether guests may be placed on it: kvmsh's marks on a host. First argument: what is wanted.
#   take RUN TTL HOLDER PURPOSE PROCESS [STEAL]   a lease for RUN, also in place of that of STEAL or of one that has ended
#   renew RUN [TTL]                               it goes on for its TTL, or for a new one; `lost` where it is no longer that of
#                                                 RUN
#   drop RUN                                      it ends
#   cordon WHY BY | uncordon                      changes the other mark; answers `changed` or `same`
#   show                                          both marks; changes nothing
# Answers lines `key=value`. Time is this host's own, since its boot: no clock can jump. One at a time by flock(1).
PATH=$PATH:/usr/sbin:/sbin
run_dir=/run/kvmsh
keep_dir=/var/lib/kvmsh
umask 002

read -r uptime _ </proc/uptime || exit 9
now=${uptime%%.*}
read -r boot </proc/sys/kernel/random/boot_id || boot=unknown

# What the lease says; an empty l_run where there is none that counts.
read_lease() {
    l_run='' l_ttl=0 l_taken=0 l_renewed=0 l_boot='' l_holder='' l_purpose='' l_process=''
    [ -r "$run_dir/lease" ] || return 0
    while IFS='=' read -r key value; do
        case $key in
            run) l_run=$value ;;
            ttl) l_ttl=$value ;;
            taken) l_taken=$value ;;
            renewed) l_renewed=$value ;;
            boot) l_boot=$value ;;
            holder) l_holder=$value ;;
            purpose) l_purpose=$value ;;
            process) l_process=$value ;;
        esac
    done <"$run_dir/lease"
    for number in "$l_ttl" "$l_taken" "$l_renewed"; do
        case $number in '' | *[!0-9]*) l_run='' ;; esac
    done
    return 0
}

is_free() {
    [ -z "$l_run" ] || [ "$l_boot" != "$boot" ] || [ $((now - l_renewed)) -ge "$l_ttl" ]
}

write_lease() {
    printf 'run=%s\nttl=%s\ntaken=%s\nrenewed=%s\nboot=%s\nholder=%s\npurpose=%s\nprocess=%s\n' \
        "$l_run" "$l_ttl" "$l_taken" "$now" "$boot" "$l_holder" "$l_purpose" "$l_process" \
        >"$run_dir/lease.new" && mv -f "$run_dir/lease.new" "$run_dir/lease"
}

tell_lease() {
    printf 'run=%s\nholder=%s\npurpose=%s\nprocess=%s\nage=%s\nleft=%s\n' \
        "$l_run" "$l_holder" "$l_purpose" "$l_process" $((now - l_taken)) $((l_ttl - (now - l_renewed)))
}

# Whoever may change guests may take leases: root, and the group that libvirt lets in.
prepare() {
    if ! [ -d "$1" ]; then
        mkdir -p "$1" 2>/dev/null || return 1
        for group in libvirt libvirtd; do
            chgrp "$group" "$1" 2>/dev/null && chmod 2775 "$1" && break
        done
    fi
    [ -w "$1" ]
}

# What cannot be taken can still be respected.
give_up() {
    read_lease
    if ! is_free && [ "$l_run" != "$run" ]; then
        echo held=1
        tell_lease
    else
        echo "unusable=$1"
    fi
    exit 0
}

one_at_a_time() {
    command -v flock >/dev/null 2>&1 || give_up 'no flock'
    # A special builtin that fails would end the shell: try first.
    (: >>"$run_dir/lock") 2>/dev/null || give_up "cannot write $run_dir/lock"
    exec 9>>"$run_dir/lock"
    flock -w 20 9 || give_up "$run_dir/lock is locked"
    # Whoever waited for the lock has grown older.
    read -r uptime _ </proc/uptime
    now=${uptime%%.*}
}

run=${2-}
case $1 in
    take)
        prepare "$run_dir" || give_up "cannot write $run_dir"
        one_at_a_time
        read_lease
        if is_free || [ "$l_run" = "$2" ] || { [ -n "${7-}" ] && [ "$l_run" = "$7" ]; }; then
            if [ -n "$l_run" ] && [ "$l_run" != "$2" ]; then echo "ended=$l_holder"; fi
            [ "$l_run" = "$2" ] && [ "$l_boot" = "$boot" ] || l_taken=$now
            l_run=$2 l_ttl=$3 l_holder=$4 l_purpose=$5 l_process=$6
            if write_lease 2>/dev/null; then printf 'taken=1\nboot=%s\n' "$boot"; else echo unusable="cannot write $run_dir/lease"; fi
        else
            echo held=1
            tell_lease
        fi
        ;;
    renew)
        echo "boot=$boot"
        [ -d "$run_dir" ] || { echo lost=1; exit 0; }
        one_at_a_time
        read_lease
        if [ "$l_run" = "$2" ] && [ "$l_boot" = "$boot" ]; then
            l_ttl=${3:-$l_ttl}
            if write_lease 2>/dev/null; then echo renewed=1; else echo unusable="cannot write $run_dir/lease"; fi
        else
            echo lost=1
            if ! is_free; then
                echo held=1
                tell_lease
            fi
        fi
        ;;
    drop)
        [ -d "$run_dir" ] || exit 0
        one_at_a_time
        read_lease
        if [ "$l_run" = "$2" ]; then rm -f "$run_dir/lease"; fi
        echo dropped=1
        ;;
    cordon)
        prepare "$keep_dir" || { echo "cannot write $keep_dir" >&2; exit 1; }
        # Whoever set it first is remembered as long as the reason is the same.
        if [ "$(sed -n 's/^why=//p' "$keep_dir/cordon" 2>/dev/null)" = "$2" ] && [ -e "$keep_dir/cordon" ]; then
            echo same=1
            exit 0
        fi
        new=$keep_dir/cordon.$$
        printf 'why=%s\nby=%s\nsince=%s\n' "$2" "$3" "$(date +%s)" >"$new" && sync "$new" &&
            mv -f "$new" "$keep_dir/cordon" && sync "$keep_dir" && echo changed=1
        ;;
    uncordon)
        [ -e "$keep_dir/cordon" ] || { echo same=1; exit 0; }
        rm -f "$keep_dir/cordon" && sync "$keep_dir" && echo changed=1
        ;;
    show)
        read_lease
        if [ -n "$l_run" ]; then
            if is_free; then echo "ended=$l_holder"; else tell_lease; fi
        fi
        if [ -r "$keep_dir/cordon" ]; then
            sed -n 's/^why=/cordon=/p; s/^by=/cordon_by=/p; s/^since=/cordon_since=/p' "$keep_dir/cordon"
        fi
        ;;
    *) exit 2 ;;
esac

# up, down, enter, exec, status, crash and boot.
# shellcheck shell=bash

lab_up() {
    local hosts=() bare=() count='' owner=- start=- name
    DIR=
    while (($#)); do
        case $1 in
            --hosts) count=${2-}; shift ;;
            --host) hosts+=("${2-}"); shift ;;
            --bare) bare+=("${2-}"); shift ;;
            --owner) owner=${2-}; shift ;;
            -*) usage_error "up has no option $1" ;;
            *) [[ -z $DIR ]] || usage_error "up takes one directory"; DIR=$1 ;;
        esac
        (($#)) || usage_error "up: the last option wants a value"
        shift
    done
    [[ -n $DIR ]] || usage_error "up wants a directory to put the lab in"
    default_hosts
    hosts+=("${bare[@]}")
    ((${#hosts[@]})) || usage_error "a lab needs a host"
    for name in "${hosts[@]}"; do check_name "$name"; done
    name=$(printf '%s\n' "${hosts[@]}" controller localhost | sort | uniq -d)
    [[ -z $name ]] || die "the host name ${name%%$'\n'*} is used twice, or belongs to the lab itself"
    ((${#hosts[@]} <= 200)) || die "${#hosts[@]} hosts are too many for one lab" "At most 200."
    need_root
    name=$(missing_packages)
    [[ -z $name ]] || die "programs are missing; they are in: $name" "Run: $HERE/lab install"
    guest_files || die "the guest kernel has not been fetched" "Run: $HERE/lab install"
    if [[ $owner != - ]]; then
        process_start "$owner" 2>/dev/null || die "--owner $owner: there is no such process"
        start=$START
    fi

    claim_directory
    # Whatever goes wrong from here on, nothing stays behind.
    trap 'end_lab; say "the lab did not come up; its files are in $DIR"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    make_files
    open_ready
    start_watch "$owner" "$start"
    await $((${#hosts[@]} + 1))
    write_known_hosts
    trap - EXIT INT TERM HUP
}

# start_watch OWNER START: starts the lab's processes.
start_watch() {
    # The caller's other descriptors (a test runner's pipes, make's job server) must not stay open in a daemon, and its
    # environment must not become that of the hosts.
    (
        local fd
        for fd in /proc/"$BASHPID"/fd/*; do
            fd=${fd##*/}
            ((fd < 3)) || eval "exec $fd>&-"
        done
        exec env -i PATH="$PATH" HOME=/root LC_ALL=C KVMSH_LAB_CACHE="$CACHE" \
            setsid -f "$HERE/$PROGRAM" @watch "$DIR" "$1" "$2" </dev/null >"$DIR/log" 2>&1
    )
}

# Names hosts h2-a, h2-b, … if none was named.
default_hosts() {
    local -i i
    local letters=abcdefghijklmnopqrstuvwxyz
    ((${#hosts[@]} == 0)) || {
        [[ -z $count ]] || usage_error "--hosts and --host exclude each other"
        return 0
    }
    count=${count:-2}
    [[ $count =~ ^[0-9]{1,3}$ ]] || usage_error "--hosts wants a number"
    for ((i = 0; i < 10#$count; i++)); do
        if ((i < 26)); then hosts+=("h2-${letters:i:1}"); else hosts+=("h2-$((i + 1))"); fi
    done
}

# Makes DIR, which must be new or empty, and marks it.
claim_directory() {
    mkdir -p -- "$DIR"
    DIR=$(cd -- "$DIR" && pwd -P)
    [[ ! -e $DIR/$MARKER ]] || die "there is a lab in $DIR already" "Stop it first: $PROGRAM down $DIR"
    [[ -z $(ls -A -- "$DIR") ]] || die "$DIR is not empty"
    # The path goes into hosts.toml, known_hosts options and mount options.
    [[ $DIR =~ ^[A-Za-z0-9/._@%+=~-]+$ ]] || die "the path $DIR has characters the lab cannot quote everywhere"
    echo "$PROGRAM" >"$DIR/$MARKER"
    chmod 700 "$DIR"
}

# Everything that need not wait for the hosts. Reads hosts and bare.
make_files() {
    local name index=10 kind
    mkdir -p "$DIR"/{etc,boot,capabilities,controller/ssh,shared/console}
    chmod 700 "$DIR/controller/ssh"
    mkfifo "$DIR/ready" "$DIR/control"
    ssh-keygen -q -t ed25519 -N '' -C controller -f "$DIR/id_ed25519"
    ! compgen -G "$CACHE/capabilities/*.xml" >/dev/null || cp "$CACHE"/capabilities/*.xml "$DIR/capabilities/"
    printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n' \
        >"$DIR/etc/nsswitch.conf"
    printf '127.0.0.1 localhost\n::1 localhost\n%s controller\n' "$CONTROLLER_ADDRESS" >"$DIR/etc/hosts"
    : >"$DIR/known_hosts"
    for name in "${hosts[@]}"; do
        index=$((index + 1)) kind=host
        [[ " ${bare[*]} " != *" $name "* ]] || kind=bare
        mkdir -p "$DIR/hosts/$name"/{root/.ssh,etc/libvirt,var/log,var/lib/libvirt,var/cache/libvirt}
        chmod 700 "$DIR/hosts/$name/root" "$DIR/hosts/$name/root/.ssh"
        cp "$DIR/id_ed25519.pub" "$DIR/hosts/$name/root/.ssh/authorized_keys"
        echo "$index $kind" >"$DIR/hosts/$name/host"
        cat /proc/sys/kernel/random/uuid >"$DIR/hosts/$name/uuid"
        echo "$NETWORK.$index $name" >>"$DIR/etc/hosts"
        cat <<END
[hosts.$name]
address = "$NETWORK.$index"
identity = "$DIR/id_ed25519"
known_hosts = "$DIR/known_hosts"

END
    done >"$DIR/hosts.toml"
    printf '[storage]\nshared = ["/srv/shared"]\n' >>"$DIR/hosts.toml"
}

# Waits until $1 parts of the lab, the controller and hosts, have announced themselves. open_ready comes first, before
# they start.
await() {
    local -i left=$1
    local what name log
    while ((left > 0)); do
        if ! read -r -t 60 -u "$READY" what name; then what=silent name='' log=$DIR/log; fi
        case $what in
            up) left=$((left - 1)) ;;
            *)
                [[ -z $name ]] || log=$DIR/hosts/$name/log
                [[ $name != controller ]] || log=$DIR/controller/log
                tail -n 5 "$log" >&2 || :
                die "${name:-one of the hosts} did not come up" "The end of the log is above; all of it: $log"
                ;;
        esac
    done
    exec {READY}>&-
}

write_known_hosts() {
    local name type key index _
    for name in "${hosts[@]}"; do
        read -r type key _ <"$DIR/hosts/$name/ssh_host_ed25519_key.pub"
        read -r index _ <"$DIR/hosts/$name/host"
        echo "$name,$NETWORK.$index $type $key"
    done >"$DIR/known_hosts"
}

# Ends every process of the lab in DIR. Needs nothing but the records, so it also ends half a lab, or none.
end_lab() {
    local PID START controller=
    # Commands that `lab enter` started are not in the lab's PID namespace; they are known by their network namespace.
    # It is held open here, lest another one gets its number meanwhile.
    if recorded "$DIR/controller/pid"; then exec {controller}<"/proc/$PID/ns/net" || controller=; fi
    # @switch dies with @watch, but only @switch's end says that every process of the lab is gone.
    if recorded "$DIR/watch" && ((PID != BASHPID)); then kill -KILL "$PID" 2>/dev/null || :; fi
    if recorded "$DIR/pid"; then
        kill -KILL "$PID" 2>/dev/null || :
        await_end "$DIR/pid"
    fi
    if [[ -n $controller ]]; then
        end_entered "$(readlink "/proc/$BASHPID/fd/$controller")"
        exec {controller}<&-
    fi
}

# Ends the processes whose network namespace is $1 ("net:[…]").
end_entered() {
    local process
    for process in /proc/[0-9]*; do
        [[ $(readlink "$process/ns/net" 2>/dev/null) == "$1" ]] || continue
        kill -KILL "${process#/proc/}" 2>/dev/null || :
    done
}

lab_down() {
    (($# == 1)) || usage_error "down takes one directory"
    need_root
    [[ -e $1 ]] || return 0
    open_lab "$1"
    local PID START
    if recorded "$DIR/controller/pid" && [[ /proc/$PID/ns/net -ef /proc/self/ns/net ]]; then
        die "this shell is inside the lab" "Leave it first: exit"
    fi
    end_lab
    # An `up` that was killed this moment may have left a process that is only now writing its record here.
    rm -rf --one-file-system -- "$DIR" 2>/dev/null || {
        end_lab
        rm -rf --one-file-system -- "$DIR"
    }
}

lab_enter() {
    need_root
    open_lab "${1-}"
    shift
    (($#)) || set -- "${SHELL:-/bin/sh}"
    recorded "$DIR/controller/pid" || die "the lab in $DIR is not running" "Start another: $PROGRAM up …"
    # nsenter leaves its caller in the root directory.
    # shellcheck disable=SC2016
    KVMSH_INVENTORY=$DIR/hosts.toml exec nsenter -t "$PID" -m -u -n -- \
        /bin/sh -c 'cd -- "$0" 2>/dev/null; exec "$@"' "$PWD" "$@"
}

lab_exec() {
    need_root
    open_lab "${1-}"
    open_host "${2-}"
    (($# > 2)) || usage_error "exec wants a command"
    shift 2
    exec nsenter -t "$PID" -m -u -i -n -p -- \
        env -i HOME=/root USER=root LOGNAME=root SHELL=/bin/bash TERM="${TERM-dumb}" LC_ALL=C \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

lab_status() {
    need_root
    open_lab "${1-}"
    local PID START name index kind daemon guests daemons link
    recorded "$DIR/pid" || { say "the lab in $DIR is not running"; return 1; }
    printf '%-16s %-12s %-5s %-24s %s\n' HOST ADDRESS LINK DAEMONS GUESTS
    for name in "$DIR"/hosts/*; do
        name=${name##*/}
        read -r index kind <"$DIR/hosts/$name/host"
        if ! recorded "$DIR/hosts/$name/pid"; then
            printf '%-16s %-12s %-5s %s\n' "$name" "$NETWORK.$index" down crashed
            continue
        fi
        link=up daemons=() guests=''
        in_switch ip -o link show dev "port$index" | grep -q '[<,]UP[,>]' || link=down
        for daemon in sshd libvirtd; do
            [[ $kind$daemon == barelibvirtd ]] || daemons+=("$daemon:$(daemon_state "$daemon")")
        done
        # A hung libvirtd must not hang the report as well.
        [[ $kind == bare ]] ||
            guests=$(in_host timeout 3 virsh -q -c qemu:///system list --all 2>/dev/null |
                awk '{ state = $3; for (i = 4; i <= NF; i++) state = state " " $i; print $2 " (" state ")" }' |
                paste -sd, | sed 's/,/, /g') || guests='libvirtd does not answer'
        printf '%-16s %-12s %-5s %-24s %s\n' "$name" "$NETWORK.$index" "$link" "${daemons[*]}" "$guests"
    done
}

# A host loses its power: its daemons and guests are gone at once, what was on its disk stays.
lab_crash() {
    need_root
    open_lab "${1-}"
    open_host "${2-}"
    kill -KILL "$PID"
    await_end "$HOST_DIR/pid"
    # The kernel takes the cable away only some time after the namespace; its name is needed again at boot.
    in_switch ip link delete "port$INDEX" 2>/dev/null || :
}

lab_boot() {
    need_root
    open_lab "${1-}"
    local host=${2-} PID START
    [[ -n $host ]] || usage_error "which host?"
    [[ $host != */* && -d $DIR/hosts/$host ]] || die "the lab has no host '$host'"
    recorded "$DIR/pid" || die "the lab in $DIR is not running"
    ! recorded "$DIR/hosts/$host/pid" || die "host $host is running" "Take its power first: lab crash $DIR $host"
    open_ready
    printf '%s\n' "$host" 1<>"$DIR/control"
    await 1
}

# up, down, enter, exec, console, status, wait; and the switches, which hold the lab together.
# shellcheck shell=bash

# How long a node may take to come up. It takes 10 s alone on an idle machine, but tests and compilers run beside it.
readonly BOOT_SECONDS=400

vm_up() {
    local nodes=() nas='' owner=- start=- spec cold=0
    DIR=
    while (($#)); do
        case $1 in
            --cold) cold=1; shift; continue ;;
            --node) nodes+=("${2-}"); shift ;;
            --nas) nas=${2-}; shift ;;
            --owner) owner=${2-}; shift ;;
            -*) usage_error "up has no option $1" ;;
            *) [[ -z $DIR ]] || usage_error "up takes one directory"; DIR=$1 ;;
        esac
        (($#)) || usage_error "up: the last option wants a value"
        shift
    done
    [[ -n $DIR ]] || usage_error "up wants a directory to put the lab in"
    ((${#nodes[@]})) || nodes=(h2-a h2-b)
    [[ -z $nas ]] || nodes+=("$nas")
    local hosts=() name
    for spec in "${nodes[@]}"; do
        parse_node "$spec"
        hosts+=("$NAME")
    done
    name=$(printf '%s\n' "${hosts[@]}" controller localhost | sort | uniq -d)
    [[ -z $name ]] || die "the node name ${name%%$'\n'*} is used twice, or belongs to the lab itself"
    ((${#hosts[@]} <= 50)) || die "${#hosts[@]} nodes are too many for one lab" "At most 50."
    need_root
    name=$(missing_packages)
    [[ -z $name ]] || die "programs are missing; they are in: $name" "Run: $HERE/vm install"
    [[ -c /dev/net/tun ]] || die "this machine has no /dev/net/tun" "Load the module: modprobe tun"
    if [[ $owner != - ]]; then
        process_start "$owner" 2>/dev/null || die "--owner $owner: there is no such process"
        start=$START
    fi
    for spec in "${nodes[@]}"; do
        parse_node "$spec"
        need_image "$VARIANT"
    done
    # Said anew at each start; prune_images goes by it.
    : >"$IMAGES/lock"

    claim_directory
    # Whatever goes wrong from here on, nothing stays behind.
    trap 'end_lab; say "the lab did not come up; its files are in $DIR"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    make_node_files
    open_ready
    start_watch "$owner" "$start"
    await 1
    write_known_hosts
    for name in "${hosts[@]}"; do come_up "$name"; done
    trap - EXIT INT TERM HUP
}

# Everything that need not wait for the nodes. Reads nodes and nas.
make_node_files() {
    local spec index=10 salt
    mkdir -p "$DIR"/{etc,controller/ssh,hosts}
    chmod 700 "$DIR/controller/ssh"
    mkfifo "$DIR/ready" "$DIR/control"
    echo "$IMAGES" >"$DIR/images"
    ssh-keygen -q -t ed25519 -N '' -C controller -f "$DIR/id_ed25519"
    salt=$(od -An -N 12 -tx1 /dev/urandom | tr -d ' \n')
    install -m 600 /dev/stdin "$DIR/password" <<<"${salt:0:16}"
    # shellcheck disable=SC2016 # Perl's variables
    perl -e 'print crypt($ARGV[0], "\$6\$" . $ARGV[1]), "\n"' "${salt:0:16}" "${salt:16}" |
        install -m 600 /dev/stdin "$DIR/password.hash"
    printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n' \
        >"$DIR/etc/nsswitch.conf"
    printf '127.0.0.1 localhost\n::1 localhost\n%s controller\n' "$CONTROLLER_ADDRESS" >"$DIR/etc/hosts"
    : >"$DIR/known_hosts"
    for spec in "${nodes[@]}"; do
        index=$((index + 1))
        echo "$NETWORK.$index ${spec%%:*}" >>"$DIR/etc/hosts"
    done
    index=10
    for spec in "${nodes[@]}"; do
        index=$((index + 1))
        make_node "$spec" "$index"
    done
}

# make_node SPEC INDEX
make_node() {
    local NAME MEMORY VARIANT CPU PASSWORD INDEX=$2 ROLE=host WARM
    parse_node "$1"
    HOST_DIR=$DIR/hosts/$NAME
    [[ $1 != "$nas" ]] || ROLE=nas
    mkdir "$HOST_DIR"
    echo "$INDEX $VARIANT $MEMORY $CPU $PASSWORD $ROLE" >"$HOST_DIR/host"
    node_uuid "$NAME" "$INDEX" >"$HOST_DIR/uuid"
    warm_state
    if ((cold == 1)) || ! make_warm; then make_cold; fi
    (umask 022 && node_files)
    node_initrd
    cat >>"$DIR/hosts.toml" <<END
[hosts.$NAME]
address = "$NETWORK.$INDEX"
identity = "$DIR/id_ed25519"
known_hosts = "$DIR/known_hosts"

END
}

make_cold() {
    rm -f "$HOST_DIR"/{incoming,disk.qcow2,ssh_host_ed25519_key*}
    ssh-keygen -q -t ed25519 -N '' -C "root@$NAME" -f "$HOST_DIR/ssh_host_ed25519_key"
    qemu-img create -q -f qcow2 -F raw -b "$IMAGES/$VARIANT.raw" "$HOST_DIR/disk.qcow2"
}

# Waits for node $1. One that boots for the first time is kept for other labs.
come_up() {
    local NAME=$1 INDEX VARIANT MEMORY CPU PASSWORD ROLE WARM
    known_host "$1"
    read -r INDEX VARIANT MEMORY CPU PASSWORD ROLE <"$HOST_DIR/host"
    warm_state
    if qemu-img info -U "$HOST_DIR/disk.qcow2" | grep -qF "backing file: $WARM/"; then
        (await_agent $((SECONDS + BOOT_SECONDS)) && adopt) || {
            tail -n 5 "$HOST_DIR/log" >&2 || :
            rm -rf "$WARM"
            die "node $HOST could not go on from its kept state, which has been removed" "Try again: it will boot."
        }
    fi
    wait_ssh "$1" "$BOOT_SECONDS"
    if ((cold == 0)) && [[ ! -e $WARM ]]; then keep_warm; fi
}

# @switch DIR
role_vm_switch() {
    DIR=$1
    record_self "$DIR/pid"
    # `vm down` first kills @watch and then looks for this record: either it finds it, or this finds no @watch.
    recorded "$DIR/watch" || die "@watch is gone"
    local held node control
    exec {held}<"$(<"$DIR/images")/lock"
    flock -s "$held"
    ip -batch - <<'END'
link set lo up
link add switch type bridge
link add switch2 type bridge
link add between1 type veth peer name between2
link set between1 master switch up
link set between2 master switch2 up
link set switch up
link set switch2 up
END
    unshare --mount --propagation slave --uts --net -- "$HERE/vm" @controller "$DIR" >"$DIR/controller/log" 2>&1 &
    for node in "$DIR"/hosts/*; do power_on_node "${node##*/}"; done
    # `vm boot` writes the name of a node here. Waiting for one, this is the lab's init (see be_init).
    exec {control}<>"$DIR/control"
    while :; do
        ! read -r -u "$control" node || power_on_node "$node"
    done
}

power_on_node() { "$HERE/vm" @node "$DIR" "$1" >>"$DIR/hosts/$1/log" 2>&1 & }

vm_down() { lab_down "$@"; }
vm_enter() { lab_enter "$@"; }

vm_exec() {
    local seconds=600 input=''
    while [[ ${1-} == --* ]]; do
        case $1 in
            --timeout) seconds=${2-}; shift ;;
            --stdin) input=/dev/stdin ;;
            *) usage_error "exec has no option $1" ;;
        esac
        shift
    done
    [[ $seconds =~ ^[0-9]+$ ]] || usage_error "exec: --timeout wants seconds"
    need_root
    open_lab "${1-}"
    open_host "${2-}"
    (($# > 2)) || usage_error "exec wants a command"
    run_in_node "$seconds" "$input" "${@:3}"
}

vm_console() {
    need_root
    open_lab "${1-}"
    local HOST HOST_DIR
    known_host "${2-}"
    cat "$HOST_DIR/console.log"
}

# Sets HOST and HOST_DIR for node $1, running or not.
known_host() {
    HOST=$1 HOST_DIR=$DIR/hosts/$1
    [[ -n $HOST ]] || usage_error "which node?"
    [[ $HOST != */* && -d $HOST_DIR ]] || die "the lab has no node '$HOST'" "It has: $(cd "$DIR/hosts" && echo *)"
}

vm_wait() {
    need_root
    open_lab "${1-}"
    known_host "${2-}"
    [[ ${4-$BOOT_SECONDS} =~ ^[0-9]+$ ]] || usage_error "wait: how many seconds?"
    case ${3-} in
        ssh) wait_ssh "$HOST" "${4-$BOOT_SECONDS}" ;;
        agent) await_agent $((SECONDS + ${4-$BOOT_SECONDS})) || die "the agent of $HOST did not answer in time" ;;
        *) usage_error "wait: for what? ssh or agent" ;;
    esac
}

# wait_ssh NODE SECONDS: until its SSH server greets the controller.
wait_ssh() {
    local -i end=$((SECONDS + $2))
    local PID START INDEX
    known_host "$1"
    read -r INDEX _ <"$HOST_DIR/host"
    while ((SECONDS < end)); do
        recorded "$HOST_DIR/pid" || {
            tail -n 5 "$HOST_DIR/log" >&2 || :
            die "node $HOST is not running" "See $HOST_DIR/log; or was its power cut? Then: vm boot"
        }
        recorded "$DIR/controller/pid" || die "the lab in $DIR is not running"
        # shellcheck disable=SC2016 # for the inner bash
        ! nsenter -t "$PID" -n -- timeout 5 bash -c \
            'exec 3<>"/dev/tcp/$0/22" && read -r -u 3 line && [[ $line == SSH-* ]]' \
            "$NETWORK.$INDEX" 2>/dev/null || return 0
        sleep 0.2
    done
    die "node $HOST did not offer SSH within $2 s" "See: vm console $DIR $HOST"
}

vm_status() {
    need_root
    open_lab "${1-}"
    local PID START node index variant memory cpu role state _
    recorded "$DIR/pid" || { say "the lab in $DIR is not running"; return 1; }
    printf '%-16s %-12s %-9s %-8s %-5s %-8s %s\n' NODE ADDRESS VARIANT MEMORY ROLE STATE CPU
    for node in "$DIR"/hosts/*; do
        read -r index variant memory cpu _ role <"$node/host"
        state=off
        ! recorded "$node/pid" || state=running
        printf '%-16s %-12s %-9s %-8s %-5s %-8s %s\n' \
            "${node##*/}" "$NETWORK.$index" "$variant" "$memory" "$role" "$state" "$cpu"
    done
}

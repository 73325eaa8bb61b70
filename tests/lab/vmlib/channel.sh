# Talking to a node without its network: QEMU's monitor and the agent inside the node, JSON on sockets both.
# shellcheck shell=bash

# ask SOCKET SECONDS GREETING PATTERN REQUEST: sends GREETING to a socket of the open host, waits for a line that
# matches PATTERN, sends REQUEST, and sets ANSWER to the line with its result. One caller at a time, as QEMU only takes one.
ask() {
    local socket=$1 pattern=$4 request=$5 lock input output status=1
    local -i end=$((SECONDS + $2))
    exec {lock}>>"$HOST_DIR/$socket.lock"
    flock -w "$2" "$lock" || { exec {lock}>&-; return 1; }
    # A socket's path may have 107 characters only, so it is named from its directory.
    coproc SOCAT { cd "$HOST_DIR" && exec {lock}>&- && exec socat - "UNIX-CONNECT:$socket" 2>/dev/null; }
    local pid=$!
    # A process that has ended already, as QEMU did not listen, has taken the array with it.
    { exec {output}<&"${SOCAT[0]--}" {input}>&"${SOCAT[1]--}"; } 2>/dev/null || { exec {lock}>&-; return 1; }
    if printf '%b\n' "$3" 1>&"$input" 2>/dev/null && await_line "$pattern" &&
        printf '%s\n' "$request" 1>&"$input" 2>/dev/null && await_line '"(return|error)"'; then
        status=0
    fi
    exec {input}>&- {output}<&-
    # Not TERM: socat notes it, and misses it when it is just about to wait.
    kill -KILL "$pid" 2>/dev/null || :
    wait "$pid" 2>/dev/null || :
    exec {lock}>&-
    return "$status"
}

# Sets ANSWER to the next line from output that matches $1; events and answers to others are passed over.
await_line() {
    local -i left
    while left=$((end - SECONDS)) && ((left > 0)); do
        LC_ALL=C IFS= read -r -t "$left" -u "$output" ANSWER || return 1
        [[ ! $ANSWER =~ $1 ]] || return 0
    done
    return 1
}

# monitor COMMAND [SECONDS]: a command of QEMU's human monitor. These print nothing when they succeed.
monitor() {
    qmp '"human-monitor-command", "arguments": {"command-line": "'"$1"'"}' "${2-30}"
    [[ $ANSWER =~ \"return\":\ \"\" ]] || die "QEMU refused '$1' on $HOST: $ANSWER"
}

# qmp COMMAND SECONDS: a command of QEMU's machine protocol, with its arguments. Sets ANSWER.
qmp() {
    ask monitor "$2" '{"execute": "qmp_capabilities"}' '"return"' "{\"execute\": $1}" ||
        die "the QEMU of $HOST does not answer to $1" "See $HOST_DIR/log"
    [[ $ANSWER != *'"error"'* ]] || die "QEMU refused $1 on $HOST: $ANSWER"
}

# agent SECONDS REQUEST: asks the agent. Its answers to earlier callers are still in the line; a number tells ours.
agent() {
    local -i id=$((RANDOM * 32768 + RANDOM))
    ask agent "$1" '\xff{"execute": "guest-sync-delimited", "arguments": {"id": '"$id"'}}' \
        "\"return\": ${id}[^0-9]" "$2"
}

# Waits until the agent answers, at most until SECONDS is $1.
await_agent() {
    while ((SECONDS < $1)); do
        recorded "$HOST_DIR/pid" || die "the QEMU of $HOST has ended" "See $HOST_DIR/log and $HOST_DIR/console.log"
        ! agent 2 '{"execute": "guest-ping"}' || return 0
        sleep 0.3
    done
    return 1
}

# run_in_node SECONDS INPUT COMMAND ARG ..: runs a command as root on the open host, prints what it prints and returns its
# exit status. INPUT is a file, or empty.
run_in_node() {
    local -i end=$((SECONDS + $1))
    local input='' script field pid
    [[ -z $2 ]] || input=', "input-data": "'$(base64 -w 0 <"$2")'"'
    printf -v script '%q ' "${@:3}"
    script=$(base64 -w 0 <<<"cd /root; exec env -i HOME=/root USER=root LOGNAME=root SHELL=/bin/bash TERM=dumb LC_ALL=C \
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin $script")
    # shellcheck disable=SC2016 # for the node's bash
    agent "$1" '{"execute": "guest-exec", "arguments": {"path": "/bin/bash", "capture-output": true,
        "arg": ["-c", "eval \"$(base64 -d <<<'"$script"')\""]'"$input"'}}' ||
        die "the agent of $HOST does not answer" "Is it booting? See: vm console $DIR $HOST"
    [[ $ANSWER =~ \"pid\":\ ([0-9]+) ]] || die "the agent of $HOST did not run $3: $ANSWER"
    pid=${BASH_REMATCH[1]}
    while :; do
        ((SECONDS < end)) || die "$3 on $HOST did not end in $1 s"
        agent "$((end - SECONDS))" '{"execute": "guest-exec-status", "arguments": {"pid": '"$pid"'}}' ||
            die "the agent of $HOST ceased to answer while $3 was running"
        [[ $ANSWER != *'"error"'* ]] || die "the agent of $HOST lost $3: $ANSWER" "Was it restarted?"
        [[ $ANSWER != *'"exited": true'* ]] || break
        sleep 0.1
    done
    for field in out:1 err:2; do
        [[ ! $ANSWER =~ \"${field%:*}-data\":\ \"([A-Za-z0-9+/=]*)\" ]] ||
            base64 -d <<<"${BASH_REMATCH[1]}" >&"${field#*:}"
    done
    [[ ! $ANSWER =~ \"signal\":\ ([0-9]+) ]] || return $((128 + BASH_REMATCH[1]))
    [[ ! $ANSWER =~ \"exitcode\":\ ([0-9]+) ]] || return "${BASH_REMATCH[1]}"
}

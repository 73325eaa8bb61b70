# What sshd makes of the account we are logged in to, and its keys: KEY=VALUE lines, one round trip.
# A program of another user's is only asked, nothing is changed.
LC_ALL=C
export LC_ALL
PATH=$PATH:/usr/sbin:/sbin
say() { printf '%s=%s\n' "$1" "$2"; }
user=$(id -un)
say user "$user"
say uid "$(id -u)"
home=$(getent passwd "$user" 2>/dev/null | cut -d: -f6)
home=${home:-$HOME}
say home "$home"

# The configuration of the sshd we came through: the one that an ancestor of ours was started with.
config='' pid=$$
while [ "${pid:-0}" -gt 1 ]; do
    title=$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) || break
    case $title in
        # Only at the front: the text of this very script is in the title of its shell.
        'sshd: '*' -f '* | 'sshd '*' -f '* | /*/sshd' '*' -f '*)
            config=${title#* -f }
            config=${config%% *}
            break
            ;;
    esac
    pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)
done
# shellcheck disable=SC2086 # it is four words
set -- ${SSH_CONNECTION:-127.0.0.1 0 127.0.0.1 22}
where="user=$user,host=$1,addr=$1,laddr=$3,lport=$4"
if asked=$(sshd -T ${config:+-f "$config"} -C "$where" 2>&1); then
    say sshd yes
    printf '%s\n' "$asked" | sed -n 's/^\(authorizedkeysfile\|pubkeyauthentication\|strictmodes\|hostkey\) /\1=/p'
    files=$(printf '%s\n' "$asked" | sed -n 's/^hostkey //p')
else
    say sshd_said "$(printf '%s\n' "$asked" | head -n 1)"
    files=$(ls /etc/ssh/ssh_host_*_key 2>/dev/null)
fi

# The host's own keys, from its disk: these lines are worth as much as the session they come through.
printf '%s\n' "$files" | while IFS= read -r file; do
    if [ -r "$file.pub" ]; then
        read -r kind key _ <"$file.pub" && say host_key "$kind $key"
    fi
done

# Key pairs of the account that a program can use without asking anybody.
for name in id_ed25519 id_ecdsa id_rsa; do
    file=$home/.ssh/$name
    if [ -r "$file" ] && ssh-keygen -y -P '' -f "$file" </dev/null >/dev/null 2>&1; then
        say key "$file $(ssh-keygen -y -P '' -f "$file" </dev/null 2>/dev/null | cut -d' ' -f1,2) $user@$(uname -n)"
    fi
done
exit 0

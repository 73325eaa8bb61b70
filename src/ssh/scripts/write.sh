# Replaces a file atomically. Arguments: path, size, mode, owner, suffix of the backup ("" for none).
# Standard input: the bytes, then one line with their `cksum`.
# Statuses of its own: 71 no such directory, 72 not a regular file, 73 the owner cannot be kept, 74 torn.
LC_ALL=C
export LC_ALL
umask 077
path=$1 size=$2 mode=$3 owner=$4 suffix=$5

# A link stays a link: the file it points to is replaced. The x guards newlines in that name.
if [ -L "$path" ]; then
    path=$(readlink -f -- "$path" && echo x) || exit 71
    path=${path%?x}
fi
if [ -e "$path" ] && [ ! -f "$path" ]; then exit 72; fi
dir=${path%/*}
dir=${dir:-/}
[ -d "$dir" ] || exit 71

# A dot first: `source interfaces.d/*` and the like do not see it.
tmp=$(mktemp -- "$dir/.kvmsh.XXXXXXXXXX") || exit 1
trap 'rm -f -- "$tmp"' EXIT
# Again here: a signal to the group may have hit the `rm` of the line above.
trap 'rm -f -- "$tmp"; exit 75' HUP INT TERM PIPE

head -c "$size" >"$tmp" || exit 1
IFS= read -r want || exit 74
sync -- "$tmp" || exit 1
[ "$(cksum <"$tmp")" = "$want" ] || exit 74

if [ -f "$path" ]; then
    # Mode, owner, ACL, extended attributes, SELinux context; not the time.
    cp -a --attributes-only -- "$path" "$tmp" || exit 1
    touch -- "$tmp"
    [ "$(stat -c %u:%g -- "$path")" = "$(stat -c %u:%g -- "$tmp")" ] || exit 73
else
    chmod 0644 -- "$tmp" || exit 1
fi
# Owner first: a change of owner clears set-user-ID bits.
[ -z "$owner" ] || chown -- "$owner" "$tmp" || exit 1
[ -z "$mode" ] || chmod -- "$mode" "$tmp" || exit 1

if [ -f "$path" ] && cmp -s -- "$path" "$tmp" &&
    [ "$(stat -c %u:%g:%a -- "$path")" = "$(stat -c %u:%g:%a -- "$tmp")" ]; then
    echo same
    exit 0
fi

backup=
if [ -n "$suffix" ] && [ -f "$path" ]; then
    backup=$dir/.${path##*/}$suffix
    cp -a -- "$path" "$backup" && sync -- "$backup" || {
        status=$?
        rm -f -- "$backup"
        exit "$status"
    }
fi
mv -fT -- "$tmp" "$path" || exit 1
sync -- "$dir"
[ "$(cksum <"$path")" = "$want" ] || exit 74
echo changed
printf '%s' "$backup"

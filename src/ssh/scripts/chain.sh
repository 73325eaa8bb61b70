# The way to each file as sshd looks at it. Arguments: home directory, files.
# Lines: `file=NAME`, `real=NAME`, then `at=TYPE-AND-MODE UID NAME` of what exists, from the file upwards to the home or /.
LC_ALL=C
export LC_ALL
home=$(readlink -f -- "$1") || home=$1
shift
for file; do
    printf 'file=%s\n' "$file"
    # A directory on the way may be missing, which -f does not stand.
    real=$(readlink -m -- "$file" 2>/dev/null) || real=$file
    printf 'real=%s\n' "$real"
    at=$real
    while :; do
        if [ -e "$at" ]; then printf 'at=%s\n' "$(stat -c '%f %u %n' -- "$at")"; fi
        if [ "$at" = "$home" ] || [ "$at" = / ] || [ -z "$at" ]; then break; fi
        at=${at%/*}
        at=${at:-/}
    done
done
exit 0

# Sends a regular file: its size and mode on one line, then the bytes.
# Statuses of its own: 72 not a regular file.
LC_ALL=C
export LC_ALL
if [ -e "$1" ] && [ ! -f "$1" ]; then exit 72; fi
stat -L -c '%s %a' -- "$1" && exec cat -- "$1"

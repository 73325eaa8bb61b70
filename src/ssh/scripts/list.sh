# The names in a directory, one a line, a / behind directories; at most $2 of them.
LC_ALL=C
export LC_ALL
ls -1ALp -- "$1" 2>/dev/null | head -n "$2"

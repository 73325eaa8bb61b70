# Says what a path is; of a link that leads nowhere, the link itself.
LC_ALL=C
export LC_ALL
stat -L -c '%f %s %Y %u %g %U %G' -- "$1" 2>/dev/null || exec stat -c '%f %s %Y %u %g %U %G' -- "$1"

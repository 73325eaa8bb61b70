# Which of the packages in the arguments are installed: NAME=VERSION lines. Asks the package database alone.
# Status of its own: 70 there is no package manager that we know.
LC_ALL=C
export LC_ALL
if command -v dpkg-query >/dev/null 2>&1; then
    dpkg-query -W -f '${db:Status-Status} ${Package}=${Version}\n' -- "$@" 2>/dev/null | sed -n 's/^installed //p'
elif command -v rpm >/dev/null 2>&1; then
    for name; do
        version=$(rpm -q --qf '%{VERSION}-%{RELEASE}\n' --whatprovides "$name" 2>/dev/null) &&
            printf '%s=%s\n' "$name" "$(printf '%s\n' "$version" | head -n 1)"
    done
elif command -v pacman >/dev/null 2>&1; then
    for name; do
        version=$(pacman -Q -- "$name" 2>/dev/null) && printf '%s=%s\n' "$name" "${version##* }"
    done
else
    exit 70
fi
exit 0

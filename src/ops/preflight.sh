# What a guest needs on its new host. Arguments come in pairs, answers one per line:
#   f PATH    type of its file system, mount source and real path, with tabs between; of a
#             block device `block`, its identity and its real path; an empty line where it
#             is not there
#   b NAME    `yes` if it is a bridge
#   c         its cordon, if there is one: several lines, so it is asked for last
# Changes nothing.
while [ $# -gt 1 ]; do
    case $1 in
        f)
            real=$(readlink -f -- "$2" 2>/dev/null)
            if [ -b "$2" ]; then
                # Serial numbers are left out: QEMU's are the same on every machine.
                id=$(udevadm info -q property -n "$real" 2>/dev/null |
                    grep -E '^(DM_UUID|ID_WWN_WITH_EXTENSION|ID_WWN)=' | sort | tr '\n' ' ')
                printf 'block\t%s\t%s\n' "$id" "$real"
            elif [ -e "$2" ]; then
                printf '%s\t%s\t%s\n' "$(stat -L -f -c %T -- "$2")" \
                    "$(findmnt -n -o SOURCE --target "$real" 2>/dev/null | head -n 1)" "$real"
            else
                echo
            fi
            ;;
        b)
            if [ -d "/sys/class/net/$2/bridge" ]; then echo yes; else echo no; fi
            ;;
        c)
            sed -n 's/^why=/cordon=/p; s/^by=/cordon_by=/p; s/^since=/cordon_since=/p' \
                /var/lib/kvmsh/cordon 2>/dev/null
            ;;
    esac
    shift 2
done

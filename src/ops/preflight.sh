# What a guest needs on its new host. Arguments come in pairs, answers one per line:
#   f PATH    the type of its file system; of a block device `block:` and its identity;
#             an empty line where it is not there
#   b NAME    `yes` if it is a bridge
# Changes nothing.
while [ $# -gt 1 ]; do
    case $1 in
        f)
            if [ -b "$2" ]; then
                id=$(udevadm info -q property -n "$2" 2>/dev/null |
                    grep -E '^(DM_UUID|ID_WWN_WITH_EXTENSION|ID_WWN|ID_SERIAL)=' | sort | tr '\n' ' ')
                echo "block:$id"
            elif [ -e "$2" ]; then
                stat -L -f -c %T -- "$2"
            else
                echo
            fi
            ;;
        b)
            if [ -d "/sys/class/net/$2/bridge" ]; then echo yes; else echo no; fi
            ;;
    esac
    shift 2
done

# What the system says of the CPU, and libvirt's map of models: sections that begin with "==> NAME".
echo '==> cpuinfo'
sed '/^$/q' /proc/cpuinfo 2>/dev/null
echo '==> vulnerabilities'
for file in /sys/devices/system/cpu/vulnerabilities/*; do
    [ -r "$file" ] && printf '%s: %s\n' "${file##*/}" "$(cat "$file")"
done
[ "$1" = map ] || exit 0
for file in /usr/share/libvirt/cpu_map/x86_*.xml /usr/share/libvirt/cpu_map.xml; do
    [ -r "$file" ] || continue
    echo '==> map'
    cat "$file"
done
exit 0

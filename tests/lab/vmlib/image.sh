# The images of the nodes: built once for each content, kept in the cache.
# shellcheck shell=bash

# Sets IMAGES to the directory for images made by this recipe and this guest:
#   base/          the tree that all variants share     vmlinuz, initrd   what the nodes boot with
#   VARIANT.raw    an ext4 file system each             lock              held by every lab that runs on them
images() {
    guest_files || die "the guest kernel has not been fetched" "Run: $HERE/vm install"
    local stamp
    stamp=$(cat "$HERE/vmlib/recipe.sh" "$HERE/vmlib/initrd-init" - <<<"${BOOT_FILES##*/}" | sha256sum)
    IMAGES=$CACHE/vm-${stamp:0:16}
}

# A file only has its name once it is whole, so this asks for damage that came later.
image_valid() {
    [[ -s $IMAGES/vmlinuz && -s $IMAGES/initrd ]] &&
        LC_ALL=C dumpe2fs -h "$IMAGES/$1.raw" 2>/dev/null | grep -q '^Filesystem state: *clean$'
}

vm_image() {
    local variants=() variant
    while (($#)); do
        case $1 in
            --variant) variants+=("${2-}"); shift ;;
            *) usage_error "image has no option $1" ;;
        esac
        (($#)) || usage_error "image: --variant wants a name"
        shift
    done
    ((${#variants[@]})) || variants=(ifupdown)
    need_root
    for variant in "${variants[@]}"; do need_image "$variant"; done
    echo "$IMAGES"
}

check_variant() {
    [[ " ${VARIANTS[*]} " == *" $1 "* ]] || usage_error "there is no variant '$1'; there are: ${VARIANTS[*]}"
}

# Builds the image of variant $1 unless it is there. Sets IMAGES.
need_image() {
    check_variant "$1"
    images
    ! image_valid "$1" || return 0
    local missing lock
    missing=$(missing_packages)
    [[ -z $missing ]] || die "programs are missing; they are in: $missing" "Run: $HERE/vm install"
    mkdir -p "$CACHE"
    exec {lock}>"$CACHE/vm-build.lock"
    flock "$lock"
    if ! image_valid "$1"; then
        prune_images
        say "building the $1 image in $IMAGES; this is done once"
        # All mounts are in this namespace, so nothing is left of a build that was killed but files.
        unshare --mount --propagation private --fork --pid --kill-child=KILL -- \
            "$HERE/vm" @build "$IMAGES" "$1" "$BOOT_FILES" 2>"$CACHE/vm-build.log" || {
            tail -n 20 "$CACHE/vm-build.log" >&2
            die "the image could not be built" "The whole log is in $CACHE/vm-build.log"
        }
        image_valid "$1" || die "the image $IMAGES/$1.raw was built, but is not valid"
    fi
    exec {lock}>&-
}

# @build IMAGES VARIANT BOOT_FILES
role_build() {
    IMAGES=$1 BOOT_FILES=$3
    local tree=$IMAGES/new.tree
    umask 022
    mkdir -p "$IMAGES"
    rm -rf "$IMAGES"/new.*
    if [[ ! -d $IMAGES/base || ! -s $IMAGES/initrd ]]; then
        rm -rf "$IMAGES/base"
        make_base "$tree"
        cp "$tree"/boot/vmlinuz-* "$IMAGES/vmlinuz"
        make_initrd "$tree" "$IMAGES/initrd"
        mv "$tree" "$IMAGES/base"
    fi
    mkdir -p "$IMAGES/new.work" "$tree"
    mount -t tmpfs -o mode=755 tmpfs "$IMAGES/new.work"
    mkdir "$IMAGES"/new.work/{upper,work}
    mount -t overlay -o "lowerdir=$IMAGES/base,upperdir=$IMAGES/new.work/upper,workdir=$IMAGES/new.work/work" \
        overlay "$tree"
    make_variant "$2" "$tree" >&2
    # 131072 inodes are 32 MiB of tables; written out at once, lest the node does it while it boots.
    mke2fs -q -t ext4 -L node -N 131072 -m 1 -E lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0 -d "$tree" \
        "$IMAGES/new.raw" 6G >&2
    umount "$tree" "$IMAGES/new.work"
    chmod 444 "$IMAGES/new.raw"
    sync "$IMAGES/new.raw" "$IMAGES/initrd" "$IMAGES/vmlinuz"
    mv "$IMAGES/new.raw" "$IMAGES/$2.raw"
    rm -rf "$IMAGES"/new.*
}

# A busybox that loads what it takes to mount the root file system: 2 s faster than initramfs-tools with udev in it.
make_initrd() {
    local root=$IMAGES/new.initrd kernel module file
    mkdir -p "$root"/{bin,modules,node}
    cp "$(readlink -e "$CACHE/parts-$(modules_stamp)")/busybox" "$root/bin/"
    install -m 755 "$HERE/vmlib/initrd-init" "$root/init"
    kernel=$(basename "$1"/lib/modules/*)
    for module in "${INITRD_MODULES[@]}"; do
        modprobe -d "$1" -S "$kernel" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
        cp "$file" "$root/modules/"
        echo "${file##*/}" >>"$root/modules/order"
    done
    (cd "$root" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -6) >"$2.new"
    mv "$2.new" "$2"
}

# Removes images of other recipes that no lab uses and none was started on for a day.
prune_images() {
    local other lock
    for other in "$CACHE"/vm-????????????????; do
        [[ $other != "$IMAGES" && -d $other ]] || continue
        [[ -z $(find "$other" -maxdepth 1 -name lock -mmin -1440) ]] || continue
        exec {lock}>>"$other/lock" || continue
        ! flock -n "$lock" || rm -rf --one-file-system "$other"
        exec {lock}>&-
    done
}

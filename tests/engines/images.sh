# The images of the tests, for docker.sh and podman.sh, which read this file.

image=localhost/trainhook-test:1
bare_image=localhost/trainhook-bare:1

# busybox alone, as in an image of another C library; and busybox, python3 and the libraries that they and we need.
# The words are a client's command that imports an image from its standard input, up to the image's name.
make_images() {
    local root=$folder/rootfs
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,etc,proc,sys,tmp,usr/bin}
    chmod 1777 "$root/tmp"
    cp /bin/busybox "$root/bin/"
    for applet in sh cat cp date echo env head id ls mkdir mv rm setsid sleep tail test touch true wc; do
        ln -sf busybox "$root/bin/$applet"
    done
    echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
    tar -C "$root" -cf - . | "$@" "$bare_image" >/dev/null
    # Links are followed: what they lead to need not be there under its own name.
    python_files | tar --dereference --create --file - --files-from - 2>/dev/null | tar -C "$root" --extract --file -
    ln -sf "$(python3 -c 'import os, sys; print(os.path.realpath(sys.executable))')" "$root/usr/bin/python3"
    tar -C "$root" -cf - . | "$@" "$image" >/dev/null
    rm -rf "$root"
}

# The interpreter, its library without what no test needs, and all shared objects that these load.
python_files() {
    local interpreter library
    interpreter=$(python3 -c 'import os, sys; print(os.path.realpath(sys.executable))')
    library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
    {
        echo "$interpreter"
        find "$library" \( -name test -o -name tests -o -name __pycache__ -o -name site-packages -o -name dist-packages \
            -o -name idlelib -o -name ensurepip -o -name tkinter -o -name lib2to3 -o -name 'config-*' \) -prune \
            -o -type f -print
        { echo "$interpreter"; find "$library" -name '*.so'; ls /lib/*/libgcc_s.so.1 /lib/*/libm.so.6; } |
            xargs ldd 2>/dev/null | grep -o '/[^ ]* (' | cut -d' ' -f1
        ls /lib/*/libgcc_s.so.1 /lib/*/libm.so.6
    } | sort -u
}

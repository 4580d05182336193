# Runs after the packages of a distroless root are extracted; the .deb files are still in apt's cache. $1 is the root.
# Writes what dpkg and the maintainer scripts would have: the list of packages for scanners, the linker's cache, the CA bundle, users.
set -eu
root=$1
info=$root/var/lib/dpkg/info

: >"$root/var/lib/dpkg/status"
for deb in "$root"/var/cache/apt/archives/*.deb; do
    name=$(dpkg-deb -f "$deb" Package)
    case $(dpkg-deb -f "$deb" Multi-Arch) in
    same) file=$name:$(dpkg-deb -f "$deb" Architecture) ;;
    *) file=$name ;;
    esac
    dpkg-deb -f "$deb" | sed '1a Status: install ok installed' >>"$root/var/lib/dpkg/status"
    echo >>"$root/var/lib/dpkg/status"
    dpkg-deb --fsys-tarfile "$deb" | tar -t | sed -e 's,^\./,/,' -e 's,/$,,' -e 's,^$,/.,' >"$info/$file.list"
    dpkg-deb --ctrl-tarfile "$deb" | tar -xO ./md5sums >"$info/$file.md5sums" 2>/dev/null || rm -f "$info/$file.md5sums"
done

if [ -d "$root/usr/share/ca-certificates" ]; then
    mkdir -p "$root/etc/ssl/certs"
    find "$root/usr/share/ca-certificates" -name '*.crt' | LC_ALL=C sort | while read -r certificate; do
        cat "$certificate"
        echo
    done >"$root/etc/ssl/certs/ca-certificates.crt"
fi

cat >"$root/etc/passwd" <<'END'
root:x:0:0:root:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin
nonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin
END
cat >"$root/etc/group" <<'END'
root:x:0:
tty:x:5:
staff:x:50:
nobody:x:65534:
nonroot:x:65532:
END
[ -e "$root/etc/nsswitch.conf" ] || printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
mkdir -p "$root/home/nonroot" "$root/tmp" "$root/run"
chown 65532:65532 "$root/home/nonroot"
chmod 0700 "$root/home/nonroot"
chmod 1777 "$root/tmp"

# Documentation, translations and what only people at a terminal use.
rm -rf "$root/usr/share/man" "$root/usr/share/info" "$root/usr/share/lintian" "$root/usr/share/locale" "$root/usr/share/bug" "$root/usr/share/pixmaps" \
    "$root/usr/share/applications" "$root/usr/share/doc-base" "$root/usr/share/bash-completion"
# Character sets beyond Unicode and Western European.
find "$root/usr/lib" -path "*/gconv/*.so" ! -name "UTF-*" ! -name "UNICODE.so" ! -name "ISO8859-1.so" ! -name "ISO8859-15.so" -delete
find "$root/usr/share/doc" ! -type d ! -name copyright -delete 2>/dev/null || true
find "$root/usr/share/doc" -depth -type d -empty -delete 2>/dev/null || true
rm -f "$root/etc/hostname" "$root/etc/resolv.conf"

# Python starts two to three times as fast with compiled modules; hashes that are not checked do not depend on times.
for python in "$root"/usr/bin/python3.[0-9]*; do
    [ -x "$python" ] || continue
    version=${python##*/}
    lib=$root/usr/lib/$version
    rm -rf "$lib/test" "$lib/idlelib" "$lib/turtledemo" "$lib/tkinter" "$lib/ensurepip" "$lib/lib2to3" "$lib/pydoc_data"
    chroot "$root" "/usr/bin/$version" -m compileall -q -j 1 --invalidation-mode unchecked-hash "/usr/lib/$version" /usr/lib/python3/dist-packages 2>/dev/null || true
    [ -e "$root/usr/bin/python3" ] || ln -s "$version" "$root/usr/bin/python3"
done

ldconfig -r "$root"
rm -rf "$root/var/cache/ldconfig" "$root/var/cache/apt/archives"/*.deb "$root/etc/apt" "$root/var/lib/apt" "$root/var/cache/apt" "$root/var/log"/*
rm -rf "$root/etc/dpkg" "$root/var/lib/dpkg/updates" "$root/var/lib/dpkg/triggers" "$root/var/lib/dpkg/alternatives" "$root/var/lib/dpkg/lock" "$root/var/lib/dpkg/lock-frontend"

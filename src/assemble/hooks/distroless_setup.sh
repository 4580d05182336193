# Runs before anything is extracted into a distroless root. $1 is the root.
set -eu
root=$1

# Packages are extracted, not installed, so the merged /usr is made by hand.
mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/var/lib/dpkg/info"
for dir in bin sbin lib; do
    [ -e "$root/$dir" ] || ln -s "usr/$dir" "$root/$dir"
done
case $(dpkg --print-architecture) in
amd64) mkdir -p "$root/usr/lib64" && { [ -e "$root/lib64" ] || ln -s usr/lib64 "$root/lib64"; } ;;
esac

# For apt, what a running program does not need is there already: shells, package managers and tools for maintainers.
architecture=$(dpkg --print-architecture)
for package in dpkg install-info debconf tar bash dash coreutils perl-base libc-bin debianutils sed grep passwd base-passwd login adduser openssl \
    ucf sensible-utils mawk diffutils findutils gzip hostname init-system-helpers; do
    case " ${MICA_INCLUDE:-} " in *" $package "*) continue ;; esac
    printf 'Package: %s\nStatus: install ok installed\nArchitecture: %s\nMulti-Arch: foreign\nVersion: 9999\nMaintainer: none\nDescription: left out\n' \
        "$package" "$architecture"
    [ "$package" != mawk ] || echo 'Provides: awk'
    [ "$package" != debconf ] || echo 'Provides: debconf-2.0'
    echo
done >"$root/var/lib/dpkg/status"

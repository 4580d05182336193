# Runs before anything is extracted into a distroless root. $1 is the root.
set -eu
root=$1

mkdir -p "$root/var/lib/dpkg/info"

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

# Runs before anything is extracted. $1 is the root. Makes the merged /usr by hand, as debootstrap does: then no package has to convert it.
set -eu
root=$1
case $(dpkg --print-architecture) in
amd64) extra=lib64 ;;
*) extra= ;;
esac
for dir in bin sbin lib $extra; do
    mkdir -p "$root/usr/$dir"
    [ -e "$root/$dir" ] || ln -s "usr/$dir" "$root/$dir"
done
# apt must not choose the package that converts (and brings Perl along) where it has the choice.
mkdir -p "$root/etc/apt/preferences.d"
printf 'Package: usrmerge\nPin: release *\nPin-Priority: -1\n' >"$root/etc/apt/preferences.d/usrmerge"

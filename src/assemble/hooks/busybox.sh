# Runs after busybox-static is extracted. $1 is the root. Keeps one program with a name for each of its applets.
set -eu
root=$1
binary=$root/bin/busybox
[ -f "$binary" ] || binary=$root/usr/bin/busybox
mkdir -p "$root/.new/bin"
cp -p "$binary" "$root/.new/bin/busybox"
for dir in "$root"/* ; do
    case ${dir##*/} in
    proc | sys | dev) ;;
    *) rm -rf "$dir" ;;
    esac
done
mkdir -p "$root/bin" "$root/etc" "$root/home" "$root/root" "$root/tmp" "$root/usr/bin" "$root/usr/sbin" "$root/var/spool/mail" "$root/var/www" "$root/sbin"
mv "$root/.new/bin/busybox" "$root/bin/busybox"
rm -rf "$root/.new"
"$root/bin/busybox" --list | while read -r applet; do
    [ "$applet" = busybox ] || ln "$root/bin/busybox" "$root/bin/$applet"
done
ln -s ../../bin/env "$root/usr/bin/env"
chmod 0700 "$root/root"
chmod 1777 "$root/tmp"
cat >"$root/etc/passwd" <<'END'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
END
cat >"$root/etc/group" <<'END'
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
mail:x:8:
www-data:x:33:
users:x:100:
nogroup:x:65534:
END
printf 'root::::::::\n' >"$root/etc/shadow"
chmod 0600 "$root/etc/shadow"

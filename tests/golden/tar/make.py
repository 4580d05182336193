#!/usr/bin/env python3
"""Writes the golden archives beside this file: one small tree as GNU tar, bsdtar and Python's tarfile pack it, in every format that each can write.

All of them must read as expected.txt says (expected-xattr*.txt for those that carry extended attributes). Run as root on a file system with user
extended attributes; the archives are committed, so that the tests need none of these tools.
"""
import os
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MTIME = 1700000000
LONG = "long/" + "n" * 110
DEEP = "deep/" + "d" * 80 + "/" + "e" * 60
NAMES = ["deep", "deep/" + "d" * 80, DEEP, "dev", "etc", "etc/a", "etc/b", "fifo", "link", "long", LONG, "owned", "xlink", "\u00fcml"]


def build(root):
    os.chdir(root)
    for d in ("deep", "deep/" + "d" * 80, "etc", "long"):
        os.mkdir(d, 0o755)
    for name, content in (("etc/a", "hello\n"), (LONG, "x"), (DEEP, ""), ("owned", "mine"), ("\u00fcml", "umlaut")):
        with open(name, "w") as f:
            f.write(content)
        os.chmod(name, 0o644)
    os.link("etc/a", "etc/b")
    os.symlink("../etc/a", "link")
    os.symlink("t" * 130, "xlink")
    os.mkfifo("fifo", 0o600)
    os.mknod("dev", 0o20640, os.makedev(5, 300))
    os.chown("owned", 70000, 2097151)
    os.chmod("owned", 0o4711)
    os.setxattr("etc/a", "user.note", b"one\0two=\n")
    os.setxattr("etc/a", "user.empty", b"")
    for name in NAMES:
        os.utime(name, (MTIME, MTIME), follow_symlinks=False)


def archive(name):
    return os.path.join(HERE, name + ".tar")


def expected(xattrs):
    """`xattrs`: the kinds of member that show them; bsdtar repeats them at hard links."""
    lines = []
    for name in NAMES:
        s = os.lstat(name)
        kind = {0o040000: "d", 0o100000: "f", 0o120000: "l", 0o010000: "p", 0o020000: "c"}[s.st_mode & 0o170000]
        link, size, content = "", 0, ""
        if name == "etc/b":
            kind, link = "h", "etc/a"
        elif kind == "l":
            link = os.readlink(name)
        elif kind == "f":
            size = s.st_size
            content = " [%s]" % open(name).read() if size else ""
        line = "%s %04o %d:%d %d %d '%s'" % (kind, s.st_mode & 0o7777, s.st_uid, s.st_gid, size, MTIME, name)
        if link:
            line += " -> '%s'" % link
        if kind == "c":
            line += " 5,300"
        if kind in xattrs:
            for x in sorted(os.listxattr(name)):
                value = os.getxattr(name, x)
                line += " %s=%s" % (x, "".join("\\x%02x" % c if c < 32 else chr(c) for c in value))
        lines.append(line + content)
    return "\n".join(lines) + "\n"


def main():
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as root:
        build(root)
        for name, xattrs in (("expected.txt", ""), ("expected-xattr.txt", "f"), ("expected-xattr-links.txt", "fh")):
            with open(os.path.join(HERE, name), "w") as f:
                f.write(expected(xattrs))
        for fmt in ("gnu", "oldgnu", "posix"):
            subprocess.run(["tar", "-b1", "-H", fmt, "--numeric-owner", "--no-recursion", "-cf", archive("gnutar-" + fmt)] + NAMES, check=True)
        subprocess.run(["tar", "-b1", "-H", "posix", "--xattrs", "--numeric-owner", "--no-recursion", "-cf", archive("gnutar-posix-xattr")] + NAMES, check=True)
        for fmt in ("gnutar", "pax"):
            subprocess.run(["bsdtar", "-b1", "--format", fmt, "--no-xattrs", "--numeric-owner", "-n", "-cf", archive("bsdtar-" + fmt)] + NAMES, check=True)
        subprocess.run(["bsdtar", "-b1", "--format", "pax", "--xattrs", "--numeric-owner", "-n", "-cf", archive("bsdtar-pax-xattr")] + NAMES, check=True)
        for fmt, number in (("gnu", tarfile.GNU_FORMAT), ("pax", tarfile.PAX_FORMAT)):
            with tarfile.open(archive("python-" + fmt), "w", format=number) as t:
                for name in NAMES:
                    info = t.gettarinfo(name)
                    info.uname = info.gname = ""
                    info.mtime = MTIME
                    t.addfile(info, open(name, "rb") if info.isreg() else None)


if __name__ == "__main__":
    main()

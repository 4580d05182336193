"""Programs of another architecture, really run: qemu behind a binfmt_misc of the test's own (a user namespace has one from Linux 6.7 on), so nothing changes here."""
import os
import struct
import subprocess
import sys

import pytest

from conftest import require_tool

MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"

# Forks; the child becomes root of a user namespace in which every file keeps its owner, with mounts and processes of its own, and a binfmt_misc.
INSIDE = r"""
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def check(result, what):
    if result:
        print("SKIP", what, os.strerror(ctypes.get_errno()))
        sys.stdout.flush()
        os._exit(77)
ready, go = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    check(libc.unshare(0x10000000 | 0x20000 | 0x20000000), "user namespaces:")
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    inner = os.fork()
    if inner == 0:
        check(libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None), "mounts:")
        check(libc.mount(b"proc", b"/proc", b"proc", 0, None), "/proc:")
        check(libc.mount(b"binfmt", b"/proc/sys/fs/binfmt_misc", b"binfmt_misc", 0, None), "binfmt_misc in a user namespace:")
        os.execvp("sh", ["sh", "-c", sys.argv[1]])
    os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]))
os.close(ready[1])
if os.read(ready[0], 1):
    for name in ("uid_map", "gid_map"):
        open(f"/proc/{pid}/{name}", "w").write("0 0 65536")
    os.write(go[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def arm64_program(text):
    """An ELF that writes `text` to /out and to standard output, and ends."""
    def mov(register, value):
        return struct.pack("<I", 0xD2800000 | value << 5 | register)

    def adr(register, at, target):
        offset = target - at
        return struct.pack("<I", 0x10000000 | (offset & 3) << 29 | (offset >> 2) << 5 | register)

    svc, code_size, base = struct.pack("<I", 0xD4000001), 22 * 4, 0x400078
    path, out = code_size, code_size + 8
    code = struct.pack("<I", 0x92800C60) + adr(1, 4, path) + mov(2, 0x41) + mov(3, 0o644) + mov(8, 56) + svc  # openat(AT_FDCWD, "/out", O_WRONLY|O_CREAT)
    code += adr(1, len(code), out) + mov(2, len(text)) + mov(8, 64) + svc  # write
    code += mov(0, 1) + adr(1, len(code) + 4, out) + mov(2, len(text)) + mov(8, 64) + svc
    code += mov(0, 0) + mov(8, 93) + svc  # exit
    code = code.ljust(code_size, b"\0") + b"/out\0\0\0\0" + text
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", 2, 0xB7, 1, base, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = 0x78 + len(code)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, size, size, 0x1000) + code


@pytest.fixture
def emulated(mica, context, root_only):
    """run(registration, command): mica's arguments behind a binfmt_misc with qemu for arm64 registered with these flags (None: not at all)."""
    qemu = require_tool("qemu-aarch64-static")
    if os.uname().machine == "aarch64":
        pytest.skip("programs of arm64 need no emulator here")
    top = context({"Dockerfile": 'FROM scratch\nCOPY --chmod=755 p /p\nRUN ["/p"]\nCMD ["/p"]\n', "p": arm64_program(b"arm64!\n")})

    def run(flags, *commands):
        steps = [f"cd {top}"]
        if flags is not None:
            steps.append(f"printf '%s' ':qemu-aarch64:M::{MAGIC}:{MASK}:{qemu}:{flags}' > /proc/sys/fs/binfmt_misc/register")
        steps += [f"{mica.path} {command}" for command in commands]
        done = subprocess.run([sys.executable, "-c", INSIDE, " && ".join(steps)], env=mica.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        if done.returncode == 77 or "SKIP" in done.stdout:
            pytest.skip("no binfmt_misc of our own: " + done.stdout)
        return done

    return run


def test_steps_and_containers_of_arm64_run(emulated, tmp_path):
    done = emulated("F", f"build --progress plain --platform linux/arm64 -t arm -o type=local,dest={tmp_path}/l -o type=image .", "run --network none arm",
                    "run --network none --platform linux/arm64 arm")
    assert done.returncode == 0, done
    assert (tmp_path / "l/out").read_text() == "arm64!\n" and done.stdout.endswith("arm64!\n" * 2)
    assert done.stderr.count("does not match the detected host platform") == 1


@pytest.mark.parametrize("flags, says", [(None, "no emulator is registered; install qemu-user-static"), ("", "is registered without the flag F (fix binary)"), ("C", "flag F")])
def test_what_is_missing_is_told_before_the_first_run(emulated, flags, says):
    done = emulated(flags, "build --progress plain --platform linux/arm64 .")
    assert done.returncode == 1 and "programs of linux/arm64 cannot run" in done.stderr and says in done.stderr, done
    assert ">>> RUN" in done.stderr and "[3/3]" not in done.stderr and "COPY" not in done.stderr.split("cannot run")[0]


def test_an_emulator_that_is_switched_off(emulated):
    done = emulated("F", "version >/dev/null && echo 0 > /proc/sys/fs/binfmt_misc/qemu-aarch64", "build --progress plain --platform linux/arm64 .")
    assert done.returncode == 1 and "the emulator 'qemu-aarch64' is switched off" in done.stderr

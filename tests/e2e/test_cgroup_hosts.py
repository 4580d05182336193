"""Hosts with cgroup v2 only and with v1 only, with real containers: in mount and cgroup namespaces of their own, /sys/fs/cgroup is what such a host has there.

What the kernel gives is real; only which hierarchies there are to see is arranged. On a machine whose controllers all belong to v1 the v2 host is one without
controllers: processes can be found, frozen and killed there, and asking for a limit is an error.
"""
import os
import shlex
import signal
import subprocess

import pytest

from conftest import Mica, import_busybox, require_root, require_tool, wait_for
from hosts import SETUP, is_v2

# crun 1.8 asks for unlimited locked memory before it loads the BPF program that guards devices on v2. Linux charges that to the cgroup since 5.11, so that the
# program is loaded without it as well; but asking needs CAP_SYS_RESOURCE, which root of a virtual machine or a container may lack. Then a refusal is no failure.
MEMLOCK = r"""
#include <sys/syscall.h>
#include <unistd.h>
int setrlimit64(int resource, const void *limit) { long r = syscall(SYS_prlimit64, 0, resource, limit, 0); return r < 0 && resource == 8 /* RLIMIT_MEMLOCK */ ? 0 : (int)r; }
int setrlimit(int resource, const void *limit) { return setrlimit64(resource, limit); }
"""


def lacks_resource_capability():
    effective = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("CapEff"))
    return not int(effective, 16) >> 24 & 1


@pytest.fixture(scope="session")
def memlock(tmp_path_factory):
    """What to preload for crun on v2, or nothing."""
    if not lacks_resource_capability():
        return ""
    top = tmp_path_factory.mktemp("memlock")
    (top / "memlock.c").write_text(MEMLOCK)
    subprocess.run([require_tool("gcc"), "-shared", "-fPIC", "-fno-builtin", "-o", top / "memlock.so", top / "memlock.c"], check=True)
    return str(top / "memlock.so")


@pytest.fixture(params=["v2", "v1"])
def host(request, tmp_path, mica_path, memlock):
    """A Mica on a host of that kind, and a function that runs a command there."""
    require_root()
    if request.param == "v1" and is_v2():
        pytest.skip("the controllers of this machine belong to v2")
    # A machine with v2 is such a host; below a cgroup with processes, which the top of a cgroup namespace is, there are no limits on memory
    arrange, namespaces = ("", ["--mount"]) if is_v2() else (f"umount -l /sys/fs/cgroup\n{SETUP[request.param]}\n", ["--mount", "--cgroup"])
    script = f"set -e\nmount --make-rprivate /\nmount -t tmpfs none /run\n{arrange}echo ready\nexec sleep 600\n"
    holder = subprocess.Popen([require_tool("unshare"), *namespaces, "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "ready\n", holder.stderr.read()
    enter = [require_tool("nsenter"), *namespaces, "--target", str(holder.pid), "--"]
    wrapper = tmp_path / "mica"
    wrapper.write_text(f"#!/bin/sh\nexec {shlex.join(enter)} {shlex.quote(mica_path)} \"$@\"\n")
    wrapper.chmod(0o755)
    (tmp_path / "home").mkdir()
    mica = Mica(wrapper, tmp_path / "store", tmp_path / "home")
    mica.kind = request.param
    if mica.kind == "v2" and memlock:
        mica.env["LD_PRELOAD"] = memlock
    mica.there = lambda *args: subprocess.run([*enter, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    yield mica
    mica.clean()
    holder.kill()
    holder.wait()


def cgroups(mica, container):
    return mica.there("find", "/sys/fs/cgroup", "-type", "d", "-name", f"mica-{container}").split()


@pytest.mark.parametrize("runtime", ["crun", "runc"])
def test_containers_live_and_go(host, busybox_tar, runtime, context):
    require_tool(runtime)
    mica = host
    mica.env["MICA_RUNTIME"] = runtime
    import_busybox(mica, busybox_tar)
    mica.fails(7, "run", "--rm", "--network", "none", "busybox", "sh", "-c", "exit 7")
    container = mica("run", "-d", "--name", "box", "--network", "none", "busybox", "sleep", "300").out.strip()
    mine = cgroups(mica, container)
    assert mine and all(path.startswith("/sys/fs/cgroup/") for path in mine)
    assert (mine == [f"/sys/fs/cgroup/mica/mica-{container}"]) == (mica.kind == "v2"), "systemd takes controllers away from what is directly below the top of v2"
    pid = mica.inspect("box")["State"]["Pid"]
    assert str(pid) in mica.there("cat", f"{mine[0]}/cgroup.procs").split()
    # The freezer, the list of processes, and one more process beside
    mica("pause", "box")
    assert mica.inspect("box")["State"]["Status"] == "paused"
    frozen = mica.there("sh", "-c", f"cat /sys/fs/cgroup/mica/mica-{container}/cgroup.events /sys/fs/cgroup/freezer/mica-{container}/freezer.state 2>/dev/null")
    assert "frozen 1" in frozen or "FROZEN" in frozen
    mica("unpause", "box")
    assert mica("exec", "box", "echo", "fine").out == "fine\n"
    assert "sleep 300" in mica("top", "box").out
    mica("rm", "-f", "box")
    assert cgroups(mica, container) == []
    # Builds, and what a killed monitor leaves
    mica("build", "-q", "-t", "made", context({"Dockerfile": "FROM busybox\nRUN echo built > /built\n"}))
    assert mica("run", "--rm", "--network", "none", "made", "cat", "/built").out == "built\n"
    lost = mica("run", "-d", "--name", "lost", "--network", "none", "busybox", "sleep", "300").out.strip()
    inner = mica.inspect("lost")["State"]["Pid"]
    monitor = int(next(line.split()[1] for line in open(f"/proc/{inner}/status") if line.startswith("PPid")))
    os.kill(monitor, signal.SIGKILL)
    assert wait_for(lambda: mica.inspect("lost")["State"]["Status"] == "exited")
    mica("rm", "lost")
    assert cgroups(mica, lost) == [], "a cgroup goes only when nobody is in it"
    assert " 0 problems" in mica("fsck").out


LIMITS = [  # option, controller, then file and value on v1 and on v2
    (["--memory", "64m"], "memory", "memory.limit_in_bytes", f"{64 << 20}", "memory.max", f"{64 << 20}"),
    (["--pids-limit", "50"], "pids", "pids.max", "50", "pids.max", "50"),
    (["--cpus", "0.5"], "cpu", "cpu.cfs_quota_us", "50000", "cpu.max", "50000 100000"),
]


def test_limits_are_the_kernels_or_refused(host, busybox_tar):
    """What the host has no controller for is an error that names it: a container that runs without its limit takes the machine with it."""
    mica = host
    import_busybox(mica, busybox_tar)
    known = mica.there("cat", "/sys/fs/cgroup/cgroup.controllers").split() if mica.kind == "v2" else os.listdir("/sys/fs/cgroup")
    for option, controller, *v1_and_v2 in LIMITS:
        if controller in known:
            file, value = v1_and_v2[2:] if mica.kind == "v2" else v1_and_v2[:2]
            container = mica("run", "-d", "--network", "none", *option, "busybox", "sleep", "300").out.strip()
            assert mica.there("cat", f"{'/sys/fs/cgroup/mica' if mica.kind == 'v2' else f'/sys/fs/cgroup/{controller}'}/mica-{container}/{file}") == f"{value}\n"
        else:
            container = mica("create", "--network", "none", *option, "busybox", "true").out.strip()
            assert mica.kind == "v2" and controller in mica.fails(1, "start", container).err
        mica("rm", "-f", container)
        assert cgroups(mica, container) == []
    if "memory" in known:
        killed = mica.run("run", "--network", "none", "--memory", "16m", "--name", "oom", "busybox", "sh", "-c", "x=$(cat /dev/zero | tr '\\0' x | head -c 60000000)")
        assert killed.code == 137 and mica.inspect("oom")["State"]["OOMKilled"]

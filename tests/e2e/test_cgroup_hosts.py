"""Hosts with cgroup v2 only and with v1 only, with real containers: in mount and cgroup namespaces of their own, /sys/fs/cgroup is what such a host has there.

What the kernel gives is real; only which hierarchies there are to see is arranged. On a machine whose controllers all belong to v1 the v2 host is one without
controllers: processes can be found, frozen and killed there, but not limited.
"""
import os
import shlex
import signal
import subprocess

import pytest

from conftest import Mica, import_busybox, require_root, require_tool
from test_run import wait_for

SETUP = {
    "v2": "mount -t cgroup2 none /sys/fs/cgroup",
    "v1": """mount -t tmpfs -o mode=755 none /sys/fs/cgroup
while read -r name number rest; do
  case "$name$number" in '#'*|*[a-z]0) continue;; esac
  mkdir "/sys/fs/cgroup/$name" && mount -t cgroup -o "$name" none "/sys/fs/cgroup/$name" || rmdir "/sys/fs/cgroup/$name"
done < /proc/cgroups""",
}


@pytest.fixture(params=["v2", "v1"])
def host(request, tmp_path, mica_path):
    """A Mica on a host of that kind, and a function that runs a command there."""
    require_root()
    script = f"set -e\nmount --make-rprivate /\nmount -t tmpfs none /run\numount -l /sys/fs/cgroup\n{SETUP[request.param]}\necho ready\nexec sleep 600\n"
    holder = subprocess.Popen([require_tool("unshare"), "--mount", "--cgroup", "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if holder.stdout.readline() != "ready\n":
        pytest.skip(f"a host with cgroup {request.param} cannot be made here: {holder.stderr.read().strip()}")
    enter = [require_tool("nsenter"), "--mount", "--cgroup", "--target", str(holder.pid), "--"]
    wrapper = tmp_path / "mica"
    wrapper.write_text(f"#!/bin/sh\nexec {shlex.join(enter)} {shlex.quote(mica_path)} \"$@\"\n")
    wrapper.chmod(0o755)
    (tmp_path / "home").mkdir()
    mica = Mica(wrapper, tmp_path / "store", tmp_path / "home")
    mica.kind = request.param
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
    first = mica.run("run", "--rm", "--network", "none", "busybox", "sh", "-c", "exit 7")
    if first.code != 7 and "RLIM_MEMLOCK" in first.err:
        pytest.skip("crun sets up devices with BPF here, which needs CAP_SYS_RESOURCE")
    assert first.code == 7, first
    container = mica("run", "-d", "--name", "box", "--network", "none", "busybox", "sleep", "300").out.strip()
    mine = cgroups(mica, container)
    assert mine and all(path.startswith("/sys/fs/cgroup/") for path in mine)
    assert (mine == [f"/sys/fs/cgroup/mica-{container}"]) == (mica.kind == "v2")
    pid = mica.inspect("box")["State"]["Pid"]
    assert str(pid) in mica.there("cat", f"{mine[0]}/cgroup.procs").split()
    # The freezer, the list of processes, and one more process beside
    mica("pause", "box")
    assert mica.inspect("box")["State"]["Status"] == "paused"
    frozen = mica.there("sh", "-c", f"cat /sys/fs/cgroup/mica-{container}/cgroup.events /sys/fs/cgroup/freezer/mica-{container}/freezer.state 2>/dev/null")
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


def test_limits_are_the_kernels_on_v1(host, busybox_tar):
    mica = host
    if mica.kind != "v1":
        pytest.skip("controllers belong to v1 on this machine")
    import_busybox(mica, busybox_tar)
    container = mica("run", "-d", "--network", "none", "--memory", "64m", "--pids-limit", "50", "--cpus", "0.5", "busybox", "sleep", "300").out.strip()
    assert mica.there("cat", f"/sys/fs/cgroup/memory/mica-{container}/memory.limit_in_bytes") == f"{64 << 20}\n"
    assert mica.there("cat", f"/sys/fs/cgroup/pids/mica-{container}/pids.max") == "50\n"
    assert mica.there("cat", f"/sys/fs/cgroup/cpu/mica-{container}/cpu.cfs_quota_us") == "50000\n"
    killed = mica.run("run", "--network", "none", "--memory", "16m", "--name", "oom", "busybox", "sh", "-c", "x=$(cat /dev/zero | tr '\\0' x | head -c 60000000)")
    assert killed.code == 137 and mica.inspect("oom")["State"]["OOMKilled"]

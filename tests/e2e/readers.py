"""docker and podman as readers of what mica writes, without installing them and without changing anything of this machine.

Debian's packages are downloaded once and unpacked below the build directory. The programs run in mount, process and cgroup namespaces of their own: what they
write to /etc, /run and /var goes with these, their images are in pytest's directory, their cgroups below one that is removed. When the process that holds the
namespaces ends, every process in them does, and it ends with the tests.
"""
import glob
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from hosts import SETUP, hierarchies, is_v2

PACKAGES = ("docker.io", "containerd", "podman", "conmon")
# What may be written there is seen only inside.
SCRIPT = """set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 none /run
for d in etc var/lib var/cache; do
  mkdir -p /run/over/$d/up /run/over/$d/work
  mount -t overlay overlay -o "lowerdir=/$d,upperdir=/run/over/$d/up,workdir=/run/over/$d/work" /$d
done
umount -l /sys/fs/cgroup
%s
mkdir -p /etc/containers
echo '{"default": [{"type": "insecureAcceptAnything"}]}' > /etc/containers/policy.json
echo 'unqualified-search-registries = []' > /etc/containers/registries.conf
cat > /etc/containers/storage.conf <<X
[storage]
driver = "vfs"
graphroot = "%s/podman"
runroot = "/run/podman-storage"
X
cat > /etc/containers/containers.conf <<X
[containers]
netns = "none"
pids_limit = 0
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
runtime = "runc"
conmon_path = ["%s"]
X
echo ready
trap '' CHLD
exec sleep infinity
"""


def download(where):
    """The packages as Debian's archive has them, into a directory. Lists of our own when those of the machine are missing or too old."""
    def apt(*words):
        return subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "-o", "APT::Update::Error-Mode=any", "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=30", *words],
                              cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    own = ["-o", f"Dir::State::lists={where}/lists", "-o", f"Dir::Cache={where}/cache"]
    if apt("download", *PACKAGES).returncode == 0:
        return
    updated = apt(*own, "update")
    if updated.returncode:
        pytest.skip(f"the archive of Debian cannot be reached for {' '.join(PACKAGES)}: {updated.stdout.strip().splitlines()[-1]}")
    done = apt(*own, "download", *PACKAGES)
    assert done.returncode == 0, done.stdout


def programs(where):
    """The root of the unpacked packages."""
    root = where / "root"
    if not root.exists():
        shutil.rmtree(where, ignore_errors=True)
        (where / "lists/partial").mkdir(parents=True)
        (where / "cache/archives/partial").mkdir(parents=True)
        download(where)
        for package in where.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, where / "unpacking"], check=True)
            package.unlink()
        (where / "unpacking").rename(root)
    return root


def remove_cgroups(path, seconds):
    deadline = time.monotonic() + seconds
    for directory, _, _ in os.walk(path, topdown=False):
        while True:
            try:
                os.rmdir(directory)
                break
            except OSError:
                assert time.monotonic() < deadline, f"{directory} is still in use"
                time.sleep(0.02)


class Readers:
    """Namespaces in which docker and podman can be run: start(), then docker(…) and podman(…) at any time; close()."""

    def __init__(self, top, cache):
        self.top, self.root = Path(top), programs(Path(cache))
        self.socket, self.daemon = self.top / "docker.sock", None
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "CONTAINER", "XDG_"))}, "HOME": str(self.top),
                    "PATH": f"{self.root}/usr/bin:{self.root}/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        self.holder, self.cgroups, self.entered, self.inside = None, [], [], []

    def start(self):
        for hierarchy in hierarchies():
            for left in glob.glob(f"{hierarchy}/mica-readers-*"):  # of tests that were killed
                if not os.path.exists(f"/proc/{left.split('-')[-1]}"):
                    remove_cgroups(left, seconds=1)
            path = f"{hierarchy}/mica-readers-{os.getpid()}"
            os.mkdir(path)
            self.cgroups.append(path)
            for file in ("cpuset.cpus", "cpuset.mems"):  # of v1: nobody may enter where there are none
                if os.path.exists(f"{path}/{file}") and not os.path.exists(f"{path}/cgroup.controllers"):
                    Path(path, file).write_text(Path(path, "..", file).read_text())
        self.entered = self.cgroups
        kind = "v2" if is_v2() else "v1"
        self.holder = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--cgroup", "--fork", "--kill-child", "sh", "-c", SCRIPT % (SETUP[kind], self.top, f"{self.root}/usr/bin/conmon")],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=self.enter_cgroups)
        assert self.holder.stdout.readline() == "ready\n", self.holder.stderr.read()
        inner = Path(f"/proc/{self.holder.pid}/task/{self.holder.pid}/children").read_text().split()[0]
        if kind == "v2":  # a cgroup with processes gives no controllers to those below it
            self.entered = [f"{self.cgroups[0]}/init"]
            os.mkdir(self.entered[0])
            for pid in (str(self.holder.pid), inner):
                Path(self.entered[0], "cgroup.procs").write_text(pid)
        self.inside = ["nsenter", "--mount", "--pid", "--cgroup", "--target", inner, "--"]

    def enter_cgroups(self):
        for path in self.entered:
            with open(f"{path}/cgroup.procs", "w") as file:
                file.write("0")

    def run(self, argv, timeout=120, **kwargs):
        return subprocess.run([str(word) for word in argv], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, **kwargs)

    def start_docker(self):
        log = self.top / "docker.log"
        argv = [*self.inside, "dockerd", "-H", f"unix://{self.socket}", "--data-root", self.top / "docker", "--exec-root", "/run/docker", "--pidfile", "/run/docker.pid",
                "--storage-driver", "vfs", "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]
        with open(log, "wb") as file:
            self.daemon = subprocess.Popen([str(word) for word in argv], env=self.env, cwd=self.top, stdin=subprocess.DEVNULL, stdout=file, stderr=file, preexec_fn=self.enter_cgroups)
        deadline = time.monotonic() + 60
        while self.docker("version").returncode:
            assert self.daemon.poll() is None and time.monotonic() < deadline, log.read_text()[-4000:]
            time.sleep(0.1)

    def docker(self, *args):
        """Debian's, with a daemon of its own; or the one of the machine that asks the daemon of DOCKER_HOST."""
        if os.environ.get("DOCKER_HOST"):
            return self.run([shutil.which("docker", path=os.environ["PATH"]), "-H", os.environ["DOCKER_HOST"], *args])
        if not self.daemon:
            self.start_docker()
        return self.run([f"{self.root}/usr/bin/docker", "-H", f"unix://{self.socket}", *args])

    def podman(self, *args):
        return self.run([*self.inside, "podman", *args], preexec_fn=self.enter_cgroups)

    def close(self):
        for process in filter(None, (self.holder, self.daemon)):
            if process is self.holder:
                process.kill()  # and with it every process in its namespaces
            process.wait()
        for name in ("docker", "podman"):
            shutil.rmtree(self.top / name, ignore_errors=True)
        for path in self.cgroups:
            remove_cgroups(path, seconds=10)

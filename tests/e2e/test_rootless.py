"""Without root: an ordinary user builds and runs in a user namespace, with ranges of /etc/subuid and without.

A user that no machine has, another one for each test run, in a mount namespace with an /etc/passwd, /etc/subuid and /etc/subgid of its own: nothing of this machine is changed.
"""
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from conftest import TIMEOUT, Mica, Result, import_busybox, require_root, require_tool

UID = 61000 + os.getpid() % 4000
FIRST = 100_000_000 + os.getpid() % 4000 * 65536  # of its range

ENTER = """
mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/group" /etc/group && mount --bind "$1/subid" /etc/subuid && mount --bind "$1/subid" /etc/subgid || exit 99
shift
exec setpriv --reuid %d --regid %d --clear-groups --inh-caps=-all "$@"
""" % (UID, UID)


class Rootless(Mica):
    """The binary as the user, with its default store in $XDG_DATA_HOME."""

    def __init__(self, path, top, ranges):
        self.top = Path(top)
        for name in ("home", "data", "run", "etc", "bin"):
            (self.top / name).mkdir()
        os.chmod(self.top, 0o755)
        super().__init__(path, self.top / "data" / "mica", self.top / "home")
        for name in ("mica", "mica-init"):  # the tree that it was built in may be root's alone
            for found in (Path(path).parent / name, Path(path).parents[1] / "runtime" / name):
                if found.exists():
                    shutil.copy(found, self.top / "bin" / name)
        for name, line in (("passwd", f"micatest:x:{UID}:{UID}::/nonexistent:/bin/sh\n"), ("group", f"micatest:x:{UID}:\n")):
            (self.top / "etc" / name).write_text(Path("/etc", name).read_text() + line)
        self.give_ranges(f"micatest:{FIRST}:65536\n" if ranges else "")
        for name in ("home", "data", "run"):
            os.chown(self.top / name, UID, UID)
            os.chmod(self.top / name, 0o700)
        self.path = str(self.top / "bin" / "mica")
        for name in ("MICA_ROOT", "MICA_STORE_DRIVER"):
            self.env.pop(name, None)
        self.env.update(XDG_DATA_HOME=str(self.top / "data"), XDG_RUNTIME_DIR=str(self.top / "run"))
        self.ranges = ranges

    def give_ranges(self, text):
        (self.top / "etc" / "subid").write_text(text)

    def argv(self, *args):
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh", str(self.top / "etc"), *map(str, args)]

    def run(self, *args, input=None, env=None, cwd=None, timeout=TIMEOUT):
        input = input.encode() if isinstance(input, str) else input or b""
        done = subprocess.run(self.argv(self.path, *args), input=input, env={**self.env, **(env or {})}, cwd=cwd or self.home, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout)
        return Result(args, done.returncode, done.stdout, done.stderr)

    def popen(self, *args, env=None, **kwargs):
        for name in ("stdout", "stderr"):
            kwargs.setdefault(name, subprocess.PIPE)
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.argv(self.path, *args), env={**self.env, **(env or {})}, cwd=self.home, **kwargs)

    def processes(self):
        """Of the user or of its ranges: [(pid, name)]."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and any(entry.stat().st_uid in r for r in (range(UID, UID + 1), range(FIRST, FIRST + 65536))):
                    found.append((int(entry.name), (entry / "comm").read_text().strip()))
            except OSError:
                pass
        return found

    def mounts(self):
        return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.top) in line]

    def context(self, files):
        top = Path(tempfile.mkdtemp(dir=self.home))
        for name, content in files.items():
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(content)
        for path in [top, *top.rglob("*")]:
            os.chown(path, UID, UID)
        return top


@pytest.fixture
def make_rootless(mica_path):
    require_root()
    require_tool("setpriv")
    made = []

    def make(ranges):
        if ranges:
            require_tool("newuidmap")
        made.append(Rootless(mica_path, tempfile.mkdtemp(prefix="mica-rootless-", dir="/var/tmp"), ranges))
        return made[-1]

    yield make
    for mica in made:
        mica.clean()
        for pid, _ in mica.processes():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(mica.top, ignore_errors=True)


@pytest.fixture(params=["single", "ranges"])
def user(make_rootless, busybox_tar, request):
    """A user with busybox:latest; with the one id that everybody has, and with a range."""
    mica = make_rootless(request.param == "ranges")
    import_busybox(mica, busybox_tar)
    return mica


@pytest.fixture
def single(make_rootless, busybox_tar):
    mica = make_rootless(False)
    import_busybox(mica, busybox_tar)
    return mica


@pytest.fixture
def ranges(make_rootless, busybox_tar):
    mica = make_rootless(True)
    import_busybox(mica, busybox_tar)
    return mica


def settled(user):
    """No process, no mount, nothing noted as running; the store is sound."""
    deadline = time.monotonic() + 10
    while user.processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert user.processes() == []
    assert user.mounts() == []
    for name in ("bundles", "once"):
        left = list((user.top / "run" / "mica" / name).glob("*"))
        assert left == [], left
    assert " 0 problems" in user("fsck").out


def test_foreground(user):
    """The first thing that everybody tries."""
    assert user("run", "--rm", "busybox", "sh", "-c", "id -u; cat /proc/1/uid_map").out.split()[:3] == ["0", "0", str(UID)]
    user.fails(7, "run", "--rm", "busybox", "sh", "-c", "exit 7")
    user.fails(127, "run", "--rm", "busybox", "/nothing")
    assert user("run", "--rm", "--network", "none", "busybox", "ip", "addr").out.count("inet ") == 1
    assert user("run", "--rm", "--init", "busybox", "cat", "/proc/1/comm").out == "init\n"
    settled(user)


def test_container_lives_on(user):
    """A container in the background is reached by later commands, each of which is a process of its own."""
    user("run", "-d", "--name", "one", "busybox", "sh", "-c", "trap 'echo bye; exit 3' TERM; echo hello; while :; do sleep 0.1; done")
    user("run", "-d", "--name", "other", "busybox", "sleep", "1000")
    for name in ("one", "other"):
        assert user("exec", name, "sh", "-c", "echo $$ > /root/f; id -u").out == "0\n"
    assert "hello" in user("logs", "one").out
    user("cp", "one:/root/f", "f")
    assert os.stat(user.home / "f").st_uid == UID, "what is copied out belongs to the user"
    user("cp", "f", "one:/tmp/g")
    assert user("exec", "one", "cat", "/tmp/g").out == (user.home / "f").read_text()
    assert "A /root/f" in user("diff", "one").lines
    user("commit", "one", "copy")
    assert user("run", "--rm", "copy", "cat", "/root/f").out == (user.home / "f").read_text()
    user("stop", "one")
    assert user.inspect("one")["State"]["ExitCode"] == 3
    assert "bye" in user("logs", "one").out
    user("start", "one")
    user("kill", "one")
    assert user.inspect("one")["State"]["ExitCode"] == 137
    user("rm", "one")
    user("rm", "-f", "other")
    settled(user)


def test_build(user):
    """RUN, COPY, cache mounts and what RUN removes."""
    context = user.context({
        "Dockerfile": """FROM busybox
WORKDIR /app
COPY . /app/
RUN --mount=type=cache,target=/c echo once >> /c/n && cp /c/n /app/n && rm -r /home && mkdir /home && touch /home/new && rm /app/gone
""", "gone": "1", "kept": "2"})
    user("build", "-t", "built", context)
    assert user("run", "--rm", "built", "sh", "-c", "ls /app /home; cat n").out.split() == ["/app:", "Dockerfile", "kept", "n", "/home:", "new", "once"]
    assert "CACHED" in user("build", "-t", "built", "--progress", "plain", context).err
    user("build", "-o", "out", context)
    assert {p.stat().st_uid for p in (user.home / "out").rglob("*") if not p.is_symlink()} == {UID}, "exported files belong to the user"
    user.fails(1, "build", "-t", "bad", user.context({"Dockerfile": "FROM busybox\nRUN exit 5\n"}))
    settled(user)


def test_stores_are_separate(user, mica, busybox_tar):
    """The user's images are not root's, nor the other way round."""
    assert str(user.top / "data" / "mica") in user("info").out
    assert user("images", "-q").out != "" and mica("images", "-q").out == ""
    assert (user.top / "data" / "mica").stat().st_uid == UID
    assert (user.top / "run" / "mica").stat().st_uid == UID


def test_interrupt(user):
    """Ctrl-C ends a container and a build, and leaves nothing."""
    run = user.popen("run", "--rm", "busybox", "sh", "-c", "trap 'exit 9' INT; echo ready; while :; do sleep 0.1; done")
    assert run.stdout.readline() == b"ready\n"
    run.send_signal(signal.SIGINT)
    assert run.wait(30) == 9
    build = user.popen("build", "--progress", "plain", user.context({"Dockerfile": "FROM busybox\nRUN echo waiting; sleep 1000\n"}))
    for line in build.stderr:
        if b"waiting" in line and b"sleep" not in line:
            break
    build.send_signal(signal.SIGINT)
    assert build.wait(30) != 0
    settled(user)


def test_killed(user):
    """kill -9 of a build takes its step along; the next command cleans up."""
    build = user.popen("build", "--progress", "plain", user.context({"Dockerfile": "FROM busybox\nRUN mkdir -m 0 /d && echo waiting; sleep 1000\n"}))
    for line in build.stderr:
        if b"waiting" in line and b"sleep" not in line:
            break
    build.kill()
    build.wait(30)
    user("build", "-t", "after", user.context({"Dockerfile": "FROM busybox\nRUN echo again\n"}))
    user("system", "prune", "-f")
    assert list((user.top / "data" / "mica" / "tmp").iterdir()) == [], "what the killed build wrote is removed"
    settled(user)


def test_monitor_killed(user):
    """kill -9 of a container's monitor: the container is ended and can be removed."""
    user("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    monitor = [pid for pid, name in user.processes() if name == "mica-monitor"]
    os.kill(monitor[0], signal.SIGKILL)
    time.sleep(0.2)
    assert "Exited (137)" in user("ps", "-a").out
    user("rm", "one")
    settled(user)

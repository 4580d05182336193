"""Without root: an ordinary user builds and runs in a user namespace, with ranges of /etc/subuid and without.

A user that no machine has, another one for each test run, in a mount namespace with an /etc/passwd, /etc/subuid and /etc/subgid of its own: nothing of this machine is changed.
"""
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

import pytest
from conftest import TIMEOUT, Mica, Result, import_busybox, require_root, require_tool, wait_for
from git_server import make_repository

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

    def popen_as(self, *args):
        """Another program as the user."""
        return subprocess.Popen(self.argv(require_tool(args[0]), *args[1:]), env=self.env, cwd=self.home, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

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
    failed = user.run("build", "-t", "bad", user.context({"Dockerfile": "FROM busybox\nRUN chown 5 /tmp && exit 5\n"}))
    assert failed.code == 1 and ("--add-subuids" in failed.err) == (not user.ranges), failed
    settled(user)


def test_stores_are_separate(single, mica, busybox_tar):
    """The user's images are not root's, nor the other way round."""
    info = single("info").out
    assert str(single.top / "data" / "mica") in info and " rootless\n  Ids: 1\n" in info
    assert "rootless" not in mica("info").out
    assert single("images", "-q").out != "" and mica("images", "-q").out == ""
    assert (single.top / "data" / "mica").stat().st_uid == UID
    assert (single.top / "run" / "mica").stat().st_uid == UID


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
    assert wait_for(lambda: "Exited (137)" in user("ps", "-a").out)
    user("rm", "one")
    settled(user)


# --- owners ---

OWNERS = """FROM busybox
COPY --chown=1000:50 file /app/file
COPY --chown=1000:50 file /app/appended
WORKDIR /app
COPY --chown=70000:70001 file /far/file
RUN echo more >> /app/appended && touch /app/new && chmod 600 /far/file
FROM busybox
COPY --from=0 /app /app
COPY --from=0 /far /far
"""


def owners(mica, image, tmp_path):
    """{path: (uid, gid)} of the image as it is saved: what other machines get."""
    found = {}
    mica("save", "-o", tmp_path / "saved.tar", image)
    with tarfile.open(tmp_path / "saved.tar") as archive:
        manifest = json.load(archive.extractfile("manifest.json"))[0]
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(name)) as layer:
                found.update({m.name: (m.uid, m.gid) for m in layer if m.name.startswith(("app/", "far"))})
    return found


def test_owners_are_those_of_root(user, tmp_path):
    """An image that a user builds has the same owners as root's, whatever ids the user has."""
    os.chmod(tmp_path, 0o777)
    context = user.context({"Dockerfile": OWNERS, "file": "x"})
    expected = {"app/file": (1000, 50), "app/appended": (1000, 50), "app/new": (0, 0), "far/file": (70000, 70001)}
    for target in ("0", "1"):
        user("build", "-t", "owned", "--target", target, context)
        found = owners(user, "owned", user.home)
        assert {path: found[path] for path in expected} == expected, target
    inside = user("run", "--rm", "owned", "stat", "-c", "%u:%g", "/app/file", "/far/file").lines
    assert inside == (["1000:50", "0:0"] if user.ranges else ["0:0", "0:0"])
    user("run", "-d", "--name", "owned", "owned", "sleep", "1000")
    assert set(user("exec", "owned", "find", "/app", "/far", "-user", "0").lines) >= {"/app/new"}
    user("exec", "owned", "sh", "-c", "echo more >> /app/file")
    user("commit", "owned", "committed")
    assert owners(user, "committed", user.home)["app/file"] == (1000, 50)
    user("rm", "-f", "owned")
    settled(user)


def test_users(user):
    """Another user than root: with a range there is one, without the message says how to get it."""
    if user.ranges:
        assert user("run", "--rm", "--user", "user", "busybox", "id").out == "uid=1000(user) gid=1000(user) groups=50(staff),1000(user)\n"
        user.fails(125, "run", "--rm", "--user", "70000", "busybox", "id")
        user("build", "-t", "own", user.context({"Dockerfile": "FROM busybox\nRUN chown 33:33 /tmp && touch /etc/x && chown 5:6 /etc/x\nUSER 1000\nRUN touch /tmp/mine\n"}))
        assert user("run", "--rm", "own", "stat", "-c", "%u:%g", "/tmp", "/etc/x", "/tmp/mine").lines == ["33:33", "5:6", "1000:1000"]
        user("run", "-d", "--name", "one", "--user", "1000", "busybox", "sleep", "1000")
        assert user("exec", "one", "id", "-u").out == "1000\n"
        assert "sleep 1000" in user("top", "one").out
        user("kill", "one")
        user("rm", "one")
    else:
        for command in (["run", "--rm", "--user", "user", "busybox", "id"], ["run", "--rm", "--user", "0:50", "busybox", "id"]):
            assert "--add-subuids" in user.fails(125, *command).err
        assert "--add-subuids" in user.fails(1, "build", user.context({"Dockerfile": "FROM busybox\nUSER 1000\nRUN true\n"})).err
        assert user("run", "--rm", "--group-add", "50", "busybox", "id", "-u").out == "0\n"
    settled(user)


def test_range_given_later(single):
    """A layer that was unpacked for one id is unpacked again when there are more."""
    require_tool("newuidmap")
    single("build", "-t", "owned", single.context({"Dockerfile": "FROM busybox\nCOPY --chown=1000:50 file /file\n", "file": "x"}))
    assert single("run", "--rm", "owned", "stat", "-c", "%u:%g", "/file").out == "0:0\n"
    settled(single)
    single.give_ranges(f"{UID}:{FIRST}:65536\n")
    assert single("run", "--rm", "owned", "stat", "-c", "%u:%g", "/file").out == "1000:50\n"
    settled(single)
    single.give_ranges("")
    assert single("run", "--rm", "owned", "stat", "-c", "%u:%g", "/file").out == "0:0\n"
    settled(single)


def test_volumes_and_mounts(user):
    """Volumes are filled with the image's owners; cache mounts, secrets and writable binds of a RUN work."""
    context = user.context({"Dockerfile": """FROM busybox
COPY --chown=1000:50 file /data/file
VOLUME /data
RUN --mount=type=cache,target=/c,uid=1000,gid=50,mode=0750 --mount=type=secret,id=s,uid=1000,required=true --mount=type=bind,target=/b,rw \
    --mount=type=tmpfs,target=/t cat /run/secrets/s && echo changed > /b/file && touch /c/x /t/x
""", "file": "x"})
    (user.home / "secret").write_text("hidden\n")
    user("build", "-t", "with", "--secret", f"id=s,src={user.home}/secret", context)
    assert (context / "file").read_text() == "x"
    user("run", "--rm", "-v", "vol:/data", "with", "sh", "-c", "echo y >> /data/file")
    assert user("run", "--rm", "-v", "vol:/v", "busybox", "cat", "/v/file").out == "xy\n"
    (user.home / "shared").mkdir()
    os.chown(user.home / "shared", UID, UID)
    user("run", "--rm", "-v", f"{user.home}/shared:/s", "busybox", "touch", "/s/made")
    assert (user.home / "shared" / "made").stat().st_uid == UID, "root of the container is the user outside"
    user.fails(1, "run", "--rm", "-v", "/etc:/s", "busybox", "touch", "/s/passwd-of-root")
    user("volume", "rm", "vol")
    settled(user)


def test_devices(single):
    """A device in a layer cannot be made: it is left out on disk, kept in the image, and what is /dev in a container is there."""
    archive = single.home / "nodes.tar"
    with tarfile.open(archive, "w") as tar:
        for name, kind in (("null", tarfile.CHRTYPE), ("pipe", tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.devmajor, info.devminor, info.mode = kind, 1, 3, 0o666
            tar.addfile(info)
    context = single.context({"Dockerfile": "FROM busybox\nADD nodes.tar /n/\nRUN test -p /n/pipe && test ! -e /n/null && echo > /dev/null\n"})
    shutil.copy(archive, context / "nodes.tar")
    single("build", "-t", "nodes", context)
    single("save", "-o", single.home / "saved.tar", "nodes")
    with tarfile.open(single.home / "saved.tar") as saved:
        names = [m.name for layer in json.load(saved.extractfile("manifest.json"))[0]["Layers"] for m in tarfile.open(fileobj=saved.extractfile(layer))]
    assert "n/null" in names and "n/pipe" in names


# --- what is missing ---

def test_limits_are_said_to_be_left_out(single):
    """Without a cgroup of one's own a limit on memory would be believed in and not hold."""
    result = single("run", "--rm", "-m", "64m", "--pids-limit", "10", "--ulimit", "nofile=1000000000:1000000000", "--oom-score-adj", "-900", "busybox", "echo", "ran")
    assert result.out == "ran\n"
    assert "left out" in result.err
    assert single("run", "--rm", "busybox", "true").err == ""
    single("run", "-d", "--name", "one", "busybox", "sleep", "1000")
    assert "freezer" in single.fails(1, "pause", "one").err
    single("rm", "-f", "one")


@pytest.fixture
def forbidding_namespace():
    """The start of a command line that runs the rest as root of a user namespace in which none can be made: the setting is one of each namespace."""
    holder = subprocess.Popen(["unshare", "--user", "sleep", "1000"])
    while os.stat(f"/proc/{holder.pid}/ns/user").st_ino == os.stat("/proc/self/ns/user").st_ino:
        time.sleep(0.01)
    for name in ("uid_map", "gid_map"):
        Path(f"/proc/{holder.pid}/{name}").write_text("0 0 200000\n")
    enter = ["nsenter", "--user", "--target", str(holder.pid)]
    subprocess.run([*enter, "sh", "-c", "echo 0 > /proc/sys/user/max_user_namespaces"], check=True)
    yield enter
    holder.kill()
    holder.wait()


def test_no_user_namespaces(make_rootless, busybox_tar, forbidding_namespace):
    """Where a system forbids user namespaces, the message names the setting, and what needs none goes on."""
    mica = make_rootless(False)
    argv = mica.argv
    mica.argv = lambda *args: [*forbidding_namespace, *argv(*args)]
    import_busybox(mica, busybox_tar)
    assert len(mica("images", "-q").lines) == 1
    for command in (["run", "--rm", "busybox", "true"], ["build", mica.context({"Dockerfile": "FROM busybox\n"})]):
        result = mica.run(*command)
        assert result.code in (1, 125) and "user.max_user_namespaces" in result.err, result
    assert " 0 problems" in mica("fsck").out
    mica("rmi", "busybox")


def test_mapper_fails(single):
    """A newuidmap that may not do its work is reported once, and the user's own id remains."""
    require_tool("newuidmap")
    single.give_ranges(f"micatest:{FIRST}:65536\n")
    (single.top / "bin" / "newuidmap").write_text("#!/bin/sh\necho 'newuidmap: no rights' >&2\nexit 1\n")
    os.chmod(single.top / "bin" / "newuidmap", 0o755)
    result = single("run", "--rm", "busybox", "cat", "/proc/self/uid_map", env={"PATH": f"{single.top}/bin:{os.environ['PATH']}"})
    assert result.out.split() == ["0", str(UID), "1"]
    assert "no rights" in result.err
    (single.top / "bin" / "newuidmap").unlink()
    (single.top / "bin" / "crun").symlink_to(require_tool("crun"))
    enter = single.argv
    single.argv = lambda *args: enter("env", f"PATH={single.top}/bin", *args)  # no newuidmap there: /etc/subuid alone is nothing to speak of
    assert single("run", "--rm", "busybox", "/bin/true").err == ""


def test_state_directory(single):
    """Without a run-time directory of one's own the state lies in /tmp; one that somebody else has put there is refused."""
    place = Path(f"/tmp/mica-{UID}")
    shutil.rmtree(place, ignore_errors=True)
    env = {"XDG_RUNTIME_DIR": "/run"}  # root's, as after su
    try:
        single("run", "-d", "--name", "one", "busybox", "sleep", "1000", env=env)
        assert place.stat().st_uid == UID and place.stat().st_mode & 0o777 == 0o700
        assert single("exec", "one", "id", "-u", env=env).out == "0\n"
        single("rm", "-f", "one", env=env)
        shutil.rmtree(place)
        place.mkdir(mode=0o777)
        assert str(place) in single.fails(125, "run", "--rm", "busybox", "true", env=env).err
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_side_by_side(single):
    """Commands that start at the same moment end up in one namespace, so that each container can be entered."""
    started = [single.popen("run", "-d", "--name", f"side{i}", "busybox", "sleep", "1000") for i in range(4)]
    for process in started:
        assert process.wait(60) == 0, process.stderr.read()
    for i in range(4):
        assert single("exec", f"side{i}", "hostname").code == 0
    single("rm", "-f", *(f"side{i}" for i in range(4)))
    settled(single)


def test_runc(ranges):
    """The other runtime."""
    env = {"MICA_RUNTIME": require_tool("runc")}
    assert ranges("run", "--rm", "busybox", "id", "-u", env=env).out == "0\n"
    ranges("run", "-d", "--name", "one", "busybox", "sleep", "1000", env=env)
    assert ranges("exec", "one", "id", "-u").out == "0\n"
    ranges("rm", "-f", "one")
    ranges("build", ranges.context({"Dockerfile": "FROM busybox\nRUN touch /x\n"}), env=env)
    settled(ranges)


def test_namespaces_of_the_host(single):
    """--pid host and --network host show the host's /proc and /sys, which a user namespace cannot mount."""
    assert single("run", "--rm", "--pid", "host", "busybox", "cat", "/proc/sys/kernel/random/boot_id").out == Path("/proc/sys/kernel/random/boot_id").read_text()
    assert single("run", "--rm", "--pid", "host", "busybox", "cat", "/proc/1/comm").out == Path("/proc/1/comm").read_text()
    assert "lo" in single("run", "--rm", "--network", "host", "busybox", "ls", "/sys/class/net").out.split()
    single.fails(1, "run", "--rm", "--privileged", "busybox", "sh", "-c", "echo 1 > /proc/sys/vm/drop_caches")


def test_terminal(user):
    """-it: a terminal of the container's own, whether there is a group for it or not."""
    import pty
    master, slave = pty.openpty()
    process = user.popen("run", "--rm", "-it", "busybox", "sh", "-c", "tty; exit 4", stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    shown = b""
    while True:
        try:
            data = os.read(master, 4096)
        except OSError:
            break
        if not data:
            break
        shown += data
    os.close(master)
    assert process.wait(30) == 4 and b"/dev/pts/0" in shown


def test_sources(single, site):
    """git as the source of a build, an agent for RUN: both look at whose files are whose."""
    make_repository(site.top, "app", {"Dockerfile": "FROM busybox\nCOPY . /src\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK\n"})
    agent = single.popen_as("ssh-agent", "-D", "-a", f"{single.home}/agent")
    for _ in range(500):
        if os.path.exists(f"{single.home}/agent"):
            break
        time.sleep(0.01)
    try:
        single("build", "-t", "git", "--ssh", f"default={single.home}/agent", f"{site.url}/app.git#main")
        assert single("run", "--rm", "git", "ls", "/src").out == "Dockerfile\n"
    finally:
        agent.kill()
        agent.wait()


def test_same_image_as_root(user, mica, busybox_tar):
    """With SOURCE_DATE_EPOCH the image has the same ID whoever builds it."""
    epoch = {"SOURCE_DATE_EPOCH": "1700000000"}
    context = user.context({"Dockerfile": OWNERS + "RUN rm -r /home && mkdir /home && mkfifo /app/pipe && ln /app/file /app/link\n", "file": "x"})
    for one in (user, mica):
        one("import", "-", "base", input=busybox_tar, env=epoch)
        one("tag", "base", "busybox")
        one("build", "-t", "same", "--provenance=false", context, env=epoch)
    assert user.image("same")["RootFS"] == mica.image("same")["RootFS"]
    assert user.image("same")["Id"] == mica.image("same")["Id"]

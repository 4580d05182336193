"""kill -9 of everything that mica starts, at moments that a user or the out-of-memory killer may pick: what is left is told truthfully and can be removed.

tests/fault kills at every single system call of the commands; here the processes are killed from outside.
"""
import os
import re
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from conftest import require_tool, wait_for
from test_containers import traces_of

LONG = str(10000000 + os.getpid())  # seconds that no other test sleeps

pytestmark = pytest.mark.usefixtures("root_only")


def children_of(pid):
    try:
        return [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]
    except OSError:
        return []


def descendants_of(pid):
    return [p for child in children_of(pid) for p in (child, *descendants_of(child))]


def processes_with(*words):
    """Processes that name one of these in their command line, their mounts or what they have open."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        try:
            text = open(f"/proc/{pid}/cmdline", "rb").read().replace(b"\0", b" ").decode("utf-8", "replace") + open(f"/proc/{pid}/mountinfo").read()
        except OSError:
            continue
        if any(str(word) in text for word in words):
            found.append((int(pid), text.splitlines()[0][:200] if text else ""))
    return found


def bundles_of(mica):
    found = []
    for name in os.listdir("/run/mica/bundles") if os.path.isdir("/run/mica/bundles") else []:
        try:
            if str(mica.root) in open(f"/run/mica/bundles/{name}/owner").read():
                found.append(name)
        except OSError:
            pass
    return found


def assert_nothing_left(mica, ids=(), words=()):
    """After a look (`ps`), a removal and a collection: no process, mount, cgroup, state or directory; and the store is sound."""
    mica("ps", "-a")
    left = mica("ps", "-aq").lines
    if left:
        mica("rm", "-f", *left)
    for name in os.listdir(mica.root / "containers"):  # a directory without a row: a collection waits a minute, since one is made before its row
        os.utime(mica.root / "containers" / name, (1, 1))
    mica("system", "prune", "-f")
    assert mica("ps", "-aq").out == "" and os.listdir(mica.root / "containers") == [] and os.listdir(mica.root / "tmp") == []
    assert wait_for(lambda: processes_with(mica.root, *words) == []), processes_with(mica.root, *words)
    assert bundles_of(mica) == [] and [trace for i in ids for trace in traces_of(i)] == []
    assert " 0 problems" in mica("fsck").out


def monitor_below(pid, seconds=5):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for child in children_of(pid):
            try:
                if open(f"/proc/{child}/comm").read() == "mica-monitor\n":
                    return child
            except OSError:
                pass
    return None


@pytest.mark.parametrize("delay", [0, 0.005, 0.012, 0.025])
def test_monitor_killed_while_it_starts(mica, busybox, delay):
    """Whoever waits for the start is told; the process that was half started does not go on."""
    ids = []
    for options in ([], ["--rm"], ["-t"]):
        job = mica.popen("run", "-d", "--network", "none", *options, busybox, "sleep", LONG)
        monitor = monitor_below(job.pid)
        time.sleep(delay)
        if monitor:
            try:
                os.kill(monitor, signal.SIGKILL)
            except ProcessLookupError:
                pass
        out, err = job.communicate(timeout=30)
        assert job.returncode in (0, 125), err
        assert job.returncode == 0 or b"the monitor of the container ended without a word" in err, err
        ids += os.listdir(mica.root / "containers")
        assert wait_for(lambda: mica("ps", "-q").out == "")
        assert len(mica("ps", "-aq").lines) <= (0 if "--rm" in options else 1)
        if mica("ps", "-aq").out:
            mica("rm", "-f", *mica("ps", "-aq").lines)
    assert_nothing_left(mica, ids, [f"sleep {LONG}"])


@pytest.mark.parametrize("delay", [0, 0.005, 0.01, 0.02])
def test_monitor_and_client_killed_during_removal(mica, busybox, delay):
    ids = [mica("run", "-d", "--network", "none", *options, busybox, "sleep", LONG).out.strip() for options in ([], ["--rm"], [], ["--rm"])]
    for number, container in enumerate(ids):
        monitor = int(re.search(r"PPid:\s*(\d+)", open(f"/proc/{mica.inspect(container)['State']['Pid']}/status").read())[1])
        job = mica.popen("rm", "-f", container)
        time.sleep(delay)
        for pid in [monitor] if number < 2 else [job.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        job.communicate(timeout=20)
    # What a killed `rm` had not come to is still there, and running: nobody else may end it.
    assert set(mica("ps", "-q", "--no-trunc").lines) <= set(ids[2:])
    assert_nothing_left(mica, ids, [f"sleep {LONG}"])


@pytest.mark.parametrize("options", [[], ["-t"], ["-d"], ["-i"]])
def test_client_killed_during_exec(mica, busybox, options):
    """The container lives on, and takes the next exec."""
    container = mica("run", "-d", "--network", "none", busybox, "sleep", LONG).out.strip()
    for delay in (0.005, 0.015, 0.03, 0.06):
        job = mica.popen("exec", *options, container, "sleep", LONG, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        job.kill()
        job.wait()
    assert mica("exec", container, "echo", "fine").out == "fine\n"
    assert_nothing_left(mica, [container], [f"sleep {LONG}"])


@pytest.mark.parametrize("how", [["create"], ["start"], ["rm", "-f"]])
def test_client_killed_during_create_start_and_rm(mica, busybox, how):
    ids = []
    for delay in (0, 0.004, 0.008, 0.015, 0.03):
        args = how + ["--network", "none", busybox, "sleep", LONG] if how == ["create"] else None
        if not args:
            ids.append(mica("create", "--network", "none", busybox, "sleep", LONG).out.strip())
            args = how + ids[-1:]
        job = mica.popen(*args)
        time.sleep(delay)
        job.kill()
        job.communicate(timeout=20)
    for container in mica("ps", "-aq", "--no-trunc").lines:
        state = mica.inspect(container)["State"]
        assert state["Status"] in ("created", "running", "exited")
        assert state["Running"] == os.path.exists(f"/proc/{state['Pid']}/ns") if state["Pid"] else not state["Running"]
    assert_nothing_left(mica, ids, [f"sleep {LONG}"])


def test_rm_force_of_what_is_just_being_started(mica, busybox):
    """It does not run yet when it is looked at, and then it does, for as long as it likes: the removal sees that and ends it."""
    ids = []
    for delay in (0, 0.003, 0.006, 0.01, 0.015, 0.02, 0.03):
        ids.append(mica("create", "--network", "none", busybox, "sleep", LONG).out.strip())
        job = mica.popen("start", ids[-1])
        time.sleep(delay)
        if delay > 0.01:
            job.kill()
        began = time.monotonic()
        mica("rm", "-f", ids[-1])
        assert time.monotonic() - began < 8
        job.communicate(timeout=20)
    assert_nothing_left(mica, ids, [f"sleep {LONG}"])


def test_what_a_killed_rm_has_left_goes_at_the_next_look(mica, busybox):
    """Not only a collection a minute later: the next `ps` or `rm`. A container that is just being made looks almost the same, and must stay."""
    directories = mica.root / "containers"

    def half_removed():
        """A container whose row is gone and whose files are not."""
        for _ in range(10):
            container = mica("run", "-d", "--network", "none", busybox, "sh", "-c", "mkdir /d; cd /d; i=0; while [ $i -lt 4000 ]; do : >$i; i=$((i+1)); done").out.strip()
            mica("wait", container)
            job = mica.popen("rm", container)
            while job.poll() is None and (directories / container).exists():
                pass
            job.kill()
            job.communicate(timeout=20)
            if list(directories.iterdir()):
                return
        pytest.fail("the removal was always faster")

    young = directories / ("0123456789abcdef" * 4)
    (mica.root / "containers").mkdir(exist_ok=True)
    for look in (["ps"], ["rm", "none"], ["container", "prune", "-f"]):
        half_removed()
        (young / "upper").mkdir(parents=True)
        mica.run(*look)
        assert list(directories.iterdir()) == [young], look
        assert mica("ps", "-aq").out == "" and young.exists()
        (young / "upper").rmdir(), young.rmdir()
    # Killed between the row and the first file: it has what only a container with a row has had.
    container = mica("run", "-d", "--network", "none", busybox, "true").out.strip()
    mica("wait", container)
    with sqlite3.connect(mica.root / "db.sqlite") as db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("DELETE FROM container")
    running = mica("run", "-d", "--network", "none", busybox, "sleep", LONG).out.strip()
    mica("ps")
    assert [p.name for p in directories.iterdir()] == [running]
    assert_nothing_left(mica, [running])


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_build_killed_while_git_fetches(mica, busybox, tmp_path, end):
    """The program in git's place leaves its session, as a transport or a helper of git's may."""
    git = tmp_path / "bin/git"
    git.parent.mkdir()
    git.write_text(f"#!/bin/sh\nsetsid sleep {LONG} &\nsleep {LONG}\n")
    git.chmod(0o755)
    job = mica.popen("build", "https://127.0.0.1:1/x.git", env={"PATH": f"{git.parent}:{os.environ['PATH']}"})
    assert wait_for(lambda: len(processes_with(f"sleep {LONG}")) >= 2)
    job.send_signal(end)
    job.communicate(timeout=20)
    # After Ctrl-C mica itself ends last.
    assert wait_for(lambda: processes_with(f"sleep {LONG}") == [], seconds=5) if end == signal.SIGKILL else processes_with(f"sleep {LONG}") == []
    assert_nothing_left(mica)


def test_build_killed_while_its_ssh_agent_holds_keys(mica, busybox, context, tmp_path):
    require_tool("ssh-agent")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    top = context({"Dockerfile": f"FROM busybox\nRUN --mount=type=ssh sleep {LONG}\n"})
    job = mica.popen("build", "--ssh", f"default={tmp_path}/key", top)
    assert wait_for(lambda: [p for p in processes_with(f"sleep {LONG}") if "build" not in p[1]])
    agents = [pid for pid in descendants_of(job.pid) if open(f"/proc/{pid}/comm").read() == "ssh-agent\n"]
    assert len(agents) == 1 and list(mica.root.glob("tmp/*/ssh*/agent"))
    job.kill()
    job.communicate(timeout=20)
    assert wait_for(lambda: not os.path.exists(f"/proc/{agents[0]}/ns") or open(f"/proc/{agents[0]}/stat").read().split()[2] == "Z", seconds=5)
    assert_nothing_left(mica, words=[f"sleep {LONG}"])
    assert not list(mica.root.rglob("agent"))


def test_state_of_the_runtime_that_nobody_owns_any_more_is_swept(mica, busybox):
    """What monitors killed in the middle of making or removing something leave below /run/mica: old, so that nobody is still at it."""
    mica("run", "-d", "--name", "kept", "--network", "none", busybox, "sleep", "300")
    kept = mica.inspect("kept")["Id"]
    made = {name: f"/run/mica/{name}-test{os.getpid()}" for name in ("bundles/ownerless", "bundles/young", "bundles/lost", "bundles/.gone", "tty", "tty-young")}
    made["tty"] = f"/run/mica/tty-test{os.getpid()}"
    for name, path in made.items():
        if name.startswith("tty"):
            open(path, "w").close()
        else:
            os.makedirs(path)
            open(f"{path}/config.json", "w").close()
    for name, owner in (("bundles/lost", mica.root / "containers/none"), ("bundles/young", mica.root)):
        with open(f"{made[name]}/owner", "w") as file:
            file.write(str(owner))
    for name in ("bundles/ownerless", "tty"):
        os.utime(made[name], (time.time() - 700, time.time() - 700))
    mica("container", "prune", "-f")
    left = {name for name, path in made.items() if os.path.exists(path)}
    for path in made.values():
        subprocess.run(["rm", "-rf", path], check=True)
    assert left == {"bundles/young", "tty-young"}
    assert mica("exec", "kept", "echo", "fine").out == "fine\n" and os.path.exists(f"/run/mica/bundles/{kept}/owner")


def test_a_container_is_not_swept_by_who_does_not_see_its_store(mica, busybox, make_mica):
    """A prune in another mount namespace, where the store's disk is not mounted, shares /run/mica with everybody."""
    mica("run", "-d", "--name", "kept", "--network", "none", busybox, "sleep", "300")
    other = make_mica()
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(mica.root), other.path, "container", "prune", "-f"]
    subprocess.run(hidden, env=other.env, check=True, stdout=subprocess.DEVNULL)
    assert mica("exec", "kept", "echo", "fine").out == "fine\n"
    shown = mica.inspect("kept")
    os.kill(int(re.search(r"PPid:\s*(\d+)", open(f"/proc/{shown['State']['Pid']}/status").read())[1]), signal.SIGKILL)
    assert wait_for(lambda: subprocess.run(hidden, env=other.env, check=True, stdout=subprocess.DEVNULL) and not os.path.exists(f"/run/mica/bundles/{shown['Id']}"))


def test_many_in_a_row_and_twenty_at_once_leave_nothing(mica, busybox):
    before = {name: set(os.listdir(name)) for name in ("/run/mica", "/dev/shm")}
    for _ in range(100 if os.environ.get("MICA_TEST_LONG") else 30):
        mica("run", "--rm", "--network", "none", busybox, "true")
    jobs = [mica.popen("run", "--network", "none", *(["--rm"] if i % 2 else []), busybox, "true") for i in range(20)]
    for job in jobs:
        _, err = job.communicate(timeout=60)
        assert job.returncode == 0, err
    assert len(mica("ps", "-aq").lines) == 10
    assert_nothing_left(mica)
    assert not [n for n in set(os.listdir("/run/mica")) - before["/run/mica"] if n.startswith("tty-")]
    assert not [n for n in set(os.listdir("/dev/shm")) - before["/dev/shm"] if "mica" in n]

"""Containers through the command line: what runs, as whom, with what limits, how it ends and what is left."""
import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import tarfile
import termios
import time

import pytest

from conftest import wait_for

pytestmark = pytest.mark.usefixtures("root_only")


def run(mica, *args, **kwargs):
    return mica("run", "--rm", "--network", "none", *args, **kwargs)


def state(mica, name):
    return mica.inspect(name)["State"]


@pytest.mark.both_drivers
@pytest.mark.both_runtimes
@pytest.mark.parametrize("command, code", [
    (["true"], 0), (["false"], 1), (["sh", "-c", "exit 42"], 42), (["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137), (["sh", "-c", "sh -c 'kill -TERM $$'; exit $?"], 143),
    (["no-such-program"], 127), (["/etc/passwd"], 126), (["/etc"], 126),
])
def test_exit_codes_are_dockers(mica, busybox, command, code):
    mica.fails(code, "run", "--rm", "--network", "none", busybox, *command)


def test_mistakes_of_the_caller_end_with_125(mica, busybox):
    mica.fails(125, "run", "--rm", "no-such-image:1", "true")
    mica.fails(125, "run", "--no-such-flag", busybox)
    mica.fails(125, "run", "--rm", "--memory", "much", busybox, "true")


@pytest.mark.both_drivers
@pytest.mark.both_runtimes
def test_standard_streams_are_separate_and_binary_safe(mica, busybox):
    data = bytes(range(256)) * 4096
    result = mica("run", "--rm", "-i", "--network", "none", busybox, "sh", "-c", "cat; echo problem >&2", input=data)
    assert result.raw_out == data
    assert result.err == "problem\n"


def test_environment_directory_user_and_names(mica, busybox, tmp_path):
    file = tmp_path / "env"
    file.write_text("# comment\nFROM_FILE=1\nTAKEN\n")
    out = run(mica, "-e", "A=1", "-e", "FROM_HOST", "--env-file", file, "-w", "/work/deep", "-u", "1000:50", "--hostname", "box", busybox, "sh", "-c",
              "echo $A $FROM_HOST $FROM_FILE $TAKEN; pwd; id -u; id -g; hostname; echo $HOME", env={"FROM_HOST": "host", "TAKEN": "yes"}).lines
    assert out[:5] == ["1 host 1 yes", "/work/deep", "1000", "50", "box"]


def test_user_of_the_image_is_honoured(mica, busybox, context):
    mica("build", "-q", "-t", "as-user", context({"Dockerfile": f"FROM {busybox}\nUSER user\nCMD id -un; id -gn\n"}))
    assert run(mica, "as-user").lines == ["user", "user"]
    assert run(mica, "-u", "root", "as-user", "id", "-u").out == "0\n"


def test_entrypoint_and_command_combine_as_in_docker(mica, busybox, context):
    mica("build", "-q", "-t", "ep", context({"Dockerfile": f'FROM {busybox}\nENTRYPOINT ["echo", "entry"]\nCMD ["default"]\n'}))
    assert run(mica, "ep").out == "entry default\n"
    assert run(mica, "ep", "given").out == "entry given\n"
    assert run(mica, "--entrypoint", "cat", "ep", "/etc/hostname").code == 0


@pytest.mark.both_drivers
@pytest.mark.both_runtimes
def test_what_is_written_lands_in_the_containers_own_layer(mica, busybox):
    mica("run", "--name", "writer", "--network", "none", busybox, "sh", "-c", "echo x > /etc/new; rm /etc/group; echo y >> /etc/passwd; mkdir -p /a/b")
    diff = mica("diff", "writer").lines
    assert {"A /a", "A /a/b", "A /etc/new", "C /etc", "C /etc/passwd", "D /etc/group"} <= set(diff)
    assert not [line for line in diff if "resolv" in line or "hosts" in line]
    assert "group" in run(mica, busybox, "ls", "/etc").out
    mica("rm", "writer")
    assert mica("fsck").code == 0


def test_an_image_without_mount_points_needs_none_in_the_layer(mica, context):
    """/proc, /etc/hosts and their like are below the image: nothing is made for them at a start, and what the container makes there is its own."""
    mica("build", "-t", "bare", context({"Dockerfile": "FROM scratch\nCOPY --chmod=755 busybox /busybox\nENTRYPOINT [\"/busybox\"]\n", "busybox": open("/bin/busybox", "rb").read()}))
    mica("run", "--name", "bare1", "--network", "none", "bare", "grep", "localhost", "/etc/hosts")
    upper = mica.inspect("bare1")["GraphDriver"]["Data"]["UpperDir"]
    assert os.listdir(upper) == [] and mica("diff", "bare1").out == ""
    mica("run", "--name", "bare2", "--network", "none", "bare", "sh", "-c", "echo x > /etc/own; /busybox rm -r /srv; echo y > /proc2")
    assert sorted(mica("diff", "bare2").lines) == ["A /etc", "A /etc/own", "A /proc2"]
    mica("commit", "bare2", "bare3")
    assert sorted(mica("run", "--rm", "--network", "none", "bare3", "ls", "/etc").out.split()) == ["hostname", "hosts", "own", "resolv.conf"]
    with tarfile.open(fileobj=io.BytesIO(mica("save", "bare3").raw_out)) as archive:
        layer = json.load(archive.extractfile("manifest.json"))[0]["Layers"][-1]
        with tarfile.open(fileobj=io.BytesIO(archive.extractfile(layer).read())) as tar:
            assert sorted(tar.getnames()) == ["etc", "etc/own", "proc2"]


def test_cidfile(mica, busybox, tmp_path):
    path = tmp_path / "cid"
    assert mica("run", "--cidfile", path, "--network", "none", busybox, "true").out == ""
    assert path.read_text() == mica("ps", "-aq", "--no-trunc").out.strip()
    assert "container ID file found" in mica.fails(125, "run", "--cidfile", path, "--network", "none", busybox, "true").err
    path.unlink()
    mica.fails(125, "run", "--cidfile", path, "--network", "none", "nosuch")
    assert not path.exists(), "there is no container"
    mica.fails(127, "run", "--cidfile", path, "--network", "none", busybox, "nosuch")
    assert path.read_text() in mica("ps", "-aq", "--no-trunc").out.split(), "it was made, and could not be started"
    assert len(mica("ps", "-aq").lines) == 2


def test_binds_volumes_and_tmpfs(mica, busybox, tmp_path):
    (tmp_path / "in").write_text("from the host\n")
    assert run(mica, "-v", f"{tmp_path}:/data:ro", busybox, "cat", "/data/in").out == "from the host\n"
    mica.fails(1, "run", "--rm", "--network", "none", "-v", f"{tmp_path}:/data:ro", busybox, "touch", "/data/no")
    run(mica, "-v", f"{tmp_path}:/data", busybox, "sh", "-c", "echo out > /data/out")
    assert (tmp_path / "out").read_text() == "out\n"
    run(mica, "-v", "kept:/v", busybox, "sh", "-c", "echo 1 > /v/file")
    assert run(mica, "-v", "kept:/v", busybox, "cat", "/v/file").out == "1\n"
    assert "kept" in mica("volume", "ls", "-q").out
    assert "tmpfs on /t " in run(mica, "--tmpfs", "/t:size=1m", busybox, "mount").out


def test_read_only_root(mica, busybox):
    mica.fails(1, "run", "--rm", "--network", "none", "--read-only", busybox, "touch", "/x")
    run(mica, "--read-only", "--tmpfs", "/tmp", busybox, "touch", "/tmp/x")


def test_capabilities_seccomp_and_masks_are_dockers(mica, busybox):
    status = run(mica, busybox, "cat", "/proc/self/status").out
    assert re.search(r"CapEff:\s*00000000a80425fb", status)
    assert re.search(r"Seccomp:\s*2", status)
    assert re.search(r"CapEff:\s*0000000000000000", run(mica, "--cap-drop", "ALL", busybox, "cat", "/proc/self/status").out)
    assert re.search(r"Seccomp:\s*0", run(mica, "--security-opt", "seccomp=unconfined", busybox, "cat", "/proc/self/status").out)
    assert re.search(r"NoNewPrivs:\s*1", run(mica, "--security-opt", "no-new-privileges", busybox, "cat", "/proc/self/status").out)
    assert run(mica, busybox, "sh", "-c", "cat /proc/kcore | wc -c; ls /proc/acpi /sys/firmware | wc -l").lines[0] == "0"
    assert mica.run("run", "--rm", "--network", "none", busybox, "mount", "-t", "tmpfs", "x", "/tmp").code != 0
    run(mica, "--cap-add", "SYS_ADMIN", busybox, "mount", "-t", "tmpfs", "x", "/tmp")


def test_limits_reach_the_process(mica, busybox):
    assert run(mica, "--ulimit", "nofile=100:200", busybox, "sh", "-c", "ulimit -Sn; ulimit -Hn").lines == ["100", "200"]
    assert run(mica, "--shm-size", "1m", busybox, "sh", "-c", "df -k /dev/shm | tail -1").out.split()[1] == "1024"
    mica.fails(137, "run", "--rm", "--network", "none", "--memory", "16m", "--memory-swap", "16m", busybox, "sh", "-c", "tail /dev/zero")


@pytest.mark.both_drivers
@pytest.mark.both_runtimes
def test_detached_life_cycle(mica, busybox):
    container = mica("run", "-d", "--name", "life", "--network", "none", busybox, "sh", "-c", "echo started; trap 'echo stopping; exit 5' TERM; while :; do sleep 0.05; done").out.strip()
    assert re.fullmatch(r"[0-9a-f]{64}", container)
    assert wait_for(lambda: mica("logs", "life").out == "started\n")
    row = mica("ps").lines[1]
    assert row.startswith(container[:12]) and "Up " in row and row.endswith("life")
    assert mica("exec", "life", "sh", "-c", "echo in; exit 0").out == "in\n"
    mica.fails(9, "exec", "life", "sh", "-c", "exit 9")
    assert mica("stop", "life").out == "life\n"
    assert mica("logs", "life").out == "started\nstopping\n"
    assert state(mica, "life")["ExitCode"] == 5 and state(mica, "life")["Status"] == "exited"
    assert "Exited (5)" in mica("ps", "-a").lines[1]
    assert mica("start", "life").out == "life\n"
    assert state(mica, "life")["Running"]
    mica("kill", "life")
    assert mica("wait", "life").out == "137\n"
    assert mica("rm", "life").out == "life\n"
    assert len(mica("ps", "-a").lines) == 1


def test_names_are_unique_and_found_by_prefix(mica, busybox):
    container = mica("create", "--name", "one", busybox, "true").out.strip()
    assert "already in use" in mica.fails(125, "run", "--name", "one", busybox, "true").err or True
    assert mica("inspect", "--format", "{{.Name}}", container[:8]).out == "/one\n"
    mica("rename", "one", "two")
    assert mica("ps", "-a", "--format", "{{.Names}}").out == "two\n"
    mica.fails(1, "rm", "nothing")


def test_logs_options(mica, busybox):
    mica("run", "--name", "logger", "--network", "none", busybox, "sh", "-c", "for i in 1 2 3 4 5; do echo line $i; done; echo bad >&2")
    assert mica("logs", "-n", "2", "logger").lines[-1] == "line 5" or mica("logs", "-n", "2", "logger").err == "bad\n"
    stamped = mica("logs", "-t", "logger").lines[0]
    assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z line 1", stamped)
    assert mica("logs", "--since", "1h", "logger").lines[:1] == ["line 1"]


def test_copy_in_and_out(mica, busybox, tmp_path):
    mica("create", "--name", "box", busybox, "cat", "/data/file")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/file").write_text("copied\n")
    mica("cp", tmp_path / "data", "box:/")
    assert mica("start", "-a", "box").out == "copied\n"
    mica("cp", "box:/etc/passwd", tmp_path / "passwd")
    assert (tmp_path / "passwd").read_text().startswith("root:")
    mica.fails(1, "cp", "box:/no/such", tmp_path / "x")


def test_commit_and_export(mica, busybox):
    mica("run", "--name", "done", "--network", "none", busybox, "sh", "-c", "echo new > /new")
    mica("commit", "-m", "message", "--change", 'CMD ["cat", "/new"]', "done", "committed:1")
    assert run(mica, "committed:1").out == "new\n"
    assert len(mica.image("committed:1")["RootFS"]["Layers"]) == 2
    names = subprocess.run(["tar", "t"], input=mica("export", "done").raw_out, stdout=subprocess.PIPE, check=True).stdout.decode().split()
    assert "new" in names and "etc/passwd" in names
    mica("export", "-o", "exported.tar", "done")
    assert (mica.home / "exported.tar").read_bytes() == mica("export", "done").raw_out
    assert [path.name for path in mica.home.glob("exported*")] == ["exported.tar"]


@pytest.mark.both_runtimes
def test_terminal(mica, busybox):
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
        os.execve(mica.path, [mica.path, "run", "--rm", "-it", "--network", "none", busybox, "sh", "-c", "test -t 0 && test -t 1 && stty size; read x; echo got $x; exit 6"],
                  {**mica.env, "TERM": "xterm"})
    out, sent = b"", False
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                data = os.read(fd, 4096)
            except OSError:
                break
            if not data:
                break
            out += data
        if not sent and re.search(rb"\d+ \d+\r\n", out):
            os.write(fd, b"word\n")
            sent = True
    assert b"33 99\r\n" in out and b"got word\r\n" in out
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 6
    os.close(fd)


def test_signals_are_passed_on(mica, busybox):
    process = mica.popen("run", "--rm", "--network", "none", busybox, "sh", "-c", "trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.05; done")
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=20)
    assert out == b"term\n" and process.returncode == 3


@pytest.mark.both_runtimes
def test_a_killed_monitor_is_found_and_cleaned_up(mica, busybox):
    mica("run", "-d", "--name", "lost", "--network", "none", busybox, "sleep", "300")
    inner = state(mica, "lost")["Pid"]
    parent = int(re.search(r"PPid:\s*(\d+)", open(f"/proc/{inner}/status").read())[1])
    assert b"mica" in open(f"/proc/{parent}/cmdline", "rb").read()
    os.kill(parent, signal.SIGKILL)
    assert wait_for(lambda: state(mica, "lost")["Status"] == "exited")
    assert state(mica, "lost")["ExitCode"] == 137
    assert wait_for(lambda: not os.path.exists(f"/proc/{inner}"))
    mica("rm", "lost")


def test_nothing_is_left_behind(mica, busybox):
    for _ in range(3):
        run(mica, busybox, "true")
    mounts = open("/proc/self/mountinfo").read()
    assert str(mica.root) not in mounts and "/run/mica" not in mounts  # other mounts of this machine come and go
    assert mica("ps", "-aq").out == ""
    assert os.listdir(mica.root / "containers") == []


def test_ten_at_once(mica, busybox):
    processes = [mica.popen("run", "--rm", "--network", "none", busybox, "echo", str(i)) for i in range(10)]
    assert sorted(int(p.communicate(timeout=60)[0]) for p in processes) == list(range(10))


def test_init_reaps_and_forwards(mica, busybox):
    assert run(mica, "--init", busybox, "sh", "-c", "echo $$; cat /proc/1/comm").lines[0] != "1"
    mica.fails(4, "run", "--rm", "--init", "--network", "none", busybox, "sh", "-c", "exit 4")


def test_ps_filters_and_formats(mica, busybox):
    mica("create", "--name", "alpha", "--label", "team=a", busybox, "true")
    mica.fails(1, "run", "--name", "beta", "--network", "none", busybox, "false")
    assert mica("ps", "-a", "--filter", "label=team=a", "--format", "{{.Names}}").out == "alpha\n"
    assert mica("ps", "-a", "--filter", "exited=1", "--format", "{{.Names}}").out == "beta\n"
    assert mica("ps", "-a", "--filter", "status=created", "-q", "--no-trunc").lines == [mica.inspect("alpha")["Id"]]
    assert mica("ps", "-a", "--filter", f"ancestor={busybox}", "-q").out.count("\n") == 2
    assert mica("container", "prune", "-f").out.startswith("Deleted Containers:")
    assert mica("ps", "-aq").out == ""

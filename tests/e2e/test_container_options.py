"""Every option of run and exec that the first part of running containers promises, and logs, ps, inspect, diff, stop, wait: tried, not parsed."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time

import pytest

from conftest import require_tool, wait_for
from test_run import run, state
from test_containers import traces_of

pytestmark = pytest.mark.usefixtures("root_only")

PROFILE = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}


class Terminal:
    """mica behind a pseudo terminal of its own."""

    def __init__(self, mica, *args, rows=24, columns=80):
        self.out = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execve(mica.path, [mica.path, *map(str, args)], {**mica.env, "TERM": "xterm"})

    def until(self, pattern, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not re.search(pattern, self.out):
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.out += os.read(self.fd, 65536)
                except OSError:
                    break
        assert re.search(pattern, self.out), self.out
        return self

    def type(self, data):
        os.write(self.fd, data)
        return self

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        return self

    def code(self, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.out += os.read(self.fd, 65536)
                except OSError:
                    pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        raise AssertionError(f"still running: {self.out}")


def start(mica, image, *options, name="box", command=("sleep", "300")):
    return mica("run", "-d", "--name", name, "--network", "none", *options, image, *command).out.strip()


# --- exec ---

@pytest.mark.both_runtimes
def test_exec_in_every_form(mica, busybox):
    start(mica, busybox, "-e", "BASE=1", "-u", "1000:50", "-w", "/tmp", "--cap-drop", "CHOWN")
    assert mica("exec", "box", "sh", "-c", "echo $BASE; pwd; id -u; id -g").lines == ["1", "/tmp", "1000", "50"]
    assert mica("exec", "-u", "0", "-w", "/etc", "-e", "MORE=2", "box", "sh", "-c", "echo $BASE$MORE; pwd; id -u").lines == ["12", "/etc", "0"]
    assert mica("exec", "-u", "user", "box", "id", "-un").out == "user\n"
    assert mica("exec", "-i", "box", "cat", input=b"\0binary\xff").raw_out == b"\0binary\xff"
    assert mica("exec", "box", "cat", input=b"not asked for").out == ""
    both = mica.fails(3, "exec", "box", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert both.out == "out\n" and both.err == "err\n"
    mica.fails(143, "exec", "box", "sh", "-c", "kill -TERM $$")
    caps = [re.search(r"CapBnd:\s*(\w+)", mica("exec", *options, "-u", "0", "box", "cat", "/proc/self/status").out)[1] for options in ([], ["--privileged"])]
    assert int(caps[0], 16) & 1 == 0 and int(caps[1], 16) & 1 == 1
    assert "Seccomp:\t2" in mica("exec", "box", "cat", "/proc/self/status").out
    for code, args in ((127, ["no-such"]), (126, ["/etc"]), (126, ["/etc/passwd"])):
        assert args[0] in mica.fails(code, "exec", "box", *args).err
    assert "/no/dir" in mica.fails(126, "exec", "-w", "/no/dir", "box", "true").err
    assert "nobody-here" in mica.fails(126, "exec", "-u", "nobody-here", "box", "true").err
    mica.fails(1, "exec", "nothing", "true")
    mica("exec", "-d", "-u", "0", "box", "sh", "-c", "sleep 0.2; touch /done")
    assert wait_for(lambda: mica.run("exec", "box", "test", "-e", "/done").code == 0)
    mica("pause", "box")
    assert "paused" in mica.fails(1, "exec", "box", "true").err
    mica("unpause", "box")
    mica("exec", "box", "true")
    mica("kill", "box")
    assert "is not running" in mica.fails(1, "exec", "box", "true").err


@pytest.mark.both_runtimes
def test_exec_with_a_terminal(mica, busybox):
    start(mica, busybox)
    shell = Terminal(mica, "exec", "-it", "box", "sh", "-c", "stty size; trap 'stty size' WINCH; echo ready; while ! read x; do :; done; echo got $x; sleep 300 & exit 5", rows=30, columns=90)
    shell.until(rb"ready").until(rb"30 90\r\n").resize(40, 100).until(rb"40 100").type(b"word\n").until(rb"got word")
    assert shell.code() == 5  # although what it started still has the terminal
    detached = Terminal(mica, "exec", "-it", "box", "sh", "-c", "echo re; sleep 1; touch /kept; sleep 100").until(rb"re\r\n").type(b"\x10\x11").until(rb"read escape sequence")
    assert detached.code() == 1
    assert wait_for(lambda: mica.run("exec", "box", "test", "-e", "/kept").code == 0)  # it goes on
    assert "not a TTY" in mica.fails(1, "exec", "-it", "box", "sh").err


# --- terminals, attach, detach ---

@pytest.mark.both_runtimes
def test_terminal_resizes_detaches_and_comes_back(mica, busybox):
    script = "stty size; trap 'stty size' WINCH; echo ready; while :; do read x && echo got $x; test \"$x\" = end && exit 9; done"
    first = Terminal(mica, "run", "-it", "--name", "tty", "--network", "none", busybox, "sh", "-c", script, rows=30, columns=90)
    first.until(rb"30 90\r\n(.|\s)*ready").resize(41, 101).until(rb"41 101").type(b"one\n").until(rb"got one").type(b"\x10\x11").until(rb"read escape sequence")
    assert first.code() == 0
    assert state(mica, "tty")["Running"]
    second = Terminal(mica, "attach", "--detach-keys", "ctrl-x,q", "tty")
    second.type(b"two\n").until(rb"got two").type(b"\x18q").until(rb"read escape sequence")
    assert second.code() == 1
    third = Terminal(mica, "attach", "tty").type(b"end\n").until(rb"got end")
    assert third.code() == 9
    assert "got one" in mica("logs", "tty").out
    again = Terminal(mica, "start", "-ai", "tty").until(rb"ready").type(b"end\n")
    assert again.code() == 9


def test_input_that_ends_and_attach_without_terminal(mica, busybox):
    assert mica("run", "--rm", "-i", "--network", "none", busybox, "wc", "-c", input=b"x" * 300000).out.strip() == "300000"
    start(mica, busybox, "-i", command=("sh", "-c", "while read x; do echo got $x; done; echo over; sleep 300"))
    result = mica.popen("attach", "box", stdin=subprocess.PIPE)
    result.stdin.write(b"a\n")
    result.stdin.flush()
    assert result.stdout.readline() == b"got a\n"
    result.send_signal(signal.SIGKILL)  # the client's business only
    result.communicate()
    assert state(mica, "box")["Running"]
    for stream in ("STDOUT", "STDERR"):
        out = mica("run", "--rm", "-a", stream, "--network", "none", busybox, "sh", "-c", "echo o; echo e >&2")
        assert (out.out, out.err) == (("o\n", "") if stream == "STDOUT" else ("", "e\n"))


# --- what a container may and sees ---

@pytest.mark.both_runtimes
def test_init_forwards_reaps_and_ends_with_the_childs_code(mica, busybox):
    assert run(mica, "--init", busybox, "cat", "/proc/1/comm").out == "init\n"
    start(mica, busybox, "--init", command=("sh", "-c", "trap 'exit 7' TERM; (sleep 0.01 &) ; echo up; while :; do sleep 0.05; done"))
    assert wait_for(lambda: mica("logs", "box").out == "up\n")
    assert wait_for(lambda: "Z" not in {line.split()[3] for line in mica("exec", "box", "ps", "-o", "pid,ppid,user,stat").lines[1:]})
    mica("stop", "box")
    assert mica("wait", "box").out == "7\n"


@pytest.mark.both_runtimes
def test_seccomp_profiles(mica, busybox, tmp_path):
    (tmp_path / "p.json").write_text(json.dumps(PROFILE))
    assert "No space left" in mica.fails(1, "run", "--rm", "--network", "none", "--security-opt", f"seccomp={tmp_path}/p.json", busybox, "mkdir", "/x").err
    unshare = ("unshare", "-U", "true")
    mica.fails(1, "run", "--rm", "--network", "none", busybox, *unshare)  # docker's default denies it, whatever the kernel allows
    run(mica, "--security-opt", "seccomp=unconfined", busybox, *unshare)
    status = run(mica, "--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined", "--cap-drop", "all", "--cap-add", "chown", busybox, "cat", "/proc/self/status").out
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t0" in status and "CapEff:\t0000000000000001" in status
    (tmp_path / "bad.json").write_text("{}")
    assert "bad.json" in mica.fails(125, "run", "--rm", "--network", "none", "--security-opt", f"seccomp={tmp_path}/bad.json", busybox, "true").err


def cgroup_value(mica, container, controller, v1, v2):
    for directory in traces_of(container):
        for name in ([v1] if f"/{controller}/" in directory else [v2]):
            if os.path.exists(f"{directory}/{name}"):
                return open(f"{directory}/{name}").read().strip()
    raise AssertionError(f"no {v1} or {v2} in the cgroups of the container: {traces_of(container)}")


@pytest.mark.both_runtimes
def test_limits_are_the_kernels(mica, busybox):
    container = start(mica, busybox, "--memory", "64m", "--memory-swap", "64m", "--cpus", "0.5", "--pids-limit", "7", "--cpu-shares", "512")
    assert cgroup_value(mica, container, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert cgroup_value(mica, container, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    assert cgroup_value(mica, container, "pids", "pids.max", "pids.max") == "7"
    assert "can't fork" in mica.run("exec", "box", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done").err
    start(mica, busybox, "--memory", "16m", "--memory-swap", "16m", name="oom", command=("tail", "/dev/zero"))
    assert mica("wait", "oom").out == "137\n"
    assert wait_for(lambda: state(mica, "oom")["OOMKilled"]) and state(mica, "oom")["ExitCode"] == 137
    limits = run(mica, "--ulimit", "nofile=77:88", "--ulimit", "core=0", busybox, "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c").lines
    assert limits == ["77", "88", "0"]


@pytest.mark.both_drivers
@pytest.mark.both_runtimes
def test_volumes_of_every_kind(mica, busybox, tmp_path):
    assert "passwd" in run(mica, "-v", "full:/etc", busybox, "ls", "/etc").out  # filled from the image
    assert "passwd" not in run(mica, "-v", "empty:/etc:nocopy", busybox, "ls", "/etc").out
    assert "Read-only" in mica.fails(1, "run", "--rm", "--network", "none", "-v", "full:/etc:ro", busybox, "touch", "/etc/x").err
    assert "Read-only" in mica.fails(1, "run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/t:size=1m,mode=700", busybox, "sh", "-c", "touch /t/ok && touch /no").err
    start(mica, busybox, "-v", "/anonymous", "-v", "named:/n", command=("sh", "-c", "echo 1 > /n/a; echo 2 > /anonymous/b; sleep 300"))
    assert wait_for(lambda: run(mica, "--volumes-from", "box", busybox, "sh", "-c", "cat /n/a /anonymous/b").lines == ["1", "2"])
    assert len(mica("volume", "ls", "-q").lines) == 4
    mica("rm", "-f", "-v", "box")
    assert sorted(mica("volume", "ls", "-q").lines) == ["empty", "full", "named"]
    run(mica, "--mount", f"type=bind,src={tmp_path},dst=/m", "-v", f"{tmp_path}/made:/made", busybox, "touch", "/m/1", "/made/2")
    assert (tmp_path / "1").exists() and (tmp_path / "made" / "2").exists()
    private = [require_tool("unshare"), "--mount", "--propagation", "private"]  # systemd shares every mount
    refused = subprocess.run([*private, mica.path, "run", "--rm", "--network", "none", "-v", "/proc:/p:rshared", busybox, "true"], env=mica.env, stderr=subprocess.PIPE, text=True)
    assert refused.returncode == 125 and "not a shared mount" in refused.stderr


@pytest.mark.both_runtimes
def test_mounts_propagate_as_asked(mica, busybox, tmp_path):
    top = tmp_path / "shared"
    top.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "x", top], check=True)
    subprocess.run(["mount", "--make-shared", top], check=True)
    try:
        for name in ("in", "out"):
            (top / name).mkdir()
        for mode, reaches_host in (("rshared", True), ("rslave", False)):
            start(mica, busybox, "--cap-add", "SYS_ADMIN", "-v", f"{top}:/p:{mode}")
            mica("exec", "box", "mount", "-t", "tmpfs", "from-inside", "/p/in")
            subprocess.run(["mount", "-t", "tmpfs", "from-outside", top / "out"], check=True)
            assert ("from-inside" in open("/proc/self/mounts").read()) == reaches_host
            assert "from-outside /p/out" in mica("exec", "box", "cat", "/proc/mounts").out
            mica("rm", "-f", "box")
            subprocess.run(["umount", top / "out"], check=True)
            if reaches_host:
                subprocess.run(["umount", top / "in"], check=True)
    finally:
        subprocess.run(["umount", "-R", "-l", top], check=False)


def test_names_hosts_devices_groups_and_sysctls(mica, busybox):
    out = run(mica, "--hostname", "hh", "--domainname", "d.x", "--dns", "1.1.1.1", "--dns-search", "x.y", "--group-add", "77", "--device", "/dev/null:/dev/zz:r",
              "--sysctl", "net.ipv4.ip_forward=1", "--shm-size", "2m", busybox, "sh", "-c",
              "hostname; cat /etc/hostname; cat /etc/resolv.conf; id -G; test -c /dev/zz && echo device; cat /proc/sys/net/ipv4/ip_forward; df -k /dev/shm | tail -1 | awk '{print $2}'").lines
    assert out == ["hh", "hh.d.x", "search x.y", "nameserver 1.1.1.1", "0 77", "device", "1", "2048"]
    assert run(mica, busybox, "ip", "-o", "link").out.count("\n") == 1
    host = mica("run", "--rm", "--network", "host", busybox, "sh", "-c", "hostname; ls /sys/class/net").lines
    assert host[0] == os.uname().nodename and set(host[1:]) == set(os.listdir("/sys/class/net"))


# --- stop, wait, logs, ps, inspect, diff ---

@pytest.mark.both_runtimes
def test_namespaces_of_the_host(mica, busybox):
    """--ipc and --pid host, also on a host that has mounted no message queues."""
    seen = mica("run", "--rm", "--network", "none", "--ipc", "host", "--pid", "host", busybox, "sh", "-c",
                "readlink /proc/self/ns/ipc; readlink /proc/self/ns/pid; test -d /dev/mqueue && test -d /dev/shm && echo both").out.split()
    assert seen == [os.readlink("/proc/self/ns/ipc"), os.readlink("/proc/self/ns/pid"), "both"]


def test_stop_signals_timeouts_and_waiters(mica, busybox, context):
    mica("build", "-q", "-t", "usr", context({"Dockerfile": f"FROM {busybox}\nSTOPSIGNAL SIGUSR1\nCMD trap 'exit 5' USR1; trap '' TERM; echo up; while :; do sleep 0.05; done\n"}))
    start(mica, "usr", command=())
    assert wait_for(lambda: mica("logs", "box").out == "up\n")
    waiters = [mica.popen("wait", "box") for _ in range(3)]
    time.sleep(0.1)
    mica("stop", "box")
    assert [w.communicate(timeout=20)[0] for w in waiters] == [b"5\n"] * 3
    mica("start", "box")
    assert wait_for(lambda: mica("logs", "box").out == "up\nup\n")
    begin = time.monotonic()
    mica("stop", "-s", "TERM", "-t", "1", "box")
    assert 0.9 < time.monotonic() - begin < 8 and mica("wait", "box").out == "137\n"
    mica("stop", "box")  # fine when it does not run
    assert "is not running" in mica.fails(1, "kill", "box").err
    assert "FOO" in mica.fails(1, "kill", "-s", "FOO", "box").err
    mica("start", "box")
    assert wait_for(lambda: mica("logs", "box").out == "up\nup\nup\n")
    mica("kill", "-s", "USR1", "box")
    assert mica("wait", "box").out == "5\n"


def test_logs_follow_rotate_and_select(mica, busybox):
    start(mica, busybox, "--log-opt", "max-size=2k", "--log-opt", "max-file=3",
          command=("sh", "-c", "i=0; while [ $i -lt 120 ]; do echo line $i; i=$((i+1)); done; echo bad >&2; sleep 1; echo last"))
    followed = mica.popen("logs", "-f", "box")
    out, err = followed.communicate(timeout=30)
    assert out.decode().splitlines()[-2:] == ["line 119", "last"] and err == b"bad\n"
    files = sorted(os.listdir(os.path.dirname(mica.inspect("box")["LogPath"])))
    assert files == ["json.log", "json.log.1", "json.log.2"]
    kept = mica("logs", "box")
    numbers = [int(line.split()[1]) for line in kept.lines if line.startswith("line")]
    assert numbers == list(range(numbers[0], 120)) and numbers[0] > 0
    assert mica("logs", "-n", "1", "box").out == "last\n" and mica("logs", "--tail", "0", "box").out == ""
    assert mica("logs", "--tail", "2", "box").err == "bad\n"
    stamp = mica("logs", "-t", "-n", "1", "box").out.split()[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", stamp)
    assert mica("logs", "--since", stamp, "box").out == "last\n"
    assert "last" not in mica("logs", "--until", mica.inspect("box")["State"]["StartedAt"], "box").out
    assert mica("logs", "--since", "10s", "--until", "-1h", "box").code == 0
    for option in (["--since", "soon"], ["--tail", "x"], ["--until", "x"]):
        assert option[1] in mica.fails(1, "logs", *option, "box").err
    start(mica, busybox, "--log-driver", "none", name="quiet", command=("echo", "x"))
    assert "does not support reading" in mica.fails(1, "logs", "quiet").err


def test_ps_inspect_and_diff_say_what_docker_says(mica, busybox):
    container = start(mica, busybox, "--label", "team=a", "--health-cmd", "true", "--health-interval", "5s", "-v", "data:/d", "--restart", "on-failure:2", name="one")
    assert mica("ps", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.Command}} {{.State}} {{.Networks}} {{.Mounts}} {{.Label \"team\"}}").out == (
        f'{container} one {busybox} "sleep 300" running none data a\n')
    row = json.loads(mica("ps", "--format", "json").out)
    assert row["Names"] == "one" and row["State"] == "running" and row["Status"].startswith("Up ")
    assert mica("ps", "-q").out == container[:12] + "\n" and mica("ps", "-s", "--format", "{{.Size}}").out.startswith("0B (virtual ")
    info = mica.inspect("one")
    assert info["Config"]["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 5000000000}
    assert info["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    assert info["State"]["Pid"] > 0 and info["State"]["StartedAt"] > info["Created"] and info["Path"] == "sleep" and info["Args"] == ["300"]
    assert info["Mounts"][0]["Name"] == "data" and info["Mounts"][0]["Destination"] == "/d" and info["Mounts"][0]["RW"] is True
    assert mica("inspect", "-f", "{{.State.Status}} {{index .Config.Labels \"team\"}} {{len .Mounts}} {{json .Args}}", "one").out == 'running a 1 ["300"]\n'
    mica("exec", "one", "sh", "-c", "echo x > /new; rm /etc/group; mkdir -p /a/b; chmod 700 /home")
    assert set(mica("diff", "one").lines) == {"A /a", "A /a/b", "A /new", "C /etc", "C /home", "D /etc/group"}
    assert "still" in mica("run", "--health-cmd", "true", "--rm", "--network", "none", busybox, "echo", "still").out
    mica.fails(1, "ps", "--filter", "colour=red")


def test_inspect_has_what_docker_has_and_prints_it_as_docker(mica, busybox):
    """Scripts name members that a container does not use, and docker's templates know their types."""
    mica("create", "--name", "plain", "--network", "none", "-l", "a=b", "-m", "64m", busybox, "true")
    info = mica.inspect("plain")
    host, network = info["HostConfig"], info["NetworkSettings"]
    assert host["Binds"] is host["PidsLimit"] is host["CapAdd"] is host["Links"] is info["Config"]["Entrypoint"] is info["Config"]["Volumes"] is None
    assert host["PortBindings"] == {} and host["Dns"] == host["Devices"] == [] and host["ShmSize"] == 64 << 20 and host["IpcMode"] == "private"
    assert host["Memory"] * 2 == host["MemorySwap"] == 128 << 20
    assert network["Gateway"] == "" and network["IPPrefixLen"] == 0 and network["Networks"]["none"]["Aliases"] is None
    for template, printed in (
            ("{{.ID}}", info["Id"]), ("{{.HostConfig.Binds}} {{.HostConfig.Tmpfs}} {{.HostConfig.Init}}", "[] map[] <nil>"),
            ("{{.Config.Entrypoint}} {{json .Config.Entrypoint}} {{len .Config.Entrypoint}}", "[] null 0"),
            ("{{.Config.ExposedPorts}}|{{.Config.Healthcheck}}|{{.Config.StopSignal}}|{{.Config.Shell}}", "map[]|<nil>||[]"),
            ("{{.Config.Labels.a}} {{.Config.Labels.none}} {{.NetworkSettings.Networks.none.IPAddress}}", "b <no value> "),
            ("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none"), ("a\\tb", "a\\tb")):
        assert mica("inspect", "-f", template, "plain").out == printed + "\n", template
    assert "Nope" in mica.fails(1, "inspect", "-f", "{{.Config.Nope}}", "plain").err
    assert mica("inspect", "-f", "{{.Config.Entrypoint}} {{.Config.Labels.x}} {{.ID}}", busybox).out == f"[] <no value> {mica.image(busybox)['Id']}\n"


def test_restart_policies(mica, busybox):
    start(mica, busybox, "--restart", "on-failure:2", command=("sh", "-c", "echo run; exit 3"))
    assert wait_for(lambda: state(mica, "box")["Status"] == "exited")
    assert mica("logs", "box").lines == ["run"] * 3 and mica.inspect("box")["RestartCount"] == 2 and state(mica, "box")["ExitCode"] == 3
    start(mica, busybox, "--restart", "always", name="ever", command=("sh", "-c", "echo run; sleep 0.1"))
    assert wait_for(lambda: len(mica("logs", "ever").lines) >= 3)
    mica("stop", "ever")
    count = len(mica("logs", "ever").lines)
    time.sleep(0.5)
    assert len(mica("logs", "ever").lines) == count


def test_twenty_at_once_live_and_die(mica, busybox):
    processes = [mica.popen("run", "-d", "--name", f"many{i}", "--network", "none", busybox, "sh", "-c", f"echo {i}; sleep 300") for i in range(20)]
    ids = [p.communicate(timeout=90)[0].decode().strip() for p in processes]
    assert [p.returncode for p in processes] == [0] * 20
    assert len(mica("ps", "-q").lines) == 20
    threads = [threading.Thread(target=mica, args=("rm", "-f", f"many{i}")) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert mica("ps", "-aq").out == "" and [t for i in ids for t in traces_of(i)] == []
    assert mica("fsck").code == 0


@pytest.mark.both_runtimes
def test_exec_that_fails_says_so_once_and_leaves_no_zombie(mica, busybox):
    start(mica, busybox)
    for program, code, words in (("no-such", 127, "executable file not found in $PATH"), ("/no/such", 127, "no such file or directory"),
                                 ("./such", 127, "no such file or directory"), ("/etc/passwd", 126, "permission denied"), ("/etc", 126, "is a directory")):
        for options in ([], ["-i"]):
            assert mica.fails(code, "exec", *options, "box", program).err == f'mica: exec: "{program}": {words}\n'
        assert words in mica.fails(1, "exec", "-d", "box", program).err
    # A program that is there, and what it needs is not: the kernel's "no such file" alone has made many look at the wrong file
    mica("exec", "box", "sh", "-c", "cd /bin; printf '#! /no/interpreter -x\\n' > odd; printf '#!/bin/odd\\n' > odder; printf '#!sh\\n' > here; chmod 755 odd odder here")
    subprocess.run([mica.path, "cp", "-L", "/bin/true", "box:/bin/dynamic"], env=mica.env, check=True, stderr=subprocess.DEVNULL)
    loader = re.search(rb"/lib[^\0]*/ld-[^\0]*", open("/bin/true", "rb").read())[0].decode()
    for program, needed in (("/bin/odd", "/no/interpreter"), ("odd", "/no/interpreter"), ("odder", "/no/interpreter"), ("dynamic", loader)):
        words = f'mica: exec: "/bin/{program.split("/")[-1]}": no such file or directory (its interpreter "{needed}" is missing)\n'
        for options in ([], ["-i"], ["-t"]):
            done = mica.fails(127, "exec", *options, "box", program)
            assert (done.err, done.out) == (words, "")
    assert mica("exec", "-w", "/bin", "box", "here").err == "", "a relative interpreter begins in the working directory"
    for directory, words in (("/no/such/directory", "no such file or directory"), ("/etc/passwd", "not a directory")):
        assert mica.fails(126, "exec", "-w", directory, "box", "true").err == f'mica: cannot enter the working directory "{directory}": {words}\n'
    # Rights of the user: for the file, for a directory on the way, by a group
    mica("exec", "box", "sh", "-c", "cd /bin; for i in mine ours; do cp busybox $i; done; chmod 700 mine; chgrp 77 ours; chmod 710 ours; mkdir -m 700 /mine; cp busybox /mine/sh")
    for user, program, denied in (("1234", "/bin/mine", True), ("1234", "mine", True), ("1234", "/mine/sh", True), ("1234", "/bin/ours", True), ("1234:77", "/bin/ours", False),
                                  ("0", "/bin/mine", False)):
        path = program if program.startswith("/") else f"/bin/{program}"
        done = mica.run("exec", "-u", user, "box", program, "-c", "exit 5")
        assert done.err.endswith("applet not found\n") if not denied else (done.code, done.err) == (126, f'mica: exec: "{path}": permission denied\n')
    # What only the runtime can find out
    for options in (["-d"], ["-td"]):
        mica.run("exec", *options, "--privileged", "-u", "1234", "box", "/bin/mine")
    # One that was started and then could not be executed is the reaper's of this machine
    assert wait_for(lambda: not [line for line in mica("exec", "box", "ps", "-o", "stat,comm").lines if line.startswith("Z")])


@pytest.mark.both_runtimes
def test_exec_as_a_user_leaves_the_hosts_files_their_owner(mica, busybox, tmp_path):
    """The runtime gives the standard streams to the user of the exec: /dev/null would belong to them on the whole host, and so would `> file`."""
    container = mica("run", "-d", "--network", "none", busybox, "sleep", "60").out.strip()
    null, out = os.stat("/dev/null"), tmp_path / "out"
    with open(out, "wb") as file:
        subprocess.run([mica.path, "exec", "-u", "1234:1235", container, "id", "-u"], env=mica.env, stdin=subprocess.DEVNULL, stdout=file, check=True)
    mica("exec", "-d", "-u", "1234:1235", container, "true")
    assert out.read_text() == "1234\n" and (out.stat().st_uid, out.stat().st_gid) == (os.getuid(), os.getgid())
    after = os.stat("/dev/null")
    assert (after.st_uid, after.st_gid) == (null.st_uid, null.st_gid)

"""Containers through the command line, beside test_run.py: what docker's users know by heart, what goes wrong, and what is left when something is killed."""
import os
import re
import signal
import subprocess
import time

import pytest

from conftest import wait_for
from test_run import run, state

pytestmark = pytest.mark.usefixtures("root_only")


def monitor_of(mica, name):
    inner = state(mica, name)["Pid"]
    return int(re.search(r"PPid:\s*(\d+)", open(f"/proc/{inner}/status").read())[1])


def cgroups_of(container):
    """Directories of its cgroup, in every hierarchy."""
    found = []
    for top, dirs, _ in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(top, d) for d in dirs if d.startswith(f"mica-{container}")]
        if top.count("/") > 4:
            dirs.clear()
    return found


def traces_of(container):
    return cgroups_of(container) + [path for d in ("crun", "runc", "bundles") if os.path.exists(path := f"/run/mica/{d}/{container}")]


# --- mistakes say what to do ---

@pytest.mark.both_runtimes
@pytest.mark.parametrize("program, code, words", [
    ("no-such", 127, 'exec: "no-such": executable file not found in $PATH'),
    ("/no/such", 127, 'exec: "/no/such": no such file or directory'),
    ("/etc/passwd", 126, 'exec: "/etc/passwd": permission denied'),
    ("/etc", 126, 'exec: "/etc": is a directory'),
])
def test_what_cannot_be_executed_is_named(mica, busybox, program, code, words):
    assert mica.fails(code, "run", "--rm", "--network", "none", busybox, program).err == f"mica: {words}\n"
    mica("create", "--name", "cc", "--network", "none", busybox, program)
    assert words in mica.fails(1, "start", "-a", "cc").err
    assert words in mica.fails(1, "start", "cc").err
    assert state(mica, "cc")["Status"] == "created" and state(mica, "cc")["ExitCode"] == code


def test_streams_that_do_not_go_together_end_with_1(mica, busybox):
    """As in docker, whose client refuses them itself; 125 is what goes wrong afterwards."""
    assert mica.fails(1, "run", "--rm", "-it", "--network", "none", busybox, "true").err == "mica: the input device is not a TTY\n"
    assert "--attach and --detach" in mica.fails(1, "run", "-d", "-a", "stdout", busybox, "true").err
    assert mica("ps", "-aq").out == ""


def test_closed_streams_end_nothing(mica, busybox):
    shell = f'"$0" run --rm -i --network none {busybox} sh -c "cat; echo out; echo err >&2; exit 3" '
    for streams, out, err in (("<&-", b"out\n", b"err\n"), ("<&- >&-", b"", b"err\n"), ("<&- >&- 2>&-", b"", b"")):
        done = subprocess.run(["sh", "-c", shell + streams, mica.path], env=mica.env, timeout=60, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr) == (3, out, err)


def test_the_id_is_printed_when_nothing_else_is(mica, busybox):
    """Also of what could not start: it is there, and who started it has to remove it."""
    failed = mica.fails(127, "run", "-d", "--network", "none", busybox, "no-such")
    assert mica.inspect(failed.out.strip())["State"]["Status"] == "created"
    assert len(mica("run", "-i", "-a", "stdin", "--network", "none", busybox, "true", input=b"x").out) == 65


def test_ps_quotes_what_is_one_argument(mica, busybox):
    mica("create", "--name", "qq", busybox, "sh", "-c", "exit 7")
    assert mica("ps", "-a", "--no-trunc", "--format", "{{.Command}}").out == "\"sh -c 'exit 7'\"\n"
    assert mica("ps", "-a", "--format", " {{.Names}} ").out == "qq\n" and mica("ps", "-a", "--format", "table{{.Names}}").lines == ["NAMES", "qq"]
    for filter_, words in (("health=good", "unrecognized filter value for health: good"), ("is-task=x", "invalid filter 'is-task=[x]'"), ("a=b", "invalid filter 'a'"),
                           ("name=(", "regular expression")):
        assert words in mica.fails(1, "ps", "-a", "--filter", filter_).err
    for old, new, words in (("nobody", "x", "No such container: nobody"), ("qq", "", "may be empty"), ("qq", "qq", "same name"), ("qq", "a b", "Invalid container name")):
        assert words in mica.fails(1, "rename", old, new).err


def test_a_missing_image_says_what_to_do(mica, busybox):
    err = mica.fails(125, "run", "--rm", "busybx", "true").err
    assert "unable to find image 'busybx' locally" in err and "did you mean 'busybox'?" in err
    for way in ("mica build -t busybx", "mica load", "mica import", "mica bootstrap"):
        assert way in err
    mica.fails(1, "create", "no/such:1", "true")


def test_published_ports_are_never_lost_in_silence(mica, busybox):
    err = mica.fails(125, "run", "--rm", "-p", "8080:80", busybox, "true").err
    assert "cannot publish ports" in err and "--network host" in err
    assert "cannot publish ports" in mica.fails(125, "run", "--rm", "-P", busybox, "true").err
    assert mica.run("ps", "-aq").out == ""
    assert mica("run", "--rm", "--network", "host", "-p", "80", busybox, "true").err == "WARNING: Published ports are discarded when using host network mode\n"
    assert "discarded" in run(mica, "-p", "80", busybox, "true").err
    assert "bridge" in mica.fails(125, "run", "--rm", "--network", "bridge", busybox, "true").err


def test_ports_and_ranges(mica, busybox):
    mica("create", "--name", "pp", "--network", "none", "--expose", "7000-7002/udp", "-p", "8000-8001:80-81", "-p", "[::1]:90:90", "-p", "127.0.0.1::91", busybox)
    config = mica.inspect("pp")
    assert set(config["Config"]["ExposedPorts"]) == {"7000/udp", "7001/udp", "7002/udp", "80/tcp", "81/tcp", "90/tcp", "91/tcp"}
    assert config["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "", "HostPort": "8000"}], "81/tcp": [{"HostIp": "", "HostPort": "8001"}],
        "90/tcp": [{"HostIp": "::1", "HostPort": "90"}], "91/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}
    for bad in (["--expose", "80-x"], ["--expose", "9-8"], ["--expose", "80:90"], ["--expose", "80/http"], ["--expose", "65536"], ["-p", "1-2:3-5"], ["-p", "x:80"],
                ["-p", "1.2.3.400:80:80"], ["-p", ""]):
        assert bad[1] in mica.fails(1, "create", "--network", "none", *bad, busybox).err


def test_pull_always_is_refused_and_never_is_fine(mica, busybox):
    assert "registry" in mica.fails(125, "run", "--rm", "--pull", "always", busybox, "true").err
    run(mica, "--pull", "never", busybox, "true")
    run(mica, "--pull", "missing", busybox, "true")
    mica.fails(125, "run", "--rm", "--pull", "sometimes", busybox, "true")


@pytest.mark.parametrize("options, words", [
    (["--add-host", "foo"], "bad format for --add-host"), (["--add-host", "a=1.2.3.444"], "invalid IP address"),
    (["-w", "/etc/passwd"], "it is not a directory"), (["-u", "nobody-here"], "nobody-here"),
    (["--cap-add", "FOO"], "FOO"), (["--security-opt", "foo"], "foo"), (["--security-opt", "seccomp=/no/such"], "/no/such"),
    (["--tmpfs", "rel"], "rel"), (["-v", "/tmp:/data:foo"], "invalid mode: foo"), (["-v", "a/b:/data"], "a/b"), (["-v", "/x:/"], "/"),
    (["--mount", "type=bind,src=/no/such,dst=/x"], "/no/such"), (["--env-file", "/no/such"], "/no/such"), (["--stop-signal", "FOO"], "FOO"),
    (["--name", "-x"], "-x"), (["--memory", "5m"], "6MB"), (["--ulimit", "nofile=5:3"], "soft limit"), (["--ulimit", "foo=5"], "foo"),
    (["--detach-keys", "ctrl-"], "invalid detach keys"), (["--network", "nosuch"], "nosuch"), (["--restart", "always"], "--restart and --rm"),
    (["--cpus", "1000"], "CPUs"), (["--env", "=x"], "=x"), (["--device", "/no/such"], "/no/such"), (["--init", "--init=maybe"], "maybe"),
    (["-w", "relative"], "absolute"), (["--dns", "one.one"], "one.one"), (["--label", "=x"], "empty name"), (["--log-opt", "colour=red"], "unknown log opt 'colour'"),
    (["--memory", "64m", "--memory-reservation", "65m"], "memory reservation"), (["--uts", "host", "--hostname", "x"], "UTS mode"),
    (["--shm-size", "-1"], "--shm-size"), (["--memory-reservation", "-1"], "--memory-reservation"),
    (["--security-opt", "no-new-privileges:maybe"], "maybe"), (["-v", "/tmp:/data:ro,rw"], "invalid mode: ro,rw"), (["-v", "/tmp:/data:nocopy"], "nocopy"),
    (["--mount", "type=bind,src=/tmp,dst=/x,volume-nocopy"], "'volume-*' options with mount type 'bind'"),
    (["--mount", "type=volume,dst=/x,bind-propagation=shared"], "'bind-*' options with mount type 'volume'"),
    (["--mount", "type=volume,dst=/x,tmpfs-size=1m"], "'tmpfs-*' options with mount type 'volume'"), (["--mount", "type=tmpfs,src=x,dst=/x"], "no source"),
    (["--log-driver", "syslog"], "syslog"), (["--log-opt", "max-size=much"], "much"), (["--volumes-from", "nobody"], "nobody"),
])
def test_wrong_options_end_with_125_name_the_word_and_leave_nothing(mica, busybox, options, words):
    result = mica.fails(125, "run", "--rm", "--network", "none", *options, busybox, "true")
    assert words in result.err
    assert mica("ps", "-aq").out == "" and os.listdir(mica.root / "containers") == []


# --- docker's small print ---

def test_env_without_value_takes_the_images_away(mica, busybox, context, tmp_path):
    mica("build", "-q", "-t", "env", context({"Dockerfile": f"FROM {busybox}\nENV GONE=1 KEPT=2\n"}))
    (tmp_path / "file").write_text("GONE\nKEPT\n")
    out = run(mica, "-e", "GONE", "-e", "ALSO=3", "env", "env").lines
    assert "KEPT=2" in out and "ALSO=3" in out and not [line for line in out if line.startswith("GONE")]
    assert "GONE=1" in run(mica, "--env-file", tmp_path / "file", "env", "env").lines
    assert "GONE=host" in run(mica, "-e", "GONE", "env", "env", env={"GONE": "host"}).lines
    mica("run", "-d", "--name", "ee", "--network", "none", "env", "sleep", "60")
    out = mica("exec", "-e", "GONE", "-e", "NEW=4", "ee", "env").lines
    assert "NEW=4" in out and not [line for line in out if line.startswith("GONE")]


def test_what_docker_has_and_mica_has_not_is_said(mica, busybox):
    """Not as an unknown flag with a suggestion that leads astray (--gpus: --cpus?)."""
    for option, words in (("--gpus=all", "--device"), ("--link=x", "--network host"), ("--ip=1.2.3.4", "--network host"), ("--oom-kill-disable", "--oom-score-adj"),
                          ("--memory-swappiness=5", "--memory-swap"), ("--device-read-bps=/dev/null:1mb", "disks"), ("--userns=keep-id", "host only"),
                          ("--volume-driver=nfs", "local"), ("--isolation=hyperv", "default")):
        assert words in mica.fails(125, "run", "--rm", option, busybox, "true").err
        assert words in mica.fails(1, "create", option, busybox, "true").err
    run(mica, "--userns", "host", "--isolation", "default", "--volume-driver", "local", "--disable-content-trust", busybox, "true")
    assert "--gpus" not in mica("run", "--help").out
    assert mica.fails(127, "run", "--rm", "--network", "none", busybox, "").err == 'mica: exec: "": executable file not found in $PATH\n'


def test_paths_of_the_system_are_shown_when_asked_for(mica, busybox):
    look = ("sh", "-c", "mount | grep -cE ' /proc/(kcore|sys) '; true")
    assert run(mica, busybox, *look).out != "0\n" and run(mica, "--security-opt", "systempaths=unconfined", busybox, *look).out == "0\n"
    assert "systempaths" in mica.fails(125, "run", "--rm", "--security-opt", "systempaths=some", busybox, "true").err


def test_what_others_files_and_kernels_call_it(mica, busybox, tmp_path):
    (tmp_path / "env").write_bytes(b"\xef\xbb\xbfFIRST=1\n")
    out = run(mica, "--env-file", tmp_path / "env", "--domainname", "dom", "--dns", "1.2.3.4", "--dns-search", ".", "--security-opt", "no-new-privileges:false", busybox, "sh", "-c",
              "echo $FIRST; cat /proc/sys/kernel/domainname /etc/resolv.conf; grep NoNew /proc/self/status").lines
    assert out == ["1", "dom", "nameserver 1.2.3.4", "NoNewPrivs:\t0"]


def test_add_host_in_every_form(mica, busybox):
    hosts = run(mica, "--add-host", "a=1.2.3.4", "--add-host", "b:5.6.7.8", "--add-host", "c=::1", "--add-host", "d:[fe80::2]", "--add-host", "gw:host-gateway",
                busybox, "cat", "/etc/hosts").lines
    assert hosts[-5:] == ["1.2.3.4\ta", "5.6.7.8\tb", "::1\tc", "fe80::2\td", "127.0.0.1\tgw"]


@pytest.mark.both_drivers
@pytest.mark.both_runtimes
def test_restart_keeps_a_container_that_goes_with_its_end(mica, busybox):
    container = mica("run", "-d", "--rm", "--name", "rr", "--network", "none", busybox, "sh", "-c", "echo x >> /count; exec sleep 60").out.strip()
    assert wait_for(lambda: mica.run("exec", "rr", "cat", "/count").out == "x\n")
    first = state(mica, "rr")["Pid"]
    assert mica("restart", "-t", "0", "rr").out == "rr\n"
    assert state(mica, "rr")["Running"] and state(mica, "rr")["Pid"] != first and mica.inspect("rr")["Id"] == container
    assert wait_for(lambda: mica("exec", "rr", "cat", "/count").out == "x\nx\n")
    mica("stop", "-t", "0", "rr")
    assert mica("ps", "-aq").out == ""
    assert mica("fsck").code == 0


# --- what is killed ---

@pytest.mark.both_runtimes
def test_killed_monitors_leave_no_processes_cgroups_state_or_directories(mica, busybox):
    for options in ([], ["--rm"]):
        mica("run", "-d", "--name", "kk", "--network", "none", *options, busybox, "sleep", "300")
        inner, container = state(mica, "kk")["Pid"], mica.inspect("kk")["Id"]
        os.kill(monitor_of(mica, "kk"), signal.SIGKILL)
        assert wait_for(lambda: "kk" not in mica("ps", "--format", "{{.Names}}").lines)
        assert wait_for(lambda: not os.path.exists(f"/proc/{inner}"))
        if not options:
            assert state(mica, "kk")["ExitCode"] == 137
            mica("rm", "kk")
        assert mica("ps", "-aq").out == "" and os.listdir(mica.root / "containers") == []
        assert traces_of(container) == []
    assert mica("fsck").code == 0


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.02, 0.04, 0.08, 0.16])
def test_a_client_killed_at_any_moment_leaves_what_ps_and_rm_cope_with(mica, busybox, delay):
    for options in (["--rm"], ["--name", "xx"]):
        process = mica.popen("run", "--network", "none", *options, busybox, "sleep", "0.3")
        time.sleep(delay)
        process.kill()
        process.communicate()
    made = os.listdir(mica.root / "containers")
    assert wait_for(lambda: mica("ps", "-q").out == "" and len(mica("ps", "-aq").lines) <= 1)  # the one without --rm
    ids = mica("ps", "-aq").lines
    if ids:
        mica("rm", "-f", *ids)
    assert mica("ps", "-aq").out == "" and [trace for container in made for trace in traces_of(container)] == []
    assert mica("fsck").code == 0


def test_rows_and_directories_that_a_power_cut_parted_are_tidied_up(mica, busybox):
    import shutil
    import sqlite3
    mica("run", "-d", "--rm", "--name", "gone", "--network", "none", busybox, "sleep", "300")
    mica("create", "--name", "kept", "--network", "none", busybox, "true")
    gone, kept = mica.inspect("gone")["Id"], mica.inspect("kept")["Id"]
    os.kill(monitor_of(mica, "gone"), signal.SIGKILL)
    shutil.rmtree(mica.root / "containers" / gone)  # the row came back, its directory did not
    orphan = mica.root / "containers" / ("a" * 64)
    shutil.copytree(mica.root / "containers" / kept, orphan)  # the row was lost
    os.utime(orphan, (1, 1))
    assert mica("fsck").code == 0
    assert mica("ps", "-a", "--format", "{{.Names}}").lines == ["kept"]
    mica("system", "prune", "-f", "--filter", "label=nothing")
    assert not orphan.exists()
    with sqlite3.connect(mica.root / "db.sqlite") as db:
        assert db.execute("SELECT id FROM container").fetchall() == [(kept,)]


def test_stop_at_once_is_final_whatever_the_restart_policy(mica, busybox):
    mica("run", "-d", "--name", "again", "--restart", "always", "--network", "none", busybox, "sleep", "300")
    for _ in range(5):
        mica("stop", "-t", "0", "again")
        assert state(mica, "again")["Status"] == "exited"
        mica("start", "again")
    mica("rm", "-f", "again")
    assert mica("ps", "-aq").out == ""

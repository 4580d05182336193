"""What a build says and refuses, and what it leaves behind when it is stopped: the words and the traces that people and scripts meet."""
import os
import signal
import time

import pytest

from conftest import require_root

WRONG = {
    "instruction": ("FROM busybox\nCOPPY a b\n", "2:1", "unknown instruction: COPPY (did you mean COPY?)"),
    "flag": ("FROM busybox\n\nCOPY --form=x a b\n", "3:6", "unknown flag: --form (did you mean from?)"),
    "second-flag": ("FROM busybox\nCOPY --chown=1 --chmd=1 a b\n", "2:16", "unknown flag: --chmd (did you mean chmod?)"),
    "continued": ("FROM busybox\nRUN a && \\\n  b\nENV A\n", "4:5", "ENV must have two arguments"),
    "variable": ("FROM busybox\nENV A=${B!x}\n", "2:5", "unsupported modifier (!) in substitution"),
    "mount": ("FROM busybox\nRUN --mount=type=cach,target=/x true\n", "2:5", "unsupported mount type \"cach\" (did you mean cache?)"),
    "device": ("FROM busybox AS unused\nRUN --device=vendor.com/gpu=all true\nFROM busybox\n", "2:5", "RUN --device is not supported"),
    "frontend": ("# syntax=other/frontend\nFROM busybox\n", "1:1", "frontend 'other/frontend' is not available"),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_name_the_place(mica, busybox, context, name):
    text, place, words = WRONG[name]
    result = mica.fails(1, "build", context({"Dockerfile": text}))
    line = int(place.split(":")[0])
    assert f"Dockerfile:{place}: " in result.err and words in result.err, result
    assert f"{line:4} | >>> {text.splitlines()[line - 1]}" in result.err


@pytest.mark.parametrize("flag,name", [("--network=host", "network.host"), ("--security=insecure", "security.insecure")])
def test_entitlements_are_asked_for_before_anything_runs(mica, busybox, context, flag, name):
    require_root()
    top = context({"Dockerfile": f"FROM busybox\nRUN echo ran-before\nRUN {flag} echo ran-with\n"})
    result = mica.fails(1, "build", top)
    assert f"--allow {name}" in result.err and "ran-before" not in result.err.replace("echo ran-before", "")
    assert f"   3 | >>> RUN {flag} echo ran-with" in result.err
    assert "ran-with" in mica("build", "--progress", "plain", "--allow", name, top).err.replace("echo ran-with", "")


def test_an_instruction_that_cannot_work_is_told_before_anything_runs(mica, busybox, context):
    top = context({"Dockerfile": "FROM busybox\nARG PORT=none\nRUN echo ran-before\nEXPOSE $PORT\n"})
    result = mica.fails(1, "build", top)
    assert "invalid containerPort: none" in result.err and "ran-before" not in result.err.replace("RUN echo ran-before", ""), result
    assert "   4 | >>> EXPOSE $PORT" in result.err


@pytest.mark.parametrize("options", [["--progress", "plain"], ["-q"]])
def test_a_run_that_fails_says_command_code_output_and_line(mica, busybox, context, options):
    require_root()
    text = "FROM busybox AS other\nRUN sleep 5\nFROM busybox\nRUN for i in $(seq 30); do echo line-$i; done; echo bad >&2; exit 42\nCOPY --from=other /etc/passwd /x\n"
    result = mica.fails(1, "build", *options, context({"Dockerfile": text}))
    last = result.err[result.err.rindex("------\n > "):] if "-q" not in options else result.err
    assert "did not complete successfully: exit code: 42" in result.err and "   4 | >>> RUN for i" in result.err
    assert "line-30\nbad\n" in last and "echo line-$i" in last


@pytest.mark.parametrize("options,words", [
    (["--add-host", "nothing"], "--add-host 'nothing'"),
    (["--add-host", "name:not-an-address"], "not-an-address"),
    (["--ulimit", "nofile"], "nofile"),
    (["--ulimit", "nosuch=1"], "nosuch"),
    (["--ulimit", "nofile=5:3"], "nofile"),
    (["--shm-size", "1q"], "--shm-size"),
    (["--network", "bridge0"], "bridge0"),
    (["--secret", "id=x,nosuch=1"], "nosuch"),
    (["--allow", "everything"], "everything"),
    (["--progress", "fancy"], "fancy"),
])
def test_wrong_options_are_refused_although_everything_is_cached(mica, busybox, context, options, words):
    require_root()
    top = context({"Dockerfile": "FROM busybox\nRUN true\n"})
    mica("build", top)
    result = mica.run("build", *options, top)
    assert result.code in (1, 125) and words in result.err, result


def test_hosts(mica, busybox, context):
    require_root()
    text = "FROM busybox\nRUN cat /etc/hosts >/hosts\n"
    mica("build", "-t", "x", "--add-host", "four.test:10.0.0.1", "--add-host", "six.test=[::2]", "--add-host", "six2.test:::3", "--add-host", "me.test:host-gateway", context({"Dockerfile": text}))
    found = [line.split("\t") for line in mica("run", "--rm", "x", "cat", "/hosts").lines]
    assert [["10.0.0.1", "four.test"], ["::2", "six.test"], ["::3", "six2.test"], ["127.0.0.1", "me.test"]] == found[2:]


def test_quiet_prints_the_image_only(mica, busybox, context, tmp_path):
    top = context({"Dockerfile": "FROM busybox\nLABEL a=1\n"})
    result = mica("build", "-q", "--iidfile", tmp_path / "id", top)
    assert result.err == "" and result.lines == [(tmp_path / "id").read_text()]
    assert mica.image(result.lines[0])["Id"] == result.lines[0]


def processes_with(word):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                if word.encode() in file.read().split(b"\0"):
                    found.append(pid)
        except OSError:
            pass
    return found


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.both_runtimes
def test_a_stopped_build_leaves_no_process_no_mount_and_no_secret(mica, busybox, context, end):
    require_root()
    canary = f"canary-{os.getpid()}-{int(end)}-{time.monotonic_ns()}"
    word = f"7{time.monotonic_ns()}"
    text = f"FROM busybox AS a\nRUN --mount=type=secret,id=s,env=S --mount=type=secret,id=s setsid sleep {word} & sleep {word}\nFROM busybox\nRUN sleep {word}\nCOPY --from=a /etc/passwd /x\n"
    job = mica.popen("build", "--secret", "id=s,env=CANARY", context({"Dockerfile": text}), env={"CANARY": canary})
    deadline = time.monotonic() + 30
    while len(processes_with(word)) < 3:
        assert time.monotonic() < deadline and job.poll() is None
        time.sleep(0.02)
    job.send_signal(end)
    assert job.wait(timeout=20) != 0
    deadline = time.monotonic() + 10
    while processes_with(word) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_with(word) == []
    with open("/proc/self/mounts") as file:
        assert str(mica.root) not in file.read()
    holding = []
    for top in (str(mica.root), "/run/mica"):
        for directory, _, files in os.walk(top):
            for name in files:
                try:
                    with open(os.path.join(directory, name), "rb") as file:
                        if canary.encode() in file.read():
                            holding.append(os.path.join(directory, name))
                except OSError:
                    pass  # another build's, gone meanwhile
    assert holding == []
    assert mica("build", context({"Dockerfile": "FROM busybox\nRUN ls -a /srv /bin/.. >/dev/null; true\n"})).code == 0
    mica("fsck")


def test_directories_have_their_dots(mica, busybox, context):
    require_root()
    text = "FROM busybox\nRUN mkdir /top && touch /top/f\nRUN --mount=target=/m ls -a /top >/l; ls -a /m >/k\n"
    mica("build", "-t", "x", context({"Dockerfile": text, "f": ""}))
    assert mica("run", "--rm", "x", "cat", "/l", "/k").lines == [".", "..", "f", ".", "..", "Dockerfile", "f"]

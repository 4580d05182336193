"""mica build --debug-shell: looking around in a build, without the build noticing."""
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from conftest import tar_bytes

pytestmark = pytest.mark.usefixtures("root_only")

DOCKERFILE = """FROM busybox AS one
ENV GREETING=hello
ARG FLAVOUR=mint
WORKDIR /work
USER user
RUN --mount=type=cache,target=/c,uid=1000 --mount=type=secret,id=s,uid=1000 --mount=type=bind,target=/ctx touch /c/kept; echo made > /tmp/made
FROM scratch AS empty
COPY --from=one /tmp/made /made
COPY x /x
FROM one
COPY --from=empty /made /tmp/again
RUN echo partial > /tmp/partial; echo said; exit 7
"""


@pytest.fixture
def build(mica, busybox, context):
    top = context({"Dockerfile": DOCKERFILE, "x": "x"})

    def run(step, script, *options, code=0):
        option = "--debug-shell" if step is None else f"--debug-shell={step}"
        return mica.fails(code, "build", "--secret", "id=s,env=SECRET", option, *options, top, input=script, env={"SECRET": "very-secret"})

    run.top = top
    return run


def store_holds(mica, canary):
    found = []
    for top, _, names in os.walk(mica.root):
        for name in names:
            path = os.path.join(top, name)
            if os.path.isfile(path) and not os.path.islink(path) and canary in open(path, "rb").read():
                found.append(path)
    return found


def test_before_a_step(mica, build):
    """The step's files, environment, user, directory and mounts, before it runs; the build then goes on and nothing of the shell is in it."""
    result = build("[one 3/3]", "pwd; id -u; echo $GREETING $FLAVOUR; cat /run/secrets/s; echo; ls /ctx; ls /c; touch /c/canary-in-cache; echo canary-in-file > /tmp/made\n"
                   "test -e /tmp/partial || echo not yet; exit 9\n", "--target=empty", "-t", "out")
    assert result.lines == ["/work", "1000", "hello mint", "very-secret", "Dockerfile", "x", "not yet"]
    assert "--- shell before [one 3/3] RUN" in result.err and "'exit' goes on with the build" in result.err
    assert mica("run", "--rm", "-v", "/bin/busybox:/busybox:ro", "--entrypoint", "/busybox", "out", "cat", "/made").out == "made\n"
    assert store_holds(mica, b"canary-in-") == [] and not list(mica.root.glob("cache/mounts/**/canary*"))
    assert list(mica.root.glob("cache/mounts/**/kept"))
    assert mica("system", "fsck").code == 0


def test_a_cached_step_is_looked_at_too_and_stays_cached(mica, build):
    build("empty", "", "--target=empty")
    again = build("6", "echo here; touch /tmp/new\n", "--target=empty")
    assert again.lines == ["here"] and again.err.count("CACHED") >= 5 and "shell before [one 3/3]" in again.err


@pytest.mark.parametrize("step, title", [("one", "[one 2/3] WORKDIR"), ("[one 3/3]", "[one 3/3] RUN"), ("one 3/3", "[one 3/3] RUN"), ("3/3", "[one 3/3] RUN"),
                                         ("1", "[one 2/3] WORKDIR"), ("4", "[one 2/3] WORKDIR"), ("5", "[one 3/3] RUN"), ("6", "[one 3/3] RUN"),
                                         ("7", "[empty 1/2] COPY"), ("9", "[empty 2/2] COPY"), ("EMPTY", "[empty 1/2] COPY")])
def test_names_of_steps(build, step, title):
    assert f"--- shell before {title}" in build(step, "", "--target=empty").err


@pytest.mark.parametrize("step", ["nowhere", "99", "[one 9/9]", "[one 1/3]", "11", "2/7"])
def test_no_such_step(build, step):
    result = build(step, "", "--target=empty", code=1)
    assert f"there is no step '{step}'" in result.err and "[stage 2/5]" in result.err


def test_an_image_without_a_shell_is_lent_one(mica, build):
    """FROM scratch is where one wants to look most, and has nothing to look with."""
    result = build("[empty 2/2]", "cat /made; ls /; which ls\n", "--target=empty", "-t", "out")
    assert result.lines[0] == "made" and "made" in result.lines[1:] and result.lines[-1] == "/.mica-shell/ls"
    assert "lent by this machine" in result.err
    names = subprocess.run(["tar", "-tf", "-"], input=mica("save", "out").raw_out, stdout=subprocess.PIPE, check=True).stdout
    assert b"mica-shell" not in names and store_holds(mica, b"\x00.mica-shell") == []


def test_after_a_failure(mica, build):
    result = build(None, "cat /tmp/partial /tmp/again; touch /c/canary-in-cache 2>/dev/null; echo canary-$((1+1)) > /tmp/x; exit 0\n", code=1)
    assert result.lines == ["partial", "made"]
    assert "--- shell after the failure of [stage-2 2/2] RUN" in result.err and "exit code: 7" in result.err.split("--- shell")[1]
    assert result.err.rstrip().endswith("--------------------") and ">>> RUN echo partial" in result.err
    assert store_holds(mica, b"canary-2") == [] and mica("images", "-q").lines == [mica.image("busybox")["Id"][7:19]]
    assert "[stage-2 2/2]" in (again := mica.run("build", build.top).err) and "CACHED" not in again.split("[stage-2 2/2]")[1], "a failed step is no cached one"


def test_no_shell_when_nothing_fails(build):
    assert "--- shell" not in build("on-error", "echo never\n", "--target=empty").err


def test_quiet_prints_the_id_alone_after_the_shell(build):
    result = build("one", "", "--target=empty", "-q")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", result.out)


def test_standard_input_can_be_used_once(mica):
    assert "needs standard input" in mica.fails(1, "build", "--debug-shell", "-", input="FROM scratch\n").err


def test_stopping_a_build_ends_its_shell(mica, build):
    process = mica.popen("build", "--debug-shell=one", "--target=empty", build.top, stdin=subprocess.PIPE)
    process.stdin.write(b"echo ready; sleep 60\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=40) == 143
    assert mica("system", "fsck").code == 0


class Terminal:
    def __init__(self, mica, *args):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen([mica.path, *map(str, args)], stdin=slave, stdout=slave, stderr=slave, start_new_session=True, cwd=mica.home,
                                        env={**mica.env, "TERM": "xterm", "SECRET": "x"})
        os.close(slave)
        self.seen = ""

    def until(self, pattern, timeout=20):
        end = time.monotonic() + timeout
        while not re.search(pattern, self.seen):
            assert time.monotonic() < end, f"'{pattern}' does not come:\n{self.seen}"
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
                except OSError:
                    break
        assert re.search(pattern, self.seen), self.seen

    def type(self, text):
        self.seen = ""
        os.write(self.master, text.encode())


def test_on_a_terminal(mica, build):
    """A real terminal: job control, Ctrl-C for the shell and not for the build, the window's size, and the terminal as it was afterwards."""
    import fcntl
    import struct
    import termios
    term = Terminal(mica, "build", "--secret", "id=s,env=SECRET", "--debug-shell=[one 3/3]", "--target=empty", "-t", "out", build.top)
    fcntl.ioctl(term.master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    before = termios.tcgetattr(term.master)
    term.until(r"shell before \[one 3/3\]")
    term.until(r"\$ ")
    term.type("test -t 0 && tty && echo TERM=$TERM\n")
    term.until(r"TERM=xterm")
    assert "/dev/pts/" in term.seen or "/dev/console" in term.seen
    term.type("stty size\n")
    term.until(r"33 77")
    term.type("sleep 60\n")
    time.sleep(0.5)
    term.type("\x03")
    term.until(r"\$ ")
    term.type("echo still-$((40+2))\n")
    term.until(r"still-42")
    assert term.process.poll() is None
    term.type("exit\n")
    term.until(r"FINISHED")
    assert term.process.wait(timeout=20) == 0
    assert termios.tcgetattr(term.master)[:4] == before[:4]
    assert mica.image("out")
    os.close(term.master)


def test_other_stages_are_quiet_meanwhile(mica, busybox, context):
    """Two stages at once: what the other one says must not get into the shell."""
    top = context({"Dockerfile": "FROM busybox AS noisy\nRUN for i in 1 2 3 4 5 6; do echo noise-$i; sleep 0.1; done\nFROM busybox AS calm\nRUN true\n"
                                 "FROM scratch\nCOPY --from=noisy /etc/group /a\nCOPY --from=calm /etc/group /b\n"})
    result = mica("build", "--debug-shell=calm", "-j", "2", "--progress=plain", top, input="sleep 0.5; echo shell-says\n")
    assert result.out == "shell-says\n"
    between = result.err[result.err.index("nothing done here stays"):result.err.index("--- end of the shell")]
    assert "noise" not in between and result.err.count("noise-6\n") >= 1

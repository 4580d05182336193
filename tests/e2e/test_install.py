"""What `make install` puts where, and that it works there: the executable away from its build directory, man pages, and completions in their shells."""
import os
import pty
import re
import select
import subprocess
import time

import pytest

from conftest import ROOT, import_busybox, require_root, require_tool


@pytest.fixture(scope="module")
def installed(mica_path, tmp_path_factory):
    """The prefix below which everything lies."""
    build = os.environ.get("MICA_BUILD_DIR") or os.path.abspath(os.path.join(os.path.dirname(mica_path), "../.."))
    if not os.path.exists(os.path.join(build, "build.ninja")):
        pytest.skip("not in a build directory of meson")
    top = tmp_path_factory.mktemp("install")
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", str(top)], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return top / "usr" / "local"


def test_everything_is_where_it_is_looked_for(installed):
    assert os.access(installed / "bin" / "mica", os.X_OK) and os.access(installed / "libexec" / "mica" / "mica-init", os.X_OK)
    assert (installed / "share/bash-completion/completions/mica").exists()
    assert (installed / "share/zsh/site-functions/_mica").exists()
    assert (installed / "share/fish/vendor_completions.d/mica.fish").exists()
    assert (installed / "share/man/man1/mica.1").exists() and (installed / "share/man/man1/mica-image-ls.1").exists()


def test_the_installed_executable_finds_its_init(installed, mica, busybox_tar):
    require_root()
    mica.path = str(installed / "bin" / "mica")
    import_busybox(mica, busybox_tar)
    assert mica("run", "--rm", "--init", "--network", "none", "busybox", "ps", "-o", "comm").out.find("init") > 0


def test_man_pages_are_sound(installed):
    pages = sorted(str(page) for page in (installed / "share/man/man1").iterdir())
    assert len(pages) > 50
    done = subprocess.run([require_tool("mandoc"), "-T", "lint", "-W", "warning", *pages], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # No date: pages are the same whenever they are built.
    assert [line for line in done.stdout.splitlines() if "missing date" not in line] == []


def test_make_has_the_usual_targets():
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", text, re.M))
    assert {"all", "demo", "check", "install", "test", "fmt", "asan", "tsan", "fuzz", "fault", "bench", "help"} <= targets
    described = subprocess.run(["make", "-s", "-C", str(ROOT), "help"], stdout=subprocess.PIPE, check=True, text=True).stdout
    assert all(f"make {target} " in described for target in ("demo", "check", "install", "fuzz", "fault", "bench"))


class Shell:
    """A shell at a terminal, to press the tab key in."""

    def __init__(self, argv, env, ready):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, env)
        os.write(self.fd, ready.encode() + b"; echo rea''dy\n")
        self.read(lambda text: "ready" in text, 20)

    def read(self, enough, seconds=5):
        text, deadline = "", time.monotonic() + seconds
        while time.monotonic() < deadline and not enough(text):
            if select.select([self.fd], [], [], 0.1)[0]:
                text += os.read(self.fd, 65536).decode("utf-8", "replace")
        return text

    def complete(self, line, *expected):
        os.write(self.fd, line.encode() + b"\t")
        text = self.read(lambda text: all(word in text for word in expected))
        os.write(self.fd, b"\x15")
        self.read(lambda text: False, 0.3)
        return text

    def close(self):
        os.close(self.fd)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


LINES = [("mica image p", ["prune"]), ("mica image l", ["list", "load", "ls"]), ("mica images --f", ["--filter", "--format"]), ("mica rmi my", ["mybox:latest"]),
         ("mica -D imag", ["image"]), ("mica run --pull n", ["never"]), ("mica start one", ["one-container"])]


@pytest.fixture
def completing(installed, mica, busybox_tar):
    import_busybox(mica, busybox_tar, "mybox")
    mica("import", "-", input=busybox_tar)
    mica("create", "--name", "one-container", "--network", "none", "mybox")
    return {**mica.env, "PATH": f"{installed}/bin:{os.environ['PATH']}", "TERM": "dumb", "HISTFILE": "/dev/null"}


def check(shell):
    try:
        for line, expected in LINES:
            text = shell.complete(line, *expected)
            assert all(word in text for word in expected) and "<none>" not in text, (line, text)
    finally:
        shell.close()


def test_bash_completes(installed, completing):
    ready = f"PS1='% '; bind 'set show-all-if-ambiguous on'; bind 'set enable-bracketed-paste off'; source {installed}/share/bash-completion/completions/mica"
    check(Shell(["bash", "--norc", "--noprofile", "-i"], completing, ready))


def test_zsh_completes(installed, completing):
    require_tool("zsh")
    ready = f"PS1='% '; fpath=({installed}/share/zsh/site-functions $fpath); autoload -Uz compinit && compinit -u -D"
    check(Shell(["zsh", "-f", "-i"], completing, ready))


def test_fish_completes(installed, completing):
    fish = require_tool("fish")
    for line, expected in LINES:
        script = f"set -p fish_complete_path {installed}/share/fish/vendor_completions.d; complete -C '{line}'"
        done = subprocess.run([fish, "--no-config", "-c", script], env=completing, stdout=subprocess.PIPE, check=True, text=True)
        words = [row.split("\t")[0] for row in done.stdout.splitlines()]
        assert set(expected) <= set(words) and "<none>:<none>" not in words, (line, words)


@pytest.fixture
def setup(tmp_path):
    """tools/setup with a package that nobody has, and a PATH of what it is given: setup("sudo", id="1000") -> the ended process."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "setup").write_bytes((ROOT / "tools" / "setup").read_bytes())
    (tools / "packages.txt").write_text("# a comment\nno-such-package-of-mica   # because\n")

    def run(*programs, user="0"):
        path = tmp_path / "bin"
        path.mkdir(exist_ok=True)
        for old in path.iterdir():
            old.unlink()
        for name in ("sh", "sed", "grep", "dirname", "env", "dpkg-query"):
            (path / name).symlink_to(require_tool(name))
        (path / "id").write_text(f"#!/bin/sh\necho {user}\n")
        for name in programs:
            (path / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n[ {name} != sudo ] || exec "$@"\n')
        for name in ("id", *programs):
            (path / name).chmod(0o755)
        return subprocess.run(["sh", tools / "setup"], env={"PATH": str(path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    run.calls = lambda: (tmp_path / "calls").read_text().splitlines()
    return run


def test_setup_says_what_it_cannot_do(setup):
    """On a fresh machine these three messages are all that a newcomer has."""
    done = setup()
    assert done.returncode == 1 and "not a Debian system; install the equivalents of: no-such-package-of-mica" in done.stderr
    done = setup("apt-get", user="1000")
    assert done.returncode == 1 and "run 'apt-get install no-such-package-of-mica' as root" in done.stderr and "sudo is not installed" in done.stderr
    done = setup("apt-get", "sudo", user="1000")
    assert done.returncode == 0, done
    assert [call for call in setup.calls() if call.startswith("sudo")][-1].startswith("sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y")
    assert setup.calls()[-1].endswith("no-such-package-of-mica")


def test_setup_is_quiet_when_nothing_is_missing(setup, tmp_path):
    (tmp_path / "tools" / "packages.txt").write_text("dpkg\n")
    done = setup()
    assert done.returncode == 0 and done.stdout == done.stderr == ""

"""mica build --watch: every change of what the build uses leads to a build, nothing else does."""
import os
import re
import resource
import shutil
import signal
import subprocess
import threading
import time

import pytest

from git_server import commit_files, make_repository

pytestmark = pytest.mark.usefixtures("root_only")
WATCHING = "for changes (Ctrl-C ends)"


class Watch:
    """A `mica build --watch` whose standard error is read as it comes."""

    def __init__(self, mica, top, *options, **kwargs):
        self.process = mica.popen("build", "--progress", "plain", "-t", "app", "--watch", *options, top, stdout=subprocess.PIPE, **kwargs)
        self.text, self.lock, self.rounds = "", threading.Condition(), 0
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stderr:
            with self.lock:
                self.text += line.decode()
                self.lock.notify_all()

    def next(self, rounds=1, timeout=60):
        """What was printed until it waits again."""
        self.rounds += rounds
        deadline = time.monotonic() + timeout
        with self.lock:
            while self.text.count(WATCHING) < self.rounds:
                assert self.lock.wait(max(0, deadline - time.monotonic())) and time.monotonic() < deadline, self.text
            return self.text.split(WATCHING)[self.rounds - 1]

    def quiet(self, seconds=0.8):
        """Nothing happens."""
        time.sleep(seconds)
        with self.lock:
            assert self.text.count(WATCHING) == self.rounds, self.text.split(WATCHING)[-1]

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        code = self.process.wait(15)
        self.thread.join(5)
        self.process.stderr.close()
        self.process.stdout.close()
        return code


@pytest.fixture
def watch(mica, busybox):
    running = []

    def start(top, *options, **kwargs):
        running.append(Watch(mica, top, *options, **kwargs))
        return running[-1]

    yield start
    for w in running:
        if w.process.poll() is None:
            w.process.kill()
            w.process.wait()


def test_files(mica, watch, context):
    top = context({"Dockerfile": "FROM busybox\nCOPY src /src\nCOPY *.txt /\nRUN cat /src/a\n", "src/a": "first", "x.txt": "x", "other": "o", ".dockerignore": "src/*.o\n"})
    w = watch(top)
    assert "first" in w.next() and "watching 3 directories" in w.text
    (top / "src/a").write_text("second")
    text = w.next()
    assert "src/a: changed" in text and "second" in text
    assert mica("run", "--rm", "app", "cat", "/src/a").out == "second"
    # Not used, ignored, or no change of anything that counts.
    (top / "other").write_text("changed")
    (top / "src/a.o").write_text("object")
    (top / "new").mkdir()
    w.quiet()
    # What would match is watched before it is there.
    (top / "y.txt").write_text("y")
    assert "y.txt: added" in w.next()
    (top / "src/deep").mkdir()
    assert "src/deep: added" in w.next()
    (top / "src/deep/file").write_text("f")
    assert "src/deep/file: added" in w.next()
    os.chmod(top / "src/a", 0o700)
    assert "src/a: other attributes" in w.next()
    shutil.rmtree(top / "src/deep")
    assert "src/deep: removed" in w.next()
    os.rename(top / "x.txt", top / "z.txt")
    text = w.next()
    assert "x.txt: removed" in text and "z.txt: added" in text
    assert mica("run", "--rm", "app", "ls", "/").out.count(".txt") == 2
    assert w.end() == 130


def test_editors(watch, context):
    """Editors write a new file and rename it, and leave others beside it; one save is one build."""
    top = context({"Dockerfile": "FROM busybox\nCOPY a /a\nRUN cat /a\n", "a": "first"})
    w = watch(top)
    w.next()
    for n in range(3):
        (top / ".a.swp").write_text("swap")
        (top / "a~").write_text("backup")
        (top / ".a.new").write_text(f"saved {n}")
        os.rename(top / ".a.new", top / "a")
        (top / ".a.swp").unlink()
        assert f"saved {n}" in w.next()
    w.quiet()
    with open(top / "a", "w") as file:  # slowly, in pieces
        for n in range(5):
            file.write(f"piece {n} ")
            file.flush()
            time.sleep(0.03)
    rounds = w.rounds
    while "piece 4" not in w.next():
        assert w.rounds < rounds + 4, "each piece was a build of its own"
    w.quiet()


def test_dockerfile_ignore_file_and_failures(mica, watch, context):
    """A build that fails waits for the next change, whatever it failed of."""
    top = context({"Dockerfile": "FROM busybox\nCOPY a /a\n", "a": "a", "b": "b"})
    w = watch(top)
    w.next()
    (top / "Dockerfile").write_text("FROM busybox\nCOPY a /a\nRUN exit 7\n")
    text = w.next()
    assert "Dockerfile: changed" in text and "exit code: 7" in text
    (top / "Dockerfile").write_text("FROM busybox\nNONSENSE\n")
    assert "NONSENSE" in w.next()
    (top / "Dockerfile").unlink()
    assert "Dockerfile: removed" in w.next()
    (top / "Dockerfile").write_text("FROM busybox\nCOPY missing /a\n")
    assert "not found" in w.next()
    (top / "missing").write_text("there")
    assert "missing: added" in w.next()
    assert mica("run", "--rm", "app", "cat", "/a").out == "there"
    (top / ".dockerignore").write_text("missing\n")
    assert "dockerignore excludes it" in w.next()
    (top / "missing").write_text("ignored now")
    w.quiet()
    (top / ".dockerignore").unlink()
    assert ".dockerignore: removed" in w.next()
    assert mica("run", "--rm", "app", "cat", "/a").out == "ignored now"
    assert w.end(signal.SIGTERM) == 143


def test_other_inputs(watch, context, tmp_path):
    top = context({"Dockerfile": "FROM scratch\n", "bound/x": "x", "real/file": "r"})
    (top / "link").symlink_to("real")
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "e").write_text("e")
    (extra / "unused").write_text("u")
    secret = tmp_path / "token"
    secret.write_text("one")
    away = tmp_path / "away"
    away.mkdir()
    (away / "Dockerfile.x").write_text("FROM busybox\nCOPY --from=extra e /e\nCOPY link/file /l\n"
                                       "RUN --mount=type=bind,source=bound,target=/b --mount=type=secret,id=t cat /b/x /e /run/secrets/t\n")
    w = watch(top, "-f", away / "Dockerfile.x", "--build-context", f"extra={extra}", "--secret", f"id=t,src={secret}")
    assert "xeone" in w.next()
    (extra / "e").write_text("E")
    assert "e: changed" in w.next()
    (top / "bound/x").write_text("X")
    assert "bound/x: changed" in w.next()
    (top / "real/file").write_text("R")  # behind a symbolic link
    assert "real/file: changed" in w.next()
    secret.write_text("two")
    assert "token: changed" in w.next()
    (away / "Dockerfile.x").write_text("FROM busybox\nCOPY --from=extra e /e\n")
    assert "Dockerfile.x: changed" in w.next()
    # Not used any more.
    (top / "bound/x").write_text("Y")
    (extra / "unused").write_text("U")
    w.quiet()


def test_every_link_of_a_chain(mica, watch, context, tmp_path):
    """A link on the way, to the Dockerfile, the context or inside of it, that leads elsewhere is a change."""
    top = context({"Dockerfile": "FROM busybox\nCOPY first/file /f\nRUN cat /f\n", "one/file": "one", "two/file": "two"})
    (top / "links").mkdir()
    (top / "first").symlink_to("links/second")
    (top / "links/second").symlink_to("../third")
    (top / "third").symlink_to("/one")  # from the root of the context
    away = tmp_path / "away"
    (away / "in").mkdir(parents=True)
    (away / "in/real").write_text((top / "Dockerfile").read_text())
    (away / "in/other").write_text("FROM busybox\nCOPY first/file /g\nRUN cat /g && echo other\n")
    (away / "in/middle").symlink_to("real")
    (away / "dir").symlink_to("in")
    (away / "Dockerfile").symlink_to("dir/middle")
    (tmp_path / "context").symlink_to(top)
    w = watch(tmp_path / "context", "-f", away / "Dockerfile")
    assert "one" in w.next()

    def move(link, target):
        link.with_name("new").symlink_to(target)
        link.with_name("new").rename(link)

    move(top / "third", "two")
    assert "two" in w.next()
    move(top / "links/second", "../one")
    assert "second" in w.next()
    move(away / "in/middle", "other")
    assert "other" in w.next()
    (away / "in2").mkdir()
    (away / "in2/middle").write_text("FROM busybox\nRUN echo in2\n")
    move(away / "dir", "in2")
    assert "in2" in w.next()
    (away / "in/other").write_text("not on the way any more")
    w.quiet()
    (away / "in2/middle").write_text("FROM busybox\nRUN echo again\n")
    assert "again" in w.next()


def test_ignore_file_of_the_dockerfile(mica, watch, context):
    top = context({"x.Dockerfile": "FROM busybox\nCOPY . /all\nRUN ls /all\n", "a": "a", "b": "b", ".dockerignore": "b\n"})
    w = watch(top, "-f", top / "x.Dockerfile")
    w.next()
    assert mica("run", "--rm", "app", "ls", "/all").out.split() == ["a", "x.Dockerfile"]
    (top / "x.Dockerfile.dockerignore").write_text("a\nx*\n")
    assert "x.Dockerfile.dockerignore: added" in w.next()
    assert mica("run", "--rm", "app", "ls", "/all").out.split() == ["b"]
    (top / ".dockerignore").write_text("*\n")  # has no say while the other one is there
    (top / "x.Dockerfile.dockerignore").unlink()
    assert "removed" in w.next()


def test_what_cannot_be_watched_is_named(mica, watch, context, site):
    site.files["f"] = b"content"
    work, _ = make_repository(site.top, "r", {"f": "x"})
    top = context({"Dockerfile": f"FROM busybox\nADD {site.url}/f /f\nADD {site.url}/r.git /r\nCOPY l /l\nRUN cat /f /r/f /l\n", "l": "local"})
    w = watch(top)
    text = w.next()
    assert f"not watched, but asked at each build: {site.url}/f\n" in text and f"asked at each build: {site.url}/r.git" in text
    site.files["f"] = b"second"
    commit_files(work, {"f": "y"})
    w.quiet(0.5)
    (top / "l").write_text("changed")
    assert "secondychanged" in w.next(), "a build for another reason sees them"
    assert "--watch needs a directory as the build context" in mica.fails(1, "build", "--watch", f"{site.url}/r.git").err


def test_changes_while_it_builds(mica, watch, context):
    """Nothing that changes while a build runs is lost, not even in the first one."""
    top = context({"Dockerfile": "FROM busybox\nCOPY a /a\nRUN echo begun; sleep 2\n", "a": "1"})
    w = watch(top)
    deadline = time.monotonic() + 30
    while "begun\n" not in w.text:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (top / "a").write_text("2")
    text = w.next(2)
    assert "a: changed" in text
    assert mica("run", "--rm", "app", "cat", "/a").out == "2"
    w.quiet()
    (top / "a").write_text("3")
    deadline = time.monotonic() + 30
    while w.text.split(WATCHING)[-1].count("begun\n") < 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (top / "a").write_text("4")
    w.next(2)
    assert mica("run", "--rm", "app", "cat", "/a").out == "4"
    w.quiet()
    (top / "a").write_text("5")
    deadline = time.monotonic() + 30
    while w.text.split(WATCHING)[-1].count("begun\n") < 1:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert w.end() == 130  # Ctrl-C in the middle of a build


def test_what_the_build_writes_does_not_count(watch, context):
    top = context({"Dockerfile": "FROM busybox\nCOPY . /all\n", "a": "1"})
    w = watch(top, "--iidfile", top / "id.txt", "--metadata-file", top / "meta.json", "--cache-to", f"type=local,dest={top}/cache")
    w.next()
    while True:
        time.sleep(1.5)
        if w.text.count(WATCHING) == w.rounds:
            break
        w.next()
        assert w.rounds <= 2  # what the first build wrote is new in the context once
    (top / "a").write_text("2")
    assert "a: changed" in w.next()
    w.quiet()


def test_many_files_and_limits(mica, watch, context):
    top = context({"Dockerfile": "FROM scratch\nCOPY . /\n", ".dockerignore": "node_modules\n"})
    for d in range(100):
        (top / f"d{d}").mkdir()
        for f in range(30):
            (top / f"d{d}/f{f}").write_text("x")
    (top / "node_modules").mkdir()
    for d in range(50):
        (top / f"node_modules/m{d}").mkdir()
    w = watch(top)
    assert "watching" in w.next() + w.text
    directories = int(re.search(r"watching (\d+) directories", w.text).group(1))
    assert 101 <= directories <= 103
    (top / "d50/f20").write_text("y")
    assert "d50/f20: changed" in w.next()
    (top / "node_modules/m1/x").write_text("ignored")
    w.quiet()
    for d in range(100):
        (top / f"d{d}/f1").write_text("z")
    assert "and 90 more" in w.next()
    assert w.end() == 130


def test_too_many_watches(mica, busybox, context):
    """The kernel's limit is told with the name of the setting."""
    top = context({"Dockerfile": "FROM scratch\nCOPY . /\n"})
    for d in range(30):
        (top / f"d{d}").mkdir()
    # In a user namespace of its own: /proc/sys/user is that namespace's, /proc/sys/fs would be everybody's.
    script = f"echo 10 > /proc/sys/user/max_inotify_watches && exec {mica.path} build --watch {top}"
    result = subprocess.run([shutil.which("unshare"), "--user", "--map-root-user", "--mount", "sh", "-c", script], env=mica.env, capture_output=True, timeout=60)
    if b"ermission denied" in result.stderr or b"annot create" in result.stderr or b"Read-only" in result.stderr:
        pytest.skip("a user namespace may not set its limit of inotify watches here")
    assert result.returncode == 1 and b"fs.inotify.max_user_watches" in result.stderr, result.stderr


def test_errors(mica, busybox, context):
    top = context({"Dockerfile": "FROM busybox\n"})
    assert "--watch needs a directory" in mica.fails(1, "build", "--watch", "-", input="FROM busybox\n").err
    assert "cannot be used with" in mica.fails(1, "build", "--watch", "--check", top).err
    assert mica.fails(1, "build", "--watch", top / "none").err
    assert "invalid tag" in mica.fails(1, "build", "--watch", "-t", "UPPER:?", top).err

"""Base images from Debian's archive, and the examples that stand on them. Needs the archive (and, for Flask, PyPI) to be reachable."""
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
from conftest import ROOT, Mica, require_root, require_tool
from ports import free_port

EXAMPLES = ROOT / "examples"
EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}
DISTROLESS = ("bootstrap", "-q", "--include", "python3.11,python3-minimal", "-t", "python:3.11-distroless", "debian:bookworm-distroless")


# This machine's lists are other ones meanwhile, so that it can be seen whether they stay.
WITH_LISTS = """
mount -t tmpfs lists /var/lib/apt/lists && touch /var/lib/apt/lists/example.com_dists_stable_InRelease || exit 1
to=$1
shift
"$@" && ls /var/lib/apt/lists > "$to"
"""


@pytest.fixture(scope="session")
def bases(mica_path, tmp_path_factory):
    """A store with debian:bookworm-slim, shared by these tests."""
    require_root()
    require_tool("mmdebstrap")
    top = tmp_path_factory.mktemp("bases")
    (top / "home").mkdir()
    mica = Mica(mica_path, top / "store", top / "home")
    subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", WITH_LISTS, "sh", top / "lists", mica.path, "bootstrap", "-q", "debian:bookworm-slim"],
                   env=mica.env, check=True, timeout=300)
    mica.lists_of_host = (top / "lists").read_text().split()
    yield mica
    mica.clean()
    shutil.rmtree(top, ignore_errors=True)


def build(mica, tag, context, *options, dockerfile=None):
    """Builds with plain progress; returns its text."""
    file = ["-f", dockerfile] if dockerfile else []
    return mica("build", "--host-ca", "--progress", "plain", "-t", tag, *file, *options, context, timeout=600).err


def cached_steps(text):
    """Headers of the steps that came from the cache."""
    names = {}
    for line in text.splitlines():
        number, _, rest = line.partition(" ")
        if rest.startswith("["):
            names[number] = rest
        elif rest == "CACHED":
            yield names[number]


def test_slim_base_is_small_and_has_what_debian_has(bases):
    image = bases.image("debian:bookworm-slim")
    assert image["Config"]["Cmd"] == ["bash"]
    assert image["Size"] < 85e6
    assert len(image["RootFS"]["Layers"]) == 1


def test_apt_works_inside_the_slim_base_and_leaves_no_lists(bases, context):
    where = context({"Dockerfile": "FROM debian:bookworm-slim\n"
                                   "RUN ls /usr/share/man /usr/share/info 2>/dev/null | wc -l; ls /var/lib/apt/lists | wc -l; cat /etc/apt/sources.list\n"
                                   "RUN apt-get update && apt-get install -y --no-install-recommends hello && hello && test ! -e /usr/share/man/man1/hello.1.gz\n"})
    text = build(bases, "apt", where)
    assert "Hello, world!" in text
    assert "deb http" in text


def test_distroless_runs_python_without_a_shell(bases):
    bases(*DISTROLESS, timeout=300)
    image = bases.image("python:3.11-distroless")
    assert image["Config"]["User"] == "65532"
    assert image["Size"] < 60e6
    assert bases("run", "--rm", "--network", "none", "python:3.11-distroless", "python3", "-c", "import os, ssl, sqlite3; print(os.getuid())").out == "65532\n"
    assert bases.run("run", "--rm", "--network", "none", "python:3.11-distroless", "sh", "-c", "true").code == 127
    status = bases("run", "--rm", "--network", "none", "python:3.11-distroless", "python3", "-c", "print(open('/var/lib/dpkg/status').read())").out
    assert "Package: libpython3.11-stdlib\nStatus: install ok installed\n" in status
    assert "Package: dpkg\n" not in status and "Package: bash\n" not in status


def test_trixie(bases):
    """The other suite: its Python, and its own release in os-release."""
    bases("bootstrap", "-q", "--include", "python3", "-t", "trixie", "debian:13-distroless", timeout=300)
    script = "import sys; print(sys.version_info[:2]); print([line for line in open('/etc/os-release') if 'CODENAME' in line])"
    out = bases("run", "--rm", "--network", "none", "trixie", "python3", "-c", script).out
    assert "(3, 13)" in out and "trixie" in out


def test_bases_are_reproducible(bases, make_mica):
    other = make_mica()
    first = bases("bootstrap", "-q", "-t", "repro:1", "debian:bookworm-distroless", env=EPOCH, timeout=300).out
    assert first.startswith("sha256:")
    assert other("bootstrap", "-q", "-t", "other:2", "debian:bookworm-distroless", env=EPOCH, timeout=300).out == first


def test_busybox_is_small_and_takes_any_name(bases):
    bases("bootstrap", "-q", "-t", "alpine:latest", "-t", "busybox:1", "busybox")
    image = bases.image("alpine:latest")
    assert image["Size"] < 2.5e6
    assert sorted(image["RepoTags"]) == ["alpine:latest", "busybox:1"]
    assert bases("run", "--rm", "--network", "none", "alpine", "sh", "-c", "echo $((6 * 7))").out == "42\n"


@pytest.mark.parametrize("arguments, message", [
    (["debian:sarge"], "unknown suite 'sarge'; known are bookworm (12) and trixie (13)"),
    (["fedora:40"], "cannot make 'fedora:40'"),
    (["--variant", "tiny", "debian:bookworm"], "unknown variant 'tiny'; known are slim, full and distroless"),
    (["--variant", "full", "debian:bookworm-slim"], "contradict"),
    (["--include", "a;b", "debian:bookworm-slim"], "invalid package name 'a;b'"),
    (["-t", "Upper:case", "busybox"], "must be lowercase"),
])
def test_wrong_sources_are_refused_at_once(mica, arguments, message):
    assert message in mica.fails(1, "bootstrap", *arguments).err


def test_an_unknown_package_is_named(bases):
    result = bases.fails(1, "bootstrap", "--include", "no-such-package", "debian:bookworm-distroless", timeout=300)
    assert "Debian 12 (bookworm) has no package 'no-such-package': see https://packages.debian.org/bookworm/" in result.err.splitlines()[-1] and "apt" not in result.err.splitlines()[-1], result


def test_an_archive_that_is_not_there(mica):
    require_root()
    result = mica.fails(1, "bootstrap", "--mirror", "http://127.0.0.1:1/debian", "busybox")
    assert "the archive cannot be read" in result.err and "--mirror" in result.err and result.err.splitlines()[-1].startswith("mica: cannot make 'busybox'"), result


def test_who_is_not_root_makes_one_too(mica_path, tmp_path):
    require_root()
    own = tmp_path / "mica"
    shutil.copy(mica_path, own)
    for path in (own, *list(own.parents)[:-2]):
        path.chmod(0o755)
    root = pathlib.Path(f"/tmp/mica-nobody-{os.getpid()}")
    run_dir = tmp_path / "run"
    run_dir.mkdir(mode=0o700)
    os.chown(run_dir, 65534, 65534)
    environment = {"HOME": "/nonexistent", "MICA_ROOT": str(root), "XDG_RUNTIME_DIR": str(run_dir), "PATH": os.environ["PATH"]}
    command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", own, "bootstrap", "busybox"]
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True)
    owner = root.stat().st_uid if root.exists() else None
    shutil.rmtree(root, ignore_errors=True)
    assert done.returncode == 0 and owner == 65534, done


def test_the_lists_of_this_machine_stay(bases):
    """apt was once run without the configuration of the new root, and emptied the lists of who made a base."""
    assert bases.lists_of_host == ["example.com_dists_stable_InRelease"]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_bootstrap_leaves_nothing(mica, end):
    """No mount, no process, no half-made root: neither when asked to stop nor when killed."""
    require_root()
    job = mica.popen("bootstrap", "debian:bookworm-distroless")
    for line in job.stderr:
        if b"downloading" in line or b"apt-get update" in line:
            break
    job.send_signal(end)
    rest = job.stderr.read()
    assert job.wait(timeout=30) == (1 if end == signal.SIGINT else -9)
    assert end != signal.SIGINT or b"cancelled" in rest

    def left():
        processes = subprocess.run(["ps", "axww", "-o", "args"], stdout=subprocess.PIPE, text=True).stdout
        return [line for line in processes.splitlines() if str(mica.root) in line] + [line for line in open("/proc/self/mounts") if str(mica.root) in line]

    # Asked to stop, it unmounts and removes; killed, all that it started goes with it.
    deadline = time.monotonic() + 30
    while left() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left() == []
    mica("system", "prune", "-f")
    assert list((mica.root / "tmp").iterdir()) == [] and list((mica.root / "layers").iterdir()) == []
    assert mica("images", "-q").out == ""
    mica("fsck")


# --- the founding examples ---


def test_apt_python_reuses_the_layers_before_the_code(bases, tmp_path):
    where = tmp_path / "apt-python"
    shutil.copytree(EXAMPLES / "apt-python", where)
    build(bases, "apt-python", where)
    assert bases("run", "--rm", "--network", "none", "apt-python").out == "hello from a layer of its own\n"
    first = bases.image("apt-python")["RootFS"]["Layers"]
    (where / "app.py").write_text("print('changed')\n")
    started = time.monotonic()
    text = build(bases, "apt-python", where)
    assert time.monotonic() - started < 1.0, "one line of app.py must not cost what the packages cost"
    assert any("RUN apt-get update" in name for name in cached_steps(text))
    second = bases.image("apt-python")["RootFS"]["Layers"]
    assert second[:-1] == first[:-1] and second[-1] != first[-1]
    assert bases("run", "--rm", "--network", "none", "apt-python").out == "changed\n"


def test_non_root_user(bases):
    build(bases, "non-root", EXAMPLES / "non-root")
    out = bases("run", "--rm", "--network", "none", "non-root").out
    assert out.startswith("uid=1000(app) gid=1000(app)")


def test_two_images_share_their_base(bases):
    build(bases, "shared-one", EXAMPLES / "shared-base", dockerfile=EXAMPLES / "shared-base/Dockerfile.one")
    build(bases, "shared-two", EXAMPLES / "shared-base", dockerfile=EXAMPLES / "shared-base/Dockerfile.two")
    one, two = (bases.image(name)["RootFS"]["Layers"] for name in ("shared-one", "shared-two"))
    assert one[0] == two[0] and one[1] != two[1]
    rows = {line.split()[0]: line for line in bases("system", "df", "-v").lines if line.startswith("shared-")}
    for name in ("shared-one", "shared-two"):
        shared, unique = rows[name].split()[-3:-1]
        assert shared.endswith("MB") and float(shared[:-2]) > 50, rows[name]
        assert unique.endswith("B") and not unique.endswith("MB"), rows[name]


def test_flask_case_study(bases, tmp_path):
    """The slim case: builds with hashes from PyPI, answers over HTTP, and a change of app.py makes only what is behind it."""
    bases("build", "--host-ca", "-q", "-t", "python:3.11-slim", "-f", EXAMPLES / "bases/python-slim.Dockerfile", EXAMPLES / "bases", timeout=600)
    where = tmp_path / "flask"
    shutil.copytree(EXAMPLES / "flask", where)
    build(bases, "flask-slim", where)
    image = bases.image("flask-slim")
    assert image["Config"]["User"] == "app"
    source = where / "app.py"
    source.write_text(source.read_text().replace('VERSION = "1.0.0"', 'VERSION = "1.0.1"'))
    cached = list(cached_steps(build(bases, "flask-slim", where)))
    assert any("pip install" in name for name in cached) and not any("app.py" in name for name in cached)
    port = free_port()
    container = bases("run", "-d", "--network", "host", "-e", "HOST=127.0.0.1", "-e", f"PORT={port}", "flask-slim").out.strip()
    try:
        answer = subprocess.run(["curl", "-sS", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", f"http://127.0.0.1:{port}/"],
                                stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
    finally:
        bases("rm", "-f", container)
    assert answer == "Hello from mica, version 1.0.1\n"


@pytest.mark.slow
def test_go_service_is_a_few_megabytes(bases):
    bases("bootstrap", "-q", "busybox")
    bases("bootstrap", "-q", "debian:trixie-slim", timeout=300)
    bases("build", "--host-ca", "-q", "-t", "golang", "-f", EXAMPLES / "bases/golang.Dockerfile", EXAMPLES / "bases", timeout=900)
    build(bases, "go-service", EXAMPLES / "go-service")
    assert bases.image("go-service")["Size"] < 12e6
    assert bases("run", "--rm", "--network", "none", "go-service", "-once").out == "hello from go\n"

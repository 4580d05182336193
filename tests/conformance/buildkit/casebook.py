"""A case: a Dockerfile, the files of its context, options in the words of `docker build`. Collected from cases/*.py.

    case("copy-dir", "FROM busybox\nCOPY d /d\n", {"d/f": "text"}, "--build-arg", "A=1")

What a file of the context may be is written at make_context(). A case with fails= must fail, in BuildKit and in mica, with a message that matches it.

    context=      what is built instead of the directory of the files: a URL, or "-" with stdin= (bytes)
    beside=       files that lie outside of the context, in @BESIDE@
    environment=  variables for the client

A case without a Dockerfile (None) says nothing about where it is, unless by -f. In Dockerfiles, files, options and context, @HTTP@ is the base URL of the test's web server, which serves WEB and
the repositories, @GIT@ serves them by git's protocol, @CONTEXT@ and @BESIDE@ are directories, @COMMIT:NAME@ is a commit of repositories.py (@COMMIT:NAME:8@: its first digits).
"""
import importlib
import io
import os
import pathlib
import re
import socket
import tarfile
import zlib

HERE = pathlib.Path(__file__).resolve().parent
TIME = 1700000000
NOW_FROM = 1750000000  # what is later than this was "now" when the image was built: no case uses such a date


class Case:
    def __init__(self, topic, name, dockerfile, files, options, fails, dockerfile_name, context=None, stdin=None, environment=None, beside=None):
        self.topic, self.name, self.dockerfile, self.files, self.options = topic, name, dockerfile, files, options
        self.fails, self.dockerfile_name = fails, dockerfile_name
        self.context, self.stdin, self.environment, self.beside = context or "@CONTEXT@", stdin, environment or {}, beside or {}

    def plain(self):
        """A directory with a Dockerfile: what buildctl can be given as it is."""
        return self.context == "@CONTEXT@" and self.dockerfile is not None and self.topic != "inputs"

    def write(self, directory, http, commits, git):
        """Makes the files for a build in `directory`. Returns (options with -f, context, environment), their places filled in."""
        beside = directory.with_name(directory.name + ".beside")

        def fill(text):
            if not isinstance(text, str):
                return text
            text = text.replace("@HTTP@", http).replace("@HOST@", http.removeprefix("http://")).replace("@GIT@", git).replace("@CONTEXT@", str(directory)).replace("@BESIDE@", str(beside))
            return re.sub(r"@COMMIT:(\w+)(?::(\d+))?@", lambda found: commits[found.group(1)][:int(found.group(2) or 40)], text)

        files = dict(self.files)
        if self.dockerfile is not None:
            files[self.dockerfile_name] = self.dockerfile if isinstance(self.dockerfile, bytes) else fill(self.dockerfile)
        fraction = zlib.crc32(self.name.encode()) % 10**9
        make_context(directory, {name: fill(content) for name, content in files.items()}, fraction)
        if self.beside:
            make_context(beside, {name: fill(content) for name, content in self.beside.items()}, fraction)
        options = ["-f", str(directory / self.dockerfile_name)] if self.dockerfile is not None and "-f" not in self.options else []
        return options + [fill(option) for option in self.options], fill(self.context), {name: fill(value) for name, value in self.environment.items()}


class Topic:
    """The cases of one file: `case = Topic("copy")` makes the function that adds to it."""

    def __init__(self, name):
        self.name, self.cases = name, []

    def __call__(self, name, dockerfile, files=None, *options, fails=None, dockerfile_name="Dockerfile", **more):
        self.cases.append(Case(self.name, name, dockerfile, files or {}, list(options), fails, dockerfile_name, **more))


def load_cases():
    cases = []
    for path in sorted((HERE / "cases").glob("*.py")):
        module = importlib.import_module("cases." + path.stem)
        cases += module.case.cases
    names = [case.name for case in cases]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, f"two cases have one name: {twice}"
    return cases


def make_context(directory, files, fraction=0):
    """Files by path: text or bytes; ("file", content, mode[, mtime]); ("dir", mode); ("symlink", target); ("link", path); ("fifo", mode); ("xattr", content, {name: bytes});
    ("socket",). Every time is TIME unless given, so that what is copied has a known one; `fraction` are its nanoseconds, which no layer keeps: they are another number for
    each case, because BuildKit takes a file of one name, size and time for the one it already has from another context."""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    times = {}
    for name, content in files.items():
        path = os.path.join(os.fsencode(directory), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        kind = content[0] if isinstance(content, tuple) else "file"
        if kind == "dir":
            os.makedirs(path, exist_ok=True)
            os.chmod(path, content[1])
        elif kind == "symlink":
            os.symlink(os.fsencode(content[1]), path)
        elif kind == "link":
            os.link(os.path.join(os.fsencode(directory), os.fsencode(content[1])), path)
        elif kind == "fifo":
            os.mkfifo(path)
            os.chmod(path, content[1])
        elif kind == "socket":
            make_socket(path)
        else:
            data, mode = (content, 0o644) if not isinstance(content, tuple) else (content[1], content[2] if kind == "file" else 0o644)
            with open(path, "wb") as file:
                file.write(data.encode() if isinstance(data, str) else data)
            os.chmod(path, mode)
            if kind == "xattr":
                for key, value in content[2].items():
                    os.setxattr(path, key, value)
            if kind == "file" and isinstance(content, tuple) and len(content) > 3:
                times[path] = content[3]
    for top, dirs, names in os.walk(os.fsencode(directory), topdown=False):
        for name in [*names, *dirs]:
            path = os.path.join(top, name)
            when = int(times[path] * 10**9) if path in times else TIME * 10**9 + fraction
            os.utime(path, ns=(when, when), follow_symlinks=False)
    os.utime(directory, ns=(TIME * 10**9 + fraction,) * 2)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        try:
            os.chdir(os.path.dirname(path))  # the name of a socket may not be long
            s.bind(os.path.basename(path))
        finally:
            os.chdir(here)


def tar(members, mode="w"):
    """An archive: [(name, content)] where content is text, bytes, ("dir", mode), ("symlink", target), ("link", target), ("file", data, mode), ("dev", major, minor), ("fifo",)
    and each may end in a dict of TarInfo's fields."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=tarfile.PAX_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.mtime = 1600000000
            data = b""
            fields = {}
            if isinstance(content, tuple):
                *content, fields = content if isinstance(content[-1], dict) else (*content, {})
                kind = content[0]
                if kind == "dir":
                    info.type, info.mode = tarfile.DIRTYPE, content[1]
                elif kind in ("symlink", "link"):
                    info.type, info.linkname, info.mode = (tarfile.SYMTYPE if kind == "symlink" else tarfile.LNKTYPE), content[1], 0o777
                elif kind == "dev":
                    info.type, info.devmajor, info.devminor, info.mode = tarfile.CHRTYPE, content[1], content[2], 0o620
                elif kind == "fifo":
                    info.type, info.mode = tarfile.FIFOTYPE, 0o640
                else:
                    data, info.mode = content[1], content[2] if len(content) > 2 else 0o644
            else:
                data, info.mode = content, 0o644
            data = data.encode() if isinstance(data, str) else data
            info.size = len(data)
            for key, value in fields.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()

"""A web server on loopback for the tests of inputs: git repositories through git's own http backend, files with validators, passwords, and bad manners."""
import base64
import contextlib
import hashlib
import http.server
import os
import signal
import subprocess
import threading
import time

from ports import await_port, free_port

GIT_ENV = {
    **os.environ,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.invalid",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.invalid",
    "GIT_AUTHOR_DATE": "2024-01-02T03:04:05Z",
    "GIT_COMMITTER_DATE": "2024-01-02T03:04:05Z",
}


def git(directory, *args):
    return subprocess.run(["git", "-C", str(directory), *map(str, args)], env=GIT_ENV, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True).stdout.strip()


@contextlib.contextmanager
def git_daemon(top):
    """The repositories of a directory by git's own protocol, while it lasts: "git://127.0.0.1:PORT"."""
    port = free_port()
    daemon = subprocess.Popen(["git", "-c", "safe.directory=*", "-c", "protocol.version=0", "daemon", "--reuseaddr", "--export-all", "--listen=127.0.0.1", f"--port={port}",
                               f"--base-path={top}"], stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        await_port(port)
        yield f"git://127.0.0.1:{port}"
    finally:
        os.killpg(daemon.pid, signal.SIGKILL)
        daemon.wait()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def allowed(self):
        wanted = self.server.passwords.get(self.path.split("/")[1])
        return wanted is None or self.headers.get("Authorization", "") == wanted

    def do_GET(self):
        site = self.server
        path = self.path.split("?")[0]
        site.requests.append((self.command, self.path, dict(self.headers)))
        if not self.allowed():
            return self.answer(401, b"no", WWW_Authenticate='Basic realm="x"')
        if ".git/" in path and not path.startswith("/slow/"):
            return self.run_git(path)
        if path.startswith("/redirect/"):
            return self.answer(302, Location="/" + path[len("/redirect/"):])
        if path.startswith("/slow/"):
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            for _ in range(300):
                try:
                    self.wfile.write(b"x")
                    self.wfile.flush()
                except OSError:
                    return None
                time.sleep(0.1)
            return None
        if path.startswith("/cut/"):
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"only this")
            self.close_connection = True
            return None
        body = site.files.get(path.lstrip("/"))
        if body is None:
            return self.answer(404, b"no")
        headers = {"Last_Modified": "Tue, 02 Jan 2024 03:04:05 GMT"}
        if site.etags:
            headers["ETag"] = '"%s"' % hashlib.sha256(body).hexdigest()[:16]
            if headers["ETag"] in self.headers.get("If-None-Match", ""):
                return self.answer(304, **headers)
        return self.answer(200, body, **headers)

    do_HEAD = do_GET
    do_POST = do_GET

    def run_git(self, path):
        if self.command == "POST" and self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while True:
                size = int(self.rfile.readline(), 16)
                body += self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    break
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        env = {
            **GIT_ENV,
            "GIT_PROJECT_ROOT": str(self.server.git_root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": self.path.partition("?")[2],
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "REMOTE_ADDR": "127.0.0.1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        if self.headers.get("Content-Encoding"):
            env["HTTP_CONTENT_ENCODING"] = self.headers["Content-Encoding"]
        done = subprocess.run(["git", "-c", "safe.directory=*", "http-backend"], input=body, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        status, headers = 200, {}
        for line in head.decode().splitlines():
            name, _, value = line.partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            else:
                headers[name.replace("-", "_")] = value
        self.answer(status, rest, **headers)


class Site:
    """files: path -> bytes. passwords: first part of a path -> the Authorization header it wants. top: the directory of the repositories, made if it is missing."""

    def __init__(self, top):
        self.top = top
        top.mkdir(exist_ok=True)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.files, self.server.passwords, self.server.requests = {}, {}, []
        self.server.git_root, self.server.etags = top, True
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    files = property(lambda self: self.server.files)
    passwords = property(lambda self: self.server.passwords)
    requests = property(lambda self: self.server.requests)

    @property
    def host(self):
        return "127.0.0.1:%d" % self.server.server_port

    @property
    def url(self):
        return "http://" + self.host

    def gets(self, method="GET"):
        return [path for verb, path, _ in self.requests if verb == method]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def basic(user, password):
    return "basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def make_repository(top, name, files, bare=True):
    """A work tree at top/name with one commit on main. Served as /name.git. Returns (work tree, commit)."""
    work = top / name
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    commit_files(work, files)
    link = top / f"{name}.git"
    if not link.exists():
        link.symlink_to(work / ".git")
    return work, git(work, "rev-parse", "HEAD")


def commit_files(work, files, message="change"):
    for path, content in files.items():
        target = work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o644
        if isinstance(content, tuple):
            content, mode = content
        target.write_text(content)
        target.chmod(mode)
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", message)
    return git(work, "rev-parse", "HEAD")

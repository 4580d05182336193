"""The web server of the cases (ADD and contexts from http and git), and for the recorder a registry that can only be read, of an OCI layout."""
import base64
import bz2
import gzip
import http.server
import lzma
import pathlib
import sys
import threading

from casebook import tar

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "e2e"))

import git_server  # noqa: E402

LAST_MODIFIED = "Wed, 21 Oct 2015 07:28:00 GMT"
INNER = [("inner/a", "archive\n"), ("inner/b", ("symlink", "a"))]
CONTEXT = [("Dockerfile", "FROM busybox\nCOPY . /c/\n"), ("d", ("dir", 0o711, {"uid": 5, "gid": 6})), ("d/f", ("file", "in a tar\n", 0o640, {"uid": 1000, "gid": 7})), ("l", ("symlink", "d/f")),
           ("h", ("link", "d/f", {"mode": 0o640, "uid": 1000, "gid": 7})), (".dockerignore", "l\n"), ("Other", "FROM busybox\nCOPY d/f /other\n"), ("sub/Dockerfile", "FROM busybox\nCOPY d/f /sub\n")]
WEB = {  # path: (body, headers)
    "/file.txt": (b"from the web\n", {"Last-Modified": LAST_MODIFIED}),
    "/undated": (b"no date\n", {}),
    "/named": (b"named by the server\n", {"Last-Modified": LAST_MODIFIED, "Content-Disposition": 'attachment; filename="given.bin"'}),
    "/archive.tar": (tar(INNER), {"Last-Modified": LAST_MODIFIED}),
    "/archive.tgz": (gzip.compress(tar(INNER), mtime=0), {"Last-Modified": LAST_MODIFIED}),
    "/context.tar": (tar(CONTEXT), {}),
    "/context.tgz": (gzip.compress(tar(CONTEXT), mtime=0), {}),
    "/context.tar.xz": (lzma.compress(tar(CONTEXT)), {}),
    "/context.tar.bz2": (bz2.compress(tar(CONTEXT)), {}),
    "/Dockerfile": (b"FROM busybox\nRUN echo web >/web\n", {}),
    "/itself": (b"FROM busybox\nCOPY * /all/\n", {}),
    "/dir/with%20space": (b"spaced\n", {"Last-Modified": LAST_MODIFIED}),
}


PASSWORDS = ("bearer letmein", "basic " + base64.b64encode(b"x-access-token:letmein").decode().lower())  # of what is below /private/NAME


class Handler(git_server.Handler):
    layout, names = None, {}

    def do_GET(self):
        path = self.path.split("?")[0]
        if path.startswith("/private/"):
            if self.headers.get("Authorization", "").lower() not in PASSWORDS:
                return self.answer(401, b"no", WWW_Authenticate='Basic realm="x"')
            path = "/" + path.split("/", 3)[3]  # /private/NAME/…: BuildKit remembers what it got from a URL, whoever asked
        if ".git/" in path:
            return self.run_git(path)
        if path.startswith("/v2/") and self.layout:
            return self.registry(path)
        if path == "/moved.tar":
            return self.answer(302, Location="/context.tar")
        if path == "/moved":
            return self.answer(302, Location="/file.txt")
        body, headers = WEB.get(path, (None, {}))
        return self.answer(404) if body is None else self.answer(200, body, **{"ETag": f'"{hash(body)}"', **headers})

    def registry(self, path):
        parts = path.strip("/").split("/")
        if len(parts) < 4:
            return self.answer(200)
        kind, ref = parts[-2], parts[-1]
        digest = ref if ref.startswith("sha256:") else self.names.get(parts[-3]) if ref == "latest" else None
        blob = pathlib.Path(self.layout) / "blobs/sha256" / (digest or "sha256:none").split(":")[1]
        if not blob.exists():
            return self.answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        media_type = "application/vnd.oci.image.manifest.v1+json" if kind == "manifests" else "application/octet-stream"
        return self.answer(200, blob.read_bytes(), Content_Type=media_type, Docker_Content_Digest=digest)


    do_HEAD = do_GET
    do_POST = do_GET


def serve(layout=None, names=None, repositories=None):
    """Starts the server on a free port of the loopback device. Returns (server, "http://127.0.0.1:PORT")."""
    handler = type("Bound", (Handler,), {"layout": layout, "names": names or {}})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads, server.git_root = True, repositories
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}"

"""The web server of the cases (ADD from http), and for the recorder a registry that can only be read, of an OCI layout."""
import gzip
import http.server
import pathlib
import threading

from casebook import tar

LAST_MODIFIED = "Wed, 21 Oct 2015 07:28:00 GMT"
INNER = [("inner/a", "archive\n"), ("inner/b", ("symlink", "a"))]
WEB = {  # path: (body, headers)
    "/file.txt": (b"from the web\n", {"Last-Modified": LAST_MODIFIED}),
    "/undated": (b"no date\n", {}),
    "/named": (b"named by the server\n", {"Last-Modified": LAST_MODIFIED, "Content-Disposition": 'attachment; filename="given.bin"'}),
    "/archive.tar": (tar(INNER), {"Last-Modified": LAST_MODIFIED}),
    "/archive.tgz": (gzip.compress(tar(INNER), mtime=0), {"Last-Modified": LAST_MODIFIED}),
    "/dir/with%20space": (b"spaced\n", {"Last-Modified": LAST_MODIFIED}),
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    layout, names = None, {}

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def answer(self, code, body=b"", headers=()):
        self.send_response(code)
        for key, value in dict(headers).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        path = self.path.split("?")[0]
        if path.startswith("/v2/") and self.layout:
            return self.registry(path)
        if path == "/moved":
            return self.answer(302, headers={"Location": "/file.txt"})
        body, headers = WEB.get(path, (None, {}))
        return self.answer(404) if body is None else self.answer(200, body, {"ETag": f'"{hash(body)}"', **headers})

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
        return self.answer(200, blob.read_bytes(), {"Content-Type": media_type, "Docker-Content-Digest": digest})


def serve(layout=None, names=None):
    """Starts the server on a free port of the loopback device. Returns (server, "http://127.0.0.1:PORT")."""
    handler = type("Bound", (Handler,), {"layout": layout, "names": names or {}})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}"

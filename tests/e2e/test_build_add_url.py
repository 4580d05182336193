"""ADD from http: the file, its date, its checksum, and when it is fetched again."""
import hashlib
import http.server
import threading

import pytest

from build_helper import base_tar, busybox_tar, needs_busybox, needs_root, needs_tool, store  # noqa: F401

pytestmark = [needs_root, needs_tool, needs_busybox]


class Server(http.server.BaseHTTPRequestHandler):
    files = {}
    requests = []

    def do_GET(self):
        self.requests.append(self.path)
        body = self.files.get(self.path.split("?")[0])
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.send_header("Last-Modified", "Tue, 15 Nov 1994 12:45:26 GMT")
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args):
        pass


@pytest.fixture
def web():
    Server.files, Server.requests = {}, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_file_mode_date_and_name(store, web):
    Server.files["/dir/a%20b.txt"] = b"hello"
    store.build(f"FROM busybox\nADD {web}/dir/a%20b.txt?x=1 /d/\nADD {web}/dir/a%20b.txt /named\n")
    tree = store.tree()
    entry = tree["d/a b.txt"]
    assert entry.data == b"hello" and entry.mode == 0o600 and entry.mtime == 784903526 and entry.uid == 0
    assert tree["named"].data == b"hello"


def test_content_is_the_key(store, web):
    text = f"FROM busybox\nADD {web}/f /f\n"
    Server.files["/f"] = b"1"
    store.build(text)
    assert store.build(text).cached == 1
    Server.files["/f"] = b"2"
    assert store.build(text).cached == 0


def test_checksum(store, web):
    Server.files["/f"] = b"content"
    digest = hashlib.sha256(b"content").hexdigest()
    text = f"FROM busybox\nADD --checksum=sha256:{digest} {web}/f /f\n"
    store.build(text)
    n = len(Server.requests)
    assert store.build(text).cached == 1
    assert len(Server.requests) == n, "a known checksum needs no network"
    Server.files["/f"] = b"other"
    assert "digest mismatch" in store.fail(text + "# again\n", None, "--no-cache")


def test_archives_from_urls_stay_packed_unless_told(store, web, tmp_path):
    busybox_tar(tmp_path / "t.tar")
    Server.files["/t.tar"] = (tmp_path / "t.tar").read_bytes()
    store.build(f"FROM busybox\nADD {web}/t.tar /p/\nADD --unpack=true {web}/t.tar /u/\n")
    tree = store.tree()
    assert tree["p/t.tar"].isfile() and tree["u/etc/passwd"].isfile()


def test_missing_is_an_error_with_the_url(store, web):
    err = store.fail(f"FROM busybox\nADD {web}/none /f\n")
    assert "/none" in err and "404" in err


def test_git_says_what_to_do(store):
    assert "git" in store.fail("FROM busybox\nADD https://example.org/x.git /x\n")

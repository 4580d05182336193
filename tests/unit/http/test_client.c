/* ADD and import fetch from servers that nobody vouches for: redirects, sizes and silence must not hurt. The server is Python's, on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/child.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/client.h"

static const char server_script[] =
        "import http.server, sys, time\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    protocol_version = 'HTTP/1.1'\n"
        "    def log_message(self, *a): pass\n"
        "    def answer(self, status, body=b'', **headers):\n"
        "        self.send_response(status)\n"
        "        headers.setdefault('Content_Length', str(len(body)))\n"
        "        for k, v in headers.items():\n"
        "            if v is not None: self.send_header(k.replace('_', '-'), v)\n"
        "        self.end_headers()\n"
        "        if self.command != 'HEAD': self.wfile.write(body)\n"
        "    def do_HEAD(self): self.do_GET()\n"
        "    def do_GET(self):\n"
        "        p = self.path\n"
        "        if p == '/ok': self.answer(200, b'hello', Last_Modified='Wed, 21 Oct 2015 07:28:00 GMT', ETag='\"e1\"', Content_Disposition='attachment; "
        "filename=x', Content_Type='text/plain')\n"
        "        elif p == '/agent': self.answer(200, self.headers['User-Agent'].encode() + b'|' + (self.headers['X-A'] or '').encode())\n"
        "        elif p == '/etag': self.answer(304, ETag='\"e1\"') if self.headers['If-None-Match'] == '\"e1\"' else self.answer(200, b'new')\n"
        "        elif p.startswith('/hop/'):\n"
        "            n = int(p[5:])\n"
        "            self.answer(302, b'moved', Location='/ok' if n <= 1 else '/hop/%d' % (n - 1), ETag='\"redirect\"', Content_Type='text/html')\n"
        "        elif p == '/loop': self.answer(302, Location='/loop')\n"
        "        elif p == '/tofile': self.answer(302, Location='file:///etc/passwd')\n"
        "        elif p == '/short': self.close_connection = True; self.answer(200, b'hello', Content_Length='100')\n"
        "        elif p == '/endless':\n"
        "            self.close_connection = True; self.answer(200, b'', Content_Length=None)\n"
        "            try:\n"
        "                for i in range(100000): self.wfile.write(b'x' * 65536)\n"
        "            except OSError: pass\n"
        "        elif p == '/silent': self.answer(200, b'', Content_Length='10'); self.wfile.flush(); time.sleep(20)\n"
        "        elif p.startswith('/status/'): self.answer(int(p[8:]), b'an explanation that is not the file')\n"
        "        else: self.answer(404, b'no')\n"
        "s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)\n"
        "print(s.server_address[1], flush=True)\n"
        "s.serve_forever()\n";

static pid_t server;
static char base_url[64];

static int start_server(void **state)
{
        char *argv[] = { (char *)"python3", (char *)"-c", (char *)server_script, NULL };
        ChildSpec spec = CHILD_SPEC_INIT;
        _cleanup_error_ Error err = ERROR_INIT;
        char port[16];
        int pipe_fds[2];
        size_t n = 0;

        static const char *const proxies[] = { "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY" };
        for (size_t i = 0; i < ARRAY_LEN(proxies); i++)
                unsetenv(proxies[i]);
        if (pipe2(pipe_fds, O_CLOEXEC) < 0)
                return -1;
        spec.argv = argv;
        spec.stdout_fd = pipe_fds[1];
        spec.stderr_fd = 2;
        spec.die_with_parent = true;
        if (child_start(&spec, &server, &err) < 0)
                return -1;
        close(pipe_fds[1]);
        /* Python may write the number and the end of the line one after the other. */
        while (n < sizeof(port) && read(pipe_fds[0], port + n, 1) == 1 && port[n] != '\n')
                n++;
        close(pipe_fds[0]);
        if (n == 0 || n == sizeof(port))
                return -1;
        port[n] = '\0';
        snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%s", port);
        return 0;
}

static int stop_server(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT;
        int status;

        kill(server, SIGKILL);
        return child_wait(server, &status, &err);
}

static int buf_write(void *user, const void *data, size_t size, Error *err)
{
        return buf_add(user, data, size) < 0 ? error_set(err, ERROR_NO_SPACE, "buffer is full") : 0;
}

static int fetch(HttpRequest request, const char *path, Buf *out, HttpResponse *response, Error *err)
{
        _cleanup_free_ char *url = xasprintf("%s%s", base_url, path);
        const Sink sink = { buf_write, out };

        request.url = url;
        return http_fetch(&request, &sink, response, err);
}

static void test_get_and_head(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_http_response_ HttpResponse r = HTTP_RESPONSE_INIT;
        _cleanup_buf_ Buf out = BUF_INIT(4096);

        if (fetch((HttpRequest){ 0 }, "/ok", &out, &r, &err) < 0)
                fail_msg("%s", error_message(&err));
        assert_string_equal(buf_str(&out), "hello");
        assert_int_equal(r.status, 200);
        assert_int_equal(r.size, 5);
        assert_int_equal(r.content_length, 5);
        assert_string_equal(r.last_modified, "Wed, 21 Oct 2015 07:28:00 GMT");
        assert_string_equal(r.etag, "\"e1\"");
        assert_string_equal(r.content_disposition, "attachment; filename=x");
        assert_string_equal(r.content_type, "text/plain");
        http_response_done(&r);
        buf_reset(&out);
        assert_int_equal(fetch((HttpRequest){ .head = true }, "/ok", &out, &r, &err), 0);
        assert_int_equal(out.size, 0);
        assert_int_equal(r.content_length, 5);
        assert_string_equal(r.etag, "\"e1\"");
}

static void test_request_headers(void **state)
{
        static const char *const headers[] = { "X-A: b", NULL }, *const condition[] = { "If-None-Match: \"e1\"", NULL };
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_http_response_ HttpResponse r = HTTP_RESPONSE_INIT;
        _cleanup_buf_ Buf out = BUF_INIT(4096);

        assert_int_equal(fetch((HttpRequest){ .headers = headers }, "/agent", &out, &r, &err), 0);
        assert_string_equal(buf_str(&out), "mica/" MICA_VERSION "|b");
        http_response_done(&r);
        buf_reset(&out);
        assert_int_equal(fetch((HttpRequest){ .headers = condition }, "/etag", &out, &r, &err), 0);
        assert_int_equal(r.status, 304);
        assert_int_equal(out.size, 0);
}

static void test_redirects(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_http_response_ HttpResponse r = HTTP_RESPONSE_INIT;
        _cleanup_buf_ Buf out = BUF_INIT(4096);

        assert_int_equal(fetch((HttpRequest){ 0 }, "/hop/10", &out, &r, &err), 0);
        assert_string_equal(buf_str(&out), "hello");
        assert_string_equal(r.etag, "\"e1\"");
        assert_true(str_ends(r.url, "/ok"));
        http_response_done(&r);
        buf_reset(&out);
        assert_int_equal(fetch((HttpRequest){ 0 }, "/hop/11", &out, &r, &err), -1);
        assert_int_equal(err.code, ERROR_NETWORK);
        assert_int_equal(fetch((HttpRequest){ 0 }, "/loop", &out, &r, &err), -1);
        assert_int_equal(err.code, ERROR_NETWORK);
        /* a server must not be able to read our files */
        assert_int_equal(fetch((HttpRequest){ 0 }, "/tofile", &out, &r, &err), -1);
        assert_int_equal(err.code, ERROR_NETWORK);
        assert_int_equal(out.size, 0);
}

static void test_statuses(void **state)
{
        static const struct {
                const char *path;
                int status;
                ErrorCode code;
        } cases[] = {
                { "/missing", 404, ERROR_NOT_FOUND }, { "/status/410", 410, ERROR_NOT_FOUND }, { "/status/401", 401, ERROR_DENIED },
                { "/status/403", 403, ERROR_DENIED }, { "/status/500", 500, ERROR_NETWORK },   { "/status/429", 429, ERROR_NETWORK },
        };

        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
                _cleanup_error_ Error err = ERROR_INIT;
                _cleanup_http_response_ HttpResponse r = HTTP_RESPONSE_INIT;
                _cleanup_buf_ Buf out = BUF_INIT(4096);

                assert_int_equal(fetch((HttpRequest){ 0 }, cases[i].path, &out, &r, &err), -1);
                assert_int_equal(err.code, cases[i].code);
                assert_int_equal(err.status, cases[i].status);
                assert_int_equal(out.size, 0);
        }
}

static int stop_at_once(void *user, uint64_t received, uint64_t total)
{
        return received > 0;
}

static void test_limits(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_http_response_ HttpResponse r = HTTP_RESPONSE_INIT;
        _cleanup_buf_ Buf out = BUF_INIT(BUF_MAX_DEFAULT), small = BUF_INIT(100);

        assert_int_equal(fetch((HttpRequest){ .max_size = 5 }, "/ok", &out, &r, &err), 0);
        http_response_done(&r);
        assert_int_equal(fetch((HttpRequest){ .max_size = 4 }, "/ok", &out, &r, &err), -1);
        assert_int_equal(err.code, ERROR_LIMIT);
        buf_reset(&out);
        assert_int_equal(fetch((HttpRequest){ .max_size = 1 << 20 }, "/endless", &out, &r, &err), -1);
        assert_int_equal(err.code, ERROR_LIMIT);
        assert_true(out.size <= 1 << 20);
        assert_int_equal(fetch((HttpRequest){ 0 }, "/endless", &small, &r, &err), -1);
        assert_int_equal(err.code, ERROR_NO_SPACE);
        assert_int_equal(fetch((HttpRequest){ .progress = stop_at_once }, "/endless", &out, &r, &err), -1);
        assert_int_equal(err.code, ERROR_CANCELLED);
        assert_int_equal(fetch((HttpRequest){ 0 }, "/short", &out, &r, &err), -1);
        assert_int_equal(err.code, ERROR_NETWORK);
        assert_int_equal(fetch((HttpRequest){ .stall_timeout_sec = 1 }, "/silent", &out, &r, &err), -1);
        assert_int_equal(err.code, ERROR_NETWORK);
}

static void test_urls(void **state)
{
        static const char *const bad[] = { "", "file:///etc/passwd", "ftp://x/y", "/etc/passwd", "http://a b/", "http://x/\n", "gopher://x" };
        _cleanup_free_ char *shown = http_url_shown("https://user:p@ss@host/path@x"), *plain = http_url_shown("http://host/a@b");

        assert_string_equal(shown, "https://host/path@x");
        assert_string_equal(plain, "http://host/a@b");
        assert_true(http_is_url("HTTPS://x"));
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
                const HttpRequest request = { .url = bad[i] };
                _cleanup_error_ Error err = ERROR_INIT;
                HttpResponse r;

                assert_int_equal(http_fetch(&request, NULL, &r, &err), -1);
                assert_int_equal(err.code, ERROR_INVALID);
        }
        const HttpRequest refused = { .url = "http://me:secret@127.0.0.1:1/x" };
        _cleanup_error_ Error err = ERROR_INIT;
        HttpResponse r;

        assert_int_equal(http_fetch(&refused, NULL, &r, &err), -1);
        assert_int_equal(err.code, ERROR_NETWORK);
        assert_null(strstr(error_message(&err), "secret"));
}

/* docker reads HTTP_PROXY in capitals too. */
static void test_proxy(void **state)
{
        _cleanup_error_ Error err = ERROR_INIT;
        _cleanup_http_response_ HttpResponse r = HTTP_RESPONSE_INIT;
        const HttpRequest request = { .url = "http://no.such.host.invalid/status/403" };

        setenv("HTTP_PROXY", base_url, 1);
        assert_int_equal(http_fetch(&request, NULL, &r, &err), -1);
        unsetenv("HTTP_PROXY");
        /* Our server answers for the proxy with 404: the path is a whole URL for it. */
        assert_int_equal(err.status, 404);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_get_and_head), cmocka_unit_test(test_request_headers), cmocka_unit_test(test_redirects),
                cmocka_unit_test(test_statuses),     cmocka_unit_test(test_limits),          cmocka_unit_test(test_urls),
                cmocka_unit_test(test_proxy),
        };

        return cmocka_run_group_tests(tests, start_server, stop_server);
}

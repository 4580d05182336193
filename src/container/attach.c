#include "container/attach.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>

#include "base/fd.h"
#include "base/mem.h"
#include "container/protocol.h"

struct Attachment {
        int fd;
        bool with_stdin, terminal;
};

Attachment *attachment_new(int fd, bool with_stdin, bool terminal)
{
        Attachment *attachment = NEW(Attachment);

        *attachment = (Attachment){ .fd = fd, .with_stdin = with_stdin, .terminal = terminal };
        return attachment;
}

void attachment_free(Attachment *attachment)
{
        if (!attachment)
                return;
        close(attachment->fd);
        free(attachment);
}

int container_attach(Store *store, const char *name, bool with_stdin, Attachment **ret, Error *err)
{
        _cleanup_(container_freep) Container *container = NULL;
        _cleanup_close_ int fd = -1;
        uint8_t hello = (uint8_t)(HELLO_OUTPUT | (with_stdin ? HELLO_INPUT : 0));
        int r;

        if (container_load(store, name, &container, err) < 0)
                return -1;
        if (streq(container->state.status, "paused"))
                return error_set(err, ERROR_CONFLICT, "container %s is paused, unpause the container before attach", container->name);
        if (!container_is_active(container))
                return error_set(err, ERROR_CONFLICT, "cannot attach to a stopped container, start it first");
        fd = monitor_connect(container, err);
        if (fd < 0)
                return -1;
        r = frame_send(fd, FRAME_HELLO, &hello, 1);
        if (r < 0)
                return error_errno(err, r, "cannot talk to the monitor of container '%s'", container->name);
        *ret = attachment_new(TAKE_FD(fd), with_stdin, container->data.config.tty);
        return 0;
}

/* --- the user's terminal --- */

struct TerminalMode {
        int fd;
        struct termios saved;
};

TerminalMode *terminal_mode_enter(int fd)
{
        struct termios raw;
        TerminalMode *mode;

        if (fd < 0 || tcgetattr(fd, &raw) < 0)
                return NULL;
        mode = NEW(TerminalMode);
        *mode = (TerminalMode){ .fd = fd, .saved = raw };
        cfmakeraw(&raw);
        tcsetattr(fd, TCSANOW, &raw);
        return mode;
}

void terminal_mode_leave(TerminalMode *mode)
{
        if (!mode)
                return;
        tcsetattr(mode->fd, TCSANOW, &mode->saved);
        free(mode);
}

int detach_keys_parse(const char *text, uint8_t keys[16], Error *err)
{
        _cleanup_strlist_ StrList parts = { 0 };
        int n = 0;

        if (!text)
                text = "ctrl-p,ctrl-q";
        if (!*text)
                return 0;
        strlist_split(&parts, text, ',');
        for (size_t i = 0; i < parts.n_items; i++) {
                const char *control = str_after(parts.items[i], "ctrl-"), *one = control ? control : parts.items[i];
                int c = toupper((unsigned char)one[0]);

                if (n == 16 || strlen(one) != 1 || (control && !(c >= '@' && c <= '_')))
                        return error_set(err, ERROR_INVALID, "invalid detach keys (%s) provided", text);
                keys[n++] = control ? (uint8_t)(c - '@') : (uint8_t)one[0];
        }
        return n;
}

int detach_keys_check(const char *text, Error *err)
{
        uint8_t keys[16];

        return detach_keys_parse(text, keys, err) < 0 ? -1 : 0;
}

/* --- copying --- */

typedef struct Relay {
        Attachment *attachment;
        const AttachIo *io;
        int signal_fd, input_fd;
        uint8_t keys[16];
        int n_keys, n_matched;
        bool detached, ended;
        int status;
        Buf received;
} Relay;

static int send_window(const Relay *relay)
{
        struct winsize window;
        uint8_t data[4];

        if (!relay->io->raw_terminal || ioctl(relay->io->stdin_fd, TIOCGWINSZ, &window) < 0)
                return 0;
        data[0] = (uint8_t)(window.ws_row >> 8);
        data[1] = (uint8_t)window.ws_row;
        data[2] = (uint8_t)(window.ws_col >> 8);
        data[3] = (uint8_t)window.ws_col;
        return frame_send(relay->attachment->fd, FRAME_RESIZE, data, sizeof(data));
}

/* Holds back the bytes of the detach sequence until it is complete or broken. Returns the bytes to send in `out`, which has room for n + 16. */
static size_t filter_keys(Relay *relay, const uint8_t *data, size_t n, uint8_t *out)
{
        size_t n_out = 0;

        for (size_t i = 0; i < n; i++) {
                if (relay->n_keys > 0 && data[i] == relay->keys[relay->n_matched]) {
                        if (++relay->n_matched == relay->n_keys) {
                                relay->detached = true;
                                return n_out;
                        }
                        continue;
                }
                for (int k = 0; k < relay->n_matched; k++)
                        out[n_out++] = relay->keys[k];
                relay->n_matched = relay->n_keys > 0 && data[i] == relay->keys[0] ? 1 : 0;
                if (relay->n_matched == 0)
                        out[n_out++] = data[i];
        }
        return n_out;
}

static void copy_in(Relay *relay)
{
        uint8_t data[16384], filtered[16384 * 17];
        ssize_t n = read(relay->input_fd, data, sizeof(data));
        size_t n_out;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                frame_send(relay->attachment->fd, FRAME_STDIN_END, NULL, 0);
                relay->input_fd = -1;
                return;
        }
        if (!relay->io->raw_terminal) {
                frame_send(relay->attachment->fd, FRAME_STDIN, data, (size_t)n);
                return;
        }
        n_out = filter_keys(relay, data, (size_t)n, filtered);
        for (size_t at = 0; at < n_out; at += 16384)
                frame_send(relay->attachment->fd, FRAME_STDIN, filtered + at, MIN(n_out - at, (size_t)16384));
}

static int write_stream(int fd, const void *data, size_t size)
{
        return fd < 0 ? 0 : fd_write_all(fd, data, size);
}

/* Takes the complete frames out of what was received. */
static int handle_frames(Relay *relay, Error *err)
{
        size_t at = 0;

        while (relay->received.size - at >= FRAME_HEADER_SIZE) {
                const uint8_t *frame = (const uint8_t *)relay->received.data + at;
                size_t size = (size_t)frame[4] << 24 | (size_t)frame[5] << 16 | (size_t)frame[6] << 8 | frame[7];
                int r = 0;

                if (size > FRAME_SIZE_MAX)
                        return error_set(err, ERROR_CORRUPT, "the monitor of the container sent a frame of %zu bytes", size);
                if (relay->received.size - at < FRAME_HEADER_SIZE + size)
                        break;
                if (frame[0] == FRAME_STDOUT || frame[0] == FRAME_STDERR)
                        r = write_stream(frame[0] == FRAME_STDOUT ? relay->io->stdout_fd : relay->io->stderr_fd, frame + FRAME_HEADER_SIZE, size);
                if (r < 0 && r != -EPIPE) /* nobody reads any more: the container goes on */
                        return error_errno(err, r, "cannot write the output of the container");
                if (frame[0] == FRAME_EXIT && size == 4) {
                        relay->ended = true;
                        relay->status = frame[FRAME_HEADER_SIZE + 3];
                }
                at += FRAME_HEADER_SIZE + size;
        }
        buf_consume(&relay->received, at);
        return 0;
}

static int copy_out(Relay *relay, Error *err)
{
        char *to = buf_reserve(&relay->received, MIN(relay->received.max - relay->received.size, (size_t)FRAME_SIZE_MAX));
        ssize_t n = recv(relay->attachment->fd, to, MIN(relay->received.max - relay->received.size, (size_t)FRAME_SIZE_MAX), 0);

        if (n < 0 && (errno == EINTR || errno == EAGAIN))
                return 0;
        if (n <= 0)
                return error_set(err, ERROR_IO, "the monitor of the container is gone");
        buf_commit(&relay->received, (size_t)n);
        return handle_frames(relay, err);
}

/* A signal that this process got: the window's size, or one for the container. */
static void pass_signal(const Relay *relay)
{
        struct signalfd_siginfo info;
        uint8_t number;

        if (read(relay->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
                return;
        number = (uint8_t)info.ssi_signo;
        if (info.ssi_signo == SIGWINCH && relay->io->raw_terminal)
                send_window(relay);
        else
                frame_send(relay->attachment->fd, FRAME_SIGNAL, &number, 1);
}

static int relay_loop(Relay *relay, Error *err)
{
        while (!relay->ended && !relay->detached) {
                struct pollfd polls[3] = { { .fd = relay->attachment->fd, .events = POLLIN },
                                           { .fd = relay->input_fd, .events = POLLIN },
                                           { .fd = relay->signal_fd, .events = POLLIN } };

                if (poll(polls, ARRAY_LEN(polls), -1) < 0 && errno != EINTR)
                        return error_errno(err, errno, "cannot wait for the container");
                if (polls[2].revents)
                        pass_signal(relay);
                if (polls[0].revents && copy_out(relay, err) < 0)
                        return -1;
                if (polls[1].revents)
                        copy_in(relay);
        }
        return 0;
}

int attachment_run(Attachment *attachment, const AttachIo *io, AttachEnd *ret_end, int *ret_status, Error *err)
{
        _cleanup_(terminal_mode_leavep) TerminalMode *mode = NULL;
        Relay relay = { .attachment = attachment,
                        .io = io,
                        .signal_fd = -1,
                        .input_fd = attachment->with_stdin ? io->stdin_fd : -1,
                        .received = BUF_INIT(FRAME_SIZE_MAX * 2 + 64) };
        struct sigaction ignore = { .sa_handler = SIG_IGN }, old_pipe;
        sigset_t set, old;
        int r;

        relay.n_keys = io->raw_terminal ? detach_keys_parse(io->detach_keys, relay.keys, err) : 0;
        if (relay.n_keys < 0)
                return -1;
        sigemptyset(&set);
        if (io->raw_terminal || io->proxy_signals)
                sigaddset(&set, SIGWINCH);
        if (io->proxy_signals) {
                static const int proxied[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGCONT };

                for (size_t i = 0; i < ARRAY_LEN(proxied); i++)
                        sigaddset(&set, proxied[i]);
        }
        sigprocmask(SIG_BLOCK, &set, &old);
        sigaction(SIGPIPE, &ignore, &old_pipe);
        relay.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (io->raw_terminal)
                mode = terminal_mode_enter(io->stdin_fd);
        send_window(&relay);
        r = relay_loop(&relay, err);
        closep(&relay.signal_fd);
        sigaction(SIGPIPE, &old_pipe, NULL);
        sigprocmask(SIG_SETMASK, &old, NULL);
        buf_done(&relay.received);
        if (r < 0)
                return -1;
        *ret_end = relay.ended ? ATTACH_EXITED : ATTACH_DETACHED;
        *ret_status = relay.status;
        return 0;
}

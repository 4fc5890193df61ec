/* sink.c - see sink.h. */
#include "daemon/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whoever shares the descriptor must not find it non-blocking: opened once more it has flags of its
 * own. -1 where that cannot be (no /proc, no right to what is behind it): then poll is asked, whose
 * yes is good for what a pipe takes whole. Not for sockets, where send says not to wait. */
static int
own_copy(int fd)
{
        char path[40];

        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static bool
is_kind(int fd, mode_t kind)
{
        struct stat st;

        return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == kind;
}

void
sink_on(struct sink *s, int fd)
{
        int copy;

        *s = (struct sink){ .fd = fd, .socket = is_kind(fd, S_IFSOCK) };
        if (s->socket || is_kind(fd, S_IFREG)) /* a second opening would begin at its start */
                return;
        copy = own_copy(fd);
        s->own = copy >= 0;
        s->ask = copy < 0;
        s->fd = copy < 0 ? fd : copy;
}

int
sink_open(struct sink *s, const char *path)
{
        if (strcmp(path, "-") == 0) {
                sink_on(s, STDOUT_FILENO);
                return 0;
        }
        *s = (struct sink){ .own = true };
        s->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0640);
        return s->fd < 0 ? -errno : 0;
}

static bool
ready(const struct sink *s)
{
        struct pollfd p = { .fd = s->fd, .events = POLLOUT };

        return !s->ask || (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT));
}

/* How many bytes went out; 0: none, the descriptor is full or has failed. */
static size_t
put(const struct sink *s, const char *p, size_t n)
{
        ssize_t r;

        if (!ready(s))
                return 0;
        r = s->socket ? send(s->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(s->fd, p, n);
        return r > 0 ? (size_t)r : 0;
}

size_t
sink_write(struct sink *s, struct epp_slice bytes)
{
        size_t done = 0, n;

        while (done < bytes.n) {
                n = bytes.n - done;
                n = put(s, bytes.p + done, s->ask ? EPP_MIN(n, (size_t)PIPE_BUF) : n);
                if (n == 0)
                        break;
                done += n;
        }
        return done;
}

bool
sink_flush(struct sink *s)
{
        size_t n = s->rest_n ? put(s, s->rest, s->rest_n) : 0;

        s->rest_n -= n;
        memmove(s->rest, s->rest + n, s->rest_n);
        return s->rest_n == 0;
}

bool
sink_put(struct sink *s, struct epp_slice line)
{
        char cut[SINK_LINE_MAX];
        size_t n;

        if (line.n > sizeof(cut)) {
                memcpy(cut, line.p, sizeof(cut) - 1);
                cut[sizeof(cut) - 1] = '\n';
                line = epp_slice(cut, sizeof(cut));
        }
        n = sink_flush(s) ? put(s, line.p, line.n) : 0;
        if (n == 0) {
                s->lost++;
                return false;
        }
        s->lines++;
        s->rest_n = line.n - n;
        memcpy(s->rest, line.p + n, s->rest_n);
        return true;
}

void
sink_close(struct sink *s)
{
        sink_flush(s);
        if (s->own && s->fd >= 0)
                close(s->fd);
        s->fd = -1;
        s->own = false;
}

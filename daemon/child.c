/* child.c - see child.h. */
#include "daemon/child.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "daemon/loop.h"

#define LOOK_US 20000
#define TERM_US 2000000
#define ERRORS_MAX 512

struct stream {
        struct child *child;
        int fd;
        struct event *ev;
        struct epp_buf text;
        size_t max;
        bool over; /* more than max came */
};

struct child {
        struct event_base *base;
        child_end end;
        void *ctx;
        pid_t pid;
        struct stream out, err;
        struct event *look;
        epp_us deadline, kill_at;
        bool late, killed;
};

static void
drop(struct stream *s)
{
        if (s->ev)
                event_free(s->ev);
        if (s->fd >= 0)
                close(s->fd);
        s->ev = NULL;
        s->fd = -1;
}

/* All that is there now; what is over the limit is read and dropped. */
static void
read_all(struct stream *s)
{
        char piece[4096];
        ssize_t n = 1;

        /* Sixteen pieces are a pipe's content: one that prints for ever does not hold us. */
        for (int i = 0; i < 16 && s->fd >= 0 && (n = read(s->fd, piece, sizeof(piece))) > 0; i++) {
                size_t room = s->max - epp_buf_len(&s->text), take = EPP_MIN((size_t)n, room);

                if (take < (size_t)n || epp_buf_append(&s->text, epp_slice(piece, take)) < 0)
                        s->over = true;
        }
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                drop(s);
}

static void
on_readable(evutil_socket_t fd, short what, void *user)
{
        (void)fd, (void)what;
        read_all(user);
}

static void
finish(struct child *c, int status)
{
        child_end end = c->end;
        void *ctx = c->ctx;
        struct epp_buf out, err;
        char why[80] = "";

        read_all(&c->out);
        read_all(&c->err);
        if (c->late)
                snprintf(why, sizeof(why), "it ran too long");
        else if (c->out.over)
                snprintf(why, sizeof(why), "it printed more than %zu bytes", c->out.max);
        else if (WIFSIGNALED(status))
                snprintf(why, sizeof(why), "it was ended by signal %d", WTERMSIG(status));
        else if (WEXITSTATUS(status))
                snprintf(why, sizeof(why), "it ended with code %d", WEXITSTATUS(status));
        out = c->out.text;
        err = c->err.text;
        c->out.text = c->err.text = (struct epp_buf){0};
        c->pid = 0;
        child_free(c);
        end(ctx, *why ? why : NULL, epp_buf_slice(&out), epp_buf_slice(&err));
        if (out.p)
                explicit_bzero(out.p, out.size);
        epp_buf_fini(&out);
        epp_buf_fini(&err);
}

static void
on_look(evutil_socket_t fd, short what, void *user)
{
        struct child *c = user;
        epp_us now = loop_now(c->base);
        int status = 0;
        pid_t r = waitpid(c->pid, &status, WNOHANG);

        (void)fd, (void)what;
        if (r == c->pid || (r < 0 && errno == ECHILD)) {
                finish(c, status);
        } else if (!c->kill_at && (now >= c->deadline || c->out.over)) {
                c->late = now >= c->deadline;
                c->kill_at = now + TERM_US;
                kill(-c->pid, SIGTERM);
        } else if (c->kill_at && now >= c->kill_at && !c->killed) {
                c->killed = true;
                kill(-c->pid, SIGKILL);
        }
}

static int
open_stream(struct child *c, struct stream *s, size_t max, int *ret_other)
{
        int fds[2];

        s->child = c;
        s->max = max;
        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        s->fd = fds[0];
        *ret_other = fds[1];
        fcntl(fds[0], F_SETFL, O_NONBLOCK);
        s->ev = event_new(c->base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
        return s->ev && event_add(s->ev, NULL) == 0 ? 0 : -ENOMEM;
}

/* A group of its own, so that what it starts is ended with it; signals as a program expects them;
 * no descriptor of ours. */
static int
spawn(struct child *c, const struct child_config *cfg, int out, int err)
{
        posix_spawn_file_actions_t files;
        posix_spawnattr_t attr;
        sigset_t none, all;
        int r;

        sigemptyset(&none);
        sigfillset(&all);
        posix_spawn_file_actions_init(&files);
        posix_spawnattr_init(&attr);
        posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&files, err, STDERR_FILENO);
#if __GLIBC_PREREQ(2, 34)
        posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
#endif
        posix_spawnattr_setsigmask(&attr, &none);
        posix_spawnattr_setsigdefault(&attr, &all);
        posix_spawnattr_setpgroup(&attr, 0);
        posix_spawnattr_setflags(
                &attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        r = posix_spawnp(&c->pid, cfg->command, &files, &attr, cfg->argv, cfg->environment);
        if (r)
                c->pid = 0;
        posix_spawnattr_destroy(&attr);
        posix_spawn_file_actions_destroy(&files);
        return -r;
}

int
child_start(struct event_base *base, const struct child_config *cfg, child_end end, void *ctx,
        struct child **ret)
{
        struct child *c = calloc(1, sizeof(*c));
        struct timeval step = {0, LOOK_US};
        int out = -1, err = -1, r = -ENOMEM;

        if (!c)
                return -ENOMEM;
        *c = (struct child){.base = base,
                .end = end,
                .ctx = ctx,
                .out.fd = -1,
                .err.fd = -1,
                .deadline = loop_now(base) + (epp_us)cfg->limit_ms * 1000};
        c->look = event_new(base, -1, EV_PERSIST, on_look, c);
        if (c->look && event_add(c->look, &step) == 0) {
                r = open_stream(c, &c->out, cfg->max_output, &out);
                if (r == 0)
                        r = open_stream(c, &c->err, ERRORS_MAX, &err);
                if (r == 0)
                        r = spawn(c, cfg, out, err);
        }
        if (out >= 0)
                close(out);
        if (err >= 0)
                close(err);
        if (r < 0) {
                child_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

void
child_free(struct child *c)
{
        if (!c)
                return;
        if (c->pid > 0) {
                kill(-c->pid, SIGKILL);
                waitpid(c->pid, NULL, 0); /* killed: does not last */
        }
        if (c->look)
                event_free(c->look);
        drop(&c->out);
        drop(&c->err);
        epp_buf_fini(&c->out.text);
        epp_buf_fini(&c->err.text);
        free(c);
}

/* systemd.c - see systemd.h and sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3). */
#include "daemon/systemd.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/status.h"
#include "daemon/conn_addr.h"

#define FIRST_FD 3
#define PASSED_MAX 16

static struct {
        int fd; /* 0: nobody listens */
        struct sockaddr_un to;
        socklen_t to_n;
        bool failed; /* said once */
        const struct epp_log *log;
        struct event *watchdog;
        char status[200];
        struct passed {
                int fd; /* -1: taken */
                unsigned port;
                const char *use; /* the name of what it is for */
        } passed[PASSED_MAX];
        size_t n_passed;
} m;

/* ---- what we say ---- */

static void EPP_PRINTF(1, 2)
tell(const char *fmt, ...)
{
        char text[512];
        va_list ap;
        int n;

        if (!m.fd)
                return;
        va_start(ap, fmt);
        n = vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        if (sendto(m.fd, text, (size_t)n, MSG_NOSIGNAL, (struct sockaddr *)&m.to, m.to_n) == n)
                return;
        if (!m.failed)
                epp_log(m.log, EPP_LOG_WARN, "notify", LOG_T("socket", m.to.sun_path +
                        (m.to.sun_path[0] == 0)), LOG_T("why", strerror(errno)));
        m.failed = true;
}

void
systemd_ready(void)
{
        tell("READY=1\n");
}

void
systemd_stopping(epp_us limit)
{
        tell("STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64 "\n", limit);
}

void
systemd_reloading(epp_us now)
{
        tell("RELOADING=1\nMONOTONIC_USEC=%" PRId64 "\n", now);
}

/* A line end would begin another assignment, and a part of the text is from the API server. */
void
systemd_status(const char *text)
{
        char line[sizeof(m.status)];

        if (!m.fd)
                return;
        snprintf(line, sizeof(line), "%s", text);
        for (char *c = line; *c; c++)
                if ((unsigned char)*c < ' ')
                        *c = ' ';
        if (strcmp(line, m.status) == 0)
                return;
        memcpy(m.status, line, sizeof(line));
        tell("STATUS=%s\n", m.status);
}

static void
on_watchdog(evutil_socket_t fd, short what, void *user)
{
        (void)fd, (void)what, (void)user;
        tell("WATCHDOG=1\n");
}

/* ---- what was said to us ---- */

/* A number of the environment; 0: none, or nonsense. */
static uint64_t
number(const char *name)
{
        const char *text = getenv(name);
        char *end;
        unsigned long long v;

        if (!text || *text < '0' || *text > '9')
                return 0;
        errno = 0;
        v = strtoull(text, &end, 10);
        return *end || errno ? 0 : v;
}

static bool
open_notify(const char *path)
{
        size_t n = strlen(path);

        if ((path[0] != '/' && path[0] != '@') || n < 2 || n >= sizeof(m.to.sun_path))
                return false;
        m.to.sun_family = AF_UNIX;
        memcpy(m.to.sun_path, path, n);
        if (path[0] == '@') /* Linux's names without a file */
                m.to.sun_path[0] = 0;
        m.to_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
        m.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (m.fd < 0)
                m.fd = 0; /* never: 0 to 2 are taken */
        return m.fd > 0;
}

/* Half the time that the manager waits for a sign of life. */
static int
start_watchdog(struct event_base *base)
{
        uint64_t us = number("WATCHDOG_USEC") / 2, pid = number("WATCHDOG_PID");
        struct timeval tv = { (time_t)(us / 1000000), (suseconds_t)(us % 1000000) };

        if (!m.fd || !us || (pid && pid != (uint64_t)getpid()))
                return 0;
        m.watchdog = event_new(base, -1, EV_PERSIST, on_watchdog, NULL);
        return m.watchdog && event_add(m.watchdog, &tv) == 0 ? 0 : -1;
}

/* The port that <fd> listens on; 0: it is no listening TCP socket. */
static unsigned
listening_port(int fd)
{
        struct sockaddr_storage sa;
        socklen_t n = sizeof(sa), size = sizeof(int);
        int type = 0, listens = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM ||
                getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || !listens ||
                getsockname(fd, (struct sockaddr *)&sa, &n) < 0 ||
                (sa.ss_family != AF_INET && sa.ss_family != AF_INET6))
                return 0;
        return conn_port(&sa);
}

/* Whether <fd> has a use; it is held then. */
static bool
hold(int fd, struct epp_slice name, const struct systemd_port *ports, size_t n, char *err,
        size_t size)
{
        unsigned port = listening_port(fd);
        const struct systemd_port *p = NULL;

        for (size_t i = 0; i < n && !p; i++)
                if (epp_slice_eq(name, epp_slice_str(ports[i].name)))
                        p = &ports[i];
        for (size_t i = 0; i < n && !p; i++)
                if (port && *ports[i].port == port)
                        p = &ports[i];
        for (size_t i = 0; i < m.n_passed; i++)
                if (p && strcmp(m.passed[i].use, p->name) == 0)
                        p = NULL; /* one each */
        if (!port || !p || m.n_passed == PASSED_MAX) {
                snprintf(err, size, "LISTEN_FDS: descriptor %d (" SLICE_FMT ", port %u): not one "
                        "TCP socket for each of grpc, grpc-health and metrics", fd,
                        SLICE_ARG(name), port);
                return false;
        }
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        evutil_make_socket_nonblocking(fd);
        *p->port = port;
        m.passed[m.n_passed++] = (struct passed){ fd, port, p->name };
        epp_log(m.log, EPP_LOG_INFO, "activated", LOG_T("for", p->name), LOG_N("port", port));
        return true;
}

static bool
hold_all(const struct systemd_port *ports, size_t n, char *err, size_t size)
{
        const char *text = getenv("LISTEN_FDNAMES");
        struct epp_slice names = epp_slice_str(text ? text : "");
        uint64_t count = number("LISTEN_FDS");

        if (number("LISTEN_PID") != (uint64_t)getpid())
                return true; /* for another process, or nothing */
        for (uint64_t i = 0; i < count; i++)
                if (!hold(FIRST_FD + (int)i, epp_slice_cut(&names, ':'), ports, n, err, size))
                        return false;
        return true;
}

int
systemd_start(struct event_base *base, const struct systemd_port *ports, size_t n,
        const struct epp_log *log, char *err, size_t err_size)
{
        static const char *const names[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES" };
        const char *path = getenv("NOTIFY_SOCKET");

        m.log = log;
        if (path && !open_notify(path))
                epp_log(log, EPP_LOG_WARN, "notify", LOG_T("socket", path),
                        LOG_T("why", "not a path or @name of a datagram socket: nothing is told"));
        if (start_watchdog(base) < 0) {
                snprintf(err, err_size, "out of memory");
                return -1;
        }
        if (!hold_all(ports, n, err, err_size))
                return -1;
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
                unsetenv(names[i]);
        return 0;
}

int
systemd_take(unsigned port)
{
        for (size_t i = 0; i < m.n_passed; i++) {
                int fd = m.passed[i].fd;

                if (fd < 0 || m.passed[i].port != port)
                        continue;
                m.passed[i].fd = -1;
                return fd;
        }
        return -1;
}

void
systemd_end(void)
{
        if (m.watchdog)
                event_free(m.watchdog);
        if (m.fd)
                close(m.fd);
        for (size_t i = 0; i < m.n_passed; i++)
                if (m.passed[i].fd >= 0)
                        close(m.passed[i].fd);
        memset(&m, 0, sizeof(m));
}

/* pages.c - metrics pages of many model servers from one process: GET anything on any address of
 * 127.0.0.0/8 at one port answers with FILE, made longer to --bytes; a query with name[] gets only
 * the lines of those families. Kept connections, no parsing beyond that: it must not be what is
 * measured.
 *   pages FILE [--port N] [--bytes N]      prints "listen PORT" */
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/base.h"

struct answer {
        char *p;
        size_t n;
};

static struct answer whole, filtered;

/* The lines of <page> that begin with one of the families asked for by eppd's defaults. */
static char *
filter(const char *page, size_t n, size_t *ret_n)
{
        static const char *const wanted[] = { "vllm:num_requests_waiting", "vllm:num_requests_running",
                "vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc", "vllm:lora_requests_info",
                "vllm:cache_config_info" };
        char *out = malloc(n + 1);
        size_t at = 0;

        if (!out)
                err(1, "malloc");
        for (const char *line = page, *end; line < page + n; line = end) {
                end = memchr(line, '\n', (size_t)(page + n - line));
                end = end ? end + 1 : page + n;
                for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
                        if (strncmp(line, wanted[i], strlen(wanted[i])) == 0) {
                                memcpy(out + at, line, (size_t)(end - line));
                                at += (size_t)(end - line);
                                break;
                        }
        }
        *ret_n = at;
        return out;
}

static struct answer
make_answer(const char *body, size_t n)
{
        struct answer a = { malloc(n + 256), 0 };

        if (!a.p)
                err(1, "malloc");
        a.n = (size_t)snprintf(a.p, 256, "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
                                         "Content-Length: %zu\r\n\r\n", n);
        memcpy(a.p + a.n, body, n);
        a.n += n;
        return a;
}

/* FILE, and behind it comments until there are <bytes>. */
static void
read_page(const char *path, size_t bytes)
{
        static const char filler[] = "# HELP filler_bucket as long as a line of a histogram is\n"
                "filler_bucket{model_name=\"meta-llama/Llama-3.1-8B-Instruct\",le=\"0.005\"} 123456.0\n";
        FILE *f = fopen(path, "re");
        size_t n = 0, size = EPP_MAX(bytes, (size_t)1 << 20), m;
        char *page = malloc(size + sizeof(filler)), *few;

        if (!f || !page)
                err(1, "%s", path);
        n = fread(page, 1, size, f);
        fclose(f);
        for (; n < bytes; n += sizeof(filler) - 1)
                memcpy(page + n, filler, sizeof(filler) - 1);
        few = filter(page, n, &m);
        whole = make_answer(page, n);
        filtered = make_answer(few, m);
        free(page);
        free(few);
}

struct conn {
        int fd;
        const struct answer *answer;
        size_t sent, in_n;
        char in[4096];
};

/* False: it is over. */
static bool
turn(struct conn *c, int ep)
{
        struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
        char *end;
        ssize_t r;

        if (!c->answer) {
                r = recv(c->fd, c->in + c->in_n, sizeof(c->in) - 1 - c->in_n, 0);
                if (r <= 0)
                        return r < 0 && errno == EAGAIN;
                c->in_n += (size_t)r;
                c->in[c->in_n] = 0;
                end = strstr(c->in, "\r\n\r\n");
                if (!end)
                        return c->in_n < sizeof(c->in) - 1;
                *strchr(c->in, '\r') = 0;
                c->answer = strstr(c->in, "name%5B%5D=") || strstr(c->in, "name[]=") ? &filtered
                                                                                     : &whole;
                c->in_n = c->sent = 0;
        }
        r = send(c->fd, c->answer->p + c->sent, c->answer->n - c->sent, MSG_NOSIGNAL);
        if (r < 0 && errno != EAGAIN)
                return false;
        c->sent += r > 0 ? (size_t)r : 0;
        if (c->sent < c->answer->n)
                ev.events = EPOLLOUT;
        else
                c->answer = NULL;
        epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
        return true;
}

/* The next connection, or -1: peers that are not of this machine get none. */
static int
accept_local(int listener)
{
        struct sockaddr_in peer;
        socklen_t n = sizeof(peer);
        int fd = accept4(listener, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        int one = 1;

        if (fd < 0)
                return -1;
        if (ntohl(peer.sin_addr.s_addr) >> 24 != 127) {
                close(fd);
                return -1;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        return fd;
}

static void
serve(int listener, int ep)
{
        struct epoll_event got[256], ev = { .events = EPOLLIN };

        for (;;) {
                int n = epoll_wait(ep, got, 256, -1);

                for (int i = 0; i < n; i++) {
                        struct conn *c = got[i].data.ptr;

                        if (c && !turn(c, ep)) {
                                close(c->fd);
                                free(c);
                        }
                        if (c)
                                continue;
                        c = calloc(1, sizeof(*c));
                        if (!c)
                                err(1, "calloc");
                        c->fd = accept_local(listener);
                        ev.data.ptr = c;
                        if (c->fd < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) < 0)
                                free(c);
                }
        }
}

int
main(int argc, char **argv)
{
        static const struct option options[] = { { "port", 1, NULL, 'p' },
                { "bytes", 1, NULL, 'b' }, { NULL, 0, NULL, 0 } };
        struct sockaddr_in sin = { .sin_family = AF_INET };
        struct epoll_event ev = { .events = EPOLLIN };
        int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), ep = epoll_create1(EPOLL_CLOEXEC), c;
        socklen_t n = sizeof(sin);
        size_t bytes = 0;
        int one = 1;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (c == 'p')
                        sin.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10));
                else if (c == 'b')
                        bytes = strtoul(optarg, NULL, 10);
                else
                        errx(2, "usage: pages FILE [--port N] [--bytes N]");
        }
        if (optind + 1 != argc)
                errx(2, "usage: pages FILE [--port N] [--bytes N]");
        signal(SIGPIPE, SIG_IGN);
        read_page(argv[optind], bytes);
        setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        sin.sin_addr.s_addr = htonl(INADDR_ANY); /* all of 127/8 */
        if (bind(s, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(s, 1024) < 0 ||
                getsockname(s, (struct sockaddr *)&sin, &n) < 0)
                err(1, "cannot listen");
        printf("listen %u\n", ntohs(sin.sin_port));
        fflush(stdout);
        epoll_ctl(ep, EPOLL_CTL_ADD, s, &ev);
        serve(s, ep);
        return 0;
}

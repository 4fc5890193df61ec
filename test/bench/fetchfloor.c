/* fetchfloor.c - what fetching metrics pages costs with libcurl alone: endpoints in turn, some at
 * once, as eppd asks them; lines are counted and nothing else. eppd's idle cost is a ratio to it.
 *   fetchfloor PORT ENDPOINTS PERIOD_MS AT_ONCE SECONDS     prints "cores N" */
#include <curl/curl.h>
#include <err.h>
#include <sys/epoll.h>
#include <time.h>

#include "base/base.h"

#define WARM_UP 1.0 /* seconds: connections are made */

struct page {
        CURL *easy;
        bool busy;
};

static int ep;
static double timer = -1; /* libcurl's; when it is due */
static unsigned long lines;

static double
seconds(clockid_t which)
{
        struct timespec t;

        clock_gettime(which, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t
on_body(char *p, size_t size, size_t n, void *user)
{
        (void)user;
        for (const char *at = p, *lf; (lf = memchr(at, '\n', size * n - (size_t)(at - p))); at = lf + 1)
                lines++;
        return size * n;
}

static int
want_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket)
{
        struct epoll_event ev = { .events = (what & CURL_POLL_IN ? EPOLLIN : 0u) |
                                            (what & CURL_POLL_OUT ? EPOLLOUT : 0u),
                .data.fd = fd };

        (void)easy, (void)user, (void)socket;
        if (what == CURL_POLL_REMOVE)
                epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL);
        else if (epoll_ctl(ep, EPOLL_CTL_MOD, fd, &ev) < 0)
                epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
        return 0;
}

static int
want_timer(CURLM *multi, long ms, void *user)
{
        (void)multi, (void)user;
        timer = ms < 0 ? -1 : seconds(CLOCK_MONOTONIC) + (double)ms / 1e3;
        return 0;
}

static struct page *
pages_new(unsigned n, unsigned port)
{
        struct page *list = calloc(n, sizeof(*list));
        char url[64];

        for (unsigned i = 0; list && i < n; i++) {
                snprintf(url, sizeof(url), "http://127.%u.%u.%u:%u/metrics", 1 + i / 62500,
                        i / 250 % 250, 1 + i % 250, port);
                list[i].easy = curl_easy_init();
                if (!list[i].easy || curl_easy_setopt(list[i].easy, CURLOPT_URL, url))
                        return NULL;
                curl_easy_setopt(list[i].easy, CURLOPT_WRITEFUNCTION, on_body);
                curl_easy_setopt(list[i].easy, CURLOPT_PRIVATE, &list[i]);
                curl_easy_setopt(list[i].easy, CURLOPT_PROXY, "");
                curl_easy_setopt(list[i].easy, CURLOPT_BUFFERSIZE, 98304L);
        }
        return list;
}

static void
turn(CURLM *multi, double wait)
{
        struct timespec t = { 0, (long)(EPP_MAX(wait, 0.0) * 1e9) };
        struct epoll_event ev[64];
        int n = epoll_pwait2(ep, ev, ARRAY_LEN(ev), &t, NULL), left;
        CURLMsg *msg;

        if (timer >= 0 && seconds(CLOCK_MONOTONIC) >= timer) {
                timer = -1;
                curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &left);
        }
        for (int i = 0; i < n; i++)
                curl_multi_socket_action(multi, ev[i].data.fd, ev[i].events & EPOLLOUT
                        ? CURL_CSELECT_IN | CURL_CSELECT_OUT : CURL_CSELECT_IN, &left);
        while ((msg = curl_multi_info_read(multi, &left))) {
                struct page *p;

                if (msg->data.result != CURLE_OK)
                        errx(1, "%s", curl_easy_strerror(msg->data.result));
                curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&p);
                curl_multi_remove_handle(multi, msg->easy_handle);
                p->busy = false;
        }
}

/* The argument <i>, a number above 0. */
static double
number(int argc, char **argv, int i)
{
        double v = argc == 6 ? strtod(argv[i], NULL) : 0;

        if (!(v > 0))
                errx(2, "fetchfloor PORT ENDPOINTS PERIOD_MS AT_ONCE SECONDS");
        return v;
}

int
main(int argc, char **argv)
{
        unsigned n = (unsigned)number(argc, argv, 2), once = (unsigned)number(argc, argv, 4), at = 0;
        double step = number(argc, argv, 3) / 1e3 * once / n, span = number(argc, argv, 5);
        double begin, next, now, wall = 0, cpu = 0;
        CURLM *multi = curl_multi_init();
        struct page *list = pages_new(n, (unsigned)number(argc, argv, 1));

        ep = epoll_create1(EPOLL_CLOEXEC);
        if (!list || !multi || ep < 0)
                err(1, "libcurl, epoll");
        curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, want_socket);
        curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, want_timer);
        curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 4096L);
        begin = next = seconds(CLOCK_MONOTONIC);
        while ((now = seconds(CLOCK_MONOTONIC)) < begin + WARM_UP + span) {
                if (!wall && now >= begin + WARM_UP)
                        wall = now, cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
                for (unsigned k = 0; now >= next && k < once; k++) {
                        struct page *p = &list[at++ % n];

                        if (!p->busy)
                                p->busy = curl_multi_add_handle(multi, p->easy) == CURLM_OK;
                }
                if (now >= next)
                        next = EPP_MAX(next + step, now);
                turn(multi, timer >= 0 ? EPP_MIN(timer, next) - now : next - now);
        }
        if (!lines)
                errx(1, "no page came");
        printf("cores %.4f\n", (seconds(CLOCK_THREAD_CPUTIME_ID) - cpu) /
                (seconds(CLOCK_MONOTONIC) - wall));
        return 0;
}

/* test_access.c - the access log: what its lines say, and that a slow reader of it costs lines and
 * never time. */
#include "daemon/access.h"

#include <event2/event.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve/access.h"
#include "unit.h"

static char last[4096], told[4096];

static void
keep(void *ctx, enum epp_log_level level, struct epp_slice line)
{
        ck_assert_int_eq(level, EPP_LOG_INFO);
        snprintf(ctx, sizeof(last), SLICE_FMT, SLICE_ARG(line));
}

static struct epp_record
routed(void)
{
        return (struct epp_record){ .id = EPP_SLICE("r1"), .model = EPP_SLICE("m"),
                .target = EPP_SLICE("m-v1"), .fairness = EPP_SLICE("tenant"),
                .endpoint = EPP_SLICE("ns/pod-a"), .addr = EPP_SLICE("10.0.0.1:8000"),
                .request_bytes = 700, .begun = 1000000, .decided = 1000250 };
}

START_TEST(lines)
{
        struct epp_log l = { EPP_LOG_INFO, false, keep, last, NULL, NULL };
        struct epp_observer seen = epp_access_observer(&l);
        struct epp_outcome o = { .status = 200, .complete = true, .streaming = true,
                .first_us = 12345, .all_us = 1500000, .bytes = 4321,
                .usage = { .prompt = 7, .completion = 9 } };
        struct epp_record r = routed();

        seen.decided(seen.ctx, &r);
        ck_assert_str_eq(last, ""); /* routed: its line comes at its end */
        r.outcome = &o;
        seen.ended(seen.ctx, &r);
        ck_assert_str_eq(last, "1970-01-01T00:00:00.000000Z info ev=request id=r1 model=m "
                "target=m-v1 ep=ns/pod-a addr=10.0.0.1:8000 http=200 in_bytes=700 out_bytes=4321 "
                "prompt_tokens=7 completion_tokens=9 ttft_ms=12.345 total_ms=1500.000 "
                "streaming=true end=complete\n");
        o = (struct epp_outcome){ .status = 503, .all_us = 20 };
        seen.ended(seen.ctx, &r);
        ck_assert_str_eq(strstr(last, "http="), "http=503 failure=ModelServerError in_bytes=700 "
                "out_bytes=0 total_ms=0.020 streaming=false end=aborted\n");
        o = (struct epp_outcome){ .all_us = 20 };
        seen.ended(seen.ctx, &r);
        ck_assert_ptr_eq(strstr(last, "http="), NULL); /* no response was seen */
        ck_assert_ptr_eq(strstr(last, "tenant"), NULL);
        r = (struct epp_record){ .id = EPP_SLICE("r2"), .model = EPP_SLICE("a \"b\"\n"),
                .http = 404, .failure = EPP_FAIL_NOT_FOUND, .request_bytes = 3, .begun = 10,
                .decided = 2010, .text = "words of the body" };
        seen.decided(seen.ctx, &r);
        ck_assert_str_eq(strstr(last, "id="), "id=r2 model=\"a \\\"b\\\"\\u000a\" http=404 "
                "failure=BadConfiguration in_bytes=3 total_ms=2.000 end=refused\n");
}
END_TEST

/* All fields at their longest are one line of JSON. */
START_TEST(json)
{
        static char big[70000];
        struct epp_log l = { EPP_LOG_INFO, true, keep, last, NULL, NULL };
        struct epp_observer seen = epp_access_observer(&l);
        struct epp_outcome o = { .status = 200, .complete = true, .bytes = UINT64_MAX / 2,
                .first_us = INT64_MAX, .all_us = INT64_MAX,
                .usage = { .prompt = 1u << 31, .completion = 1u << 31 } };
        struct epp_record r = routed();
        json_t *doc;

        r.outcome = &o;
        seen.ended(seen.ctx, &r);
        doc = json_loads(last, 0, NULL);
        ck_assert_str_eq(json_string_value(json_object_get(doc, "id")), "r1");
        ck_assert_str_eq(json_string_value(json_object_get(doc, "end")), "complete");
        ck_assert_int_eq(json_integer_value(json_object_get(doc, "http")), 200);
        json_decref(doc);
        memset(big, '\xff', sizeof(big));
        r.id = r.model = r.target = r.endpoint = epp_slice(big, sizeof(big));
        seen.ended(seen.ctx, &r);
        doc = json_loads(last, 0, NULL);
        ck_assert_ptr_ne(doc, NULL);
        json_decref(doc);
        ck_assert_int_eq(last[strlen(last) - 1], '\n');
}
END_TEST

/* ---- where they go ---- */

static struct event_base *base;
static struct access_stats stats;
static struct access *a;
static char path[64];
static const struct epp_log tells = { .level = EPP_LOG_DEBUG };

static void
hear(void *ctx, enum epp_log_level level, struct epp_slice line)
{
        (void)ctx, (void)level;
        snprintf(told, sizeof(told), SLICE_FMT, SLICE_ARG(line));
}
static const struct epp_log hears = { .level = EPP_LOG_DEBUG, .sink = hear };

static void
begin(void)
{
        memset(&stats, 0, sizeof(stats));
        last[0] = told[0] = 0;
        a = NULL;
        base = event_base_new();
        snprintf(path, sizeof(path), "/tmp/eppd-access-%d", (int)getpid());
        unlink(path);
}

static void
end(void)
{
        access_free(a);
        event_base_free(base);
        unlink(path);
}

static void
open_log(const struct epp_log *log)
{
        int error = 0;

        ck_assert_int_eq(access_new(base, path, false, log, &stats, &a, &error), 0);
}

static void
request(unsigned number)
{
        struct epp_observer seen = access_observer(a);
        struct epp_record r = routed();
        char id[16];

        snprintf(id, sizeof(id), "r%u", number);
        r.id = epp_slice_str(id);
        r.http = 429;
        r.failure = EPP_FAIL_EXHAUSTED;
        seen.decided(seen.ctx, &r);
}

/* All timers that are due within <ms>. */
static void
run(int ms)
{
        struct timeval tv = { 0, ms * 1000 };

        event_base_loopexit(base, &tv);
        event_base_dispatch(base);
}

static char text[1 << 20];
static size_t text_n;

static void
slurp(int fd)
{
        ssize_t r;

        while ((r = read(fd, text + text_n, sizeof(text) - 1 - text_n)) > 0)
                text_n += (size_t)r;
}

/* What was read is whole lines with ids from <first> on; returns how many. */
static unsigned
count_lines(unsigned first)
{
        unsigned count = 0;
        char want[16];

        text[text_n] = 0;
        ck_assert(text_n == 0 || text[text_n - 1] == '\n');
        for (char *at = text, *nl; (nl = strchr(at, '\n')) != NULL; at = nl + 1, count++) {
                *nl = 0;
                snprintf(want, sizeof(want), " id=r%u ", first + count);
                ck_assert_msg(strstr(at, want) && strstr(at, " end=refused"), "%s, wanted%s", at,
                        want);
        }
        text_n = 0;
        return count;
}

static unsigned
count_file(const char *name, unsigned first)
{
        int fd = open(name, O_RDONLY);

        slurp(fd);
        close(fd);
        return count_lines(first);
}

/* Nothing is written per line; what waits goes out by itself, and the timer ends with it. */
START_TEST(gathers)
{
        open_log(&tells);
        for (unsigned i = 0; i < 10; i++)
                request(i);
        ck_assert_uint_eq(count_file(path, 0), 0);
        run(200);
        ck_assert_uint_eq(count_file(path, 0), 10);
        ck_assert_int_eq(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED), 0);
        for (unsigned i = 10; i < 310; i++)
                request(i);
        ck_assert_uint_gt(count_file(path, 0), 150); /* 32 KiB are enough to write */
        access_free(a);
        a = NULL;
        ck_assert_uint_eq(count_file(path, 0), 310);
        ck_assert(stats.lines == 310 && stats.lost == 0);
}
END_TEST

/* A pipe whose reader stands still: it and 64 KiB here fill up, the rest is dropped and counted at
 * once. When it reads again all that was taken comes, in order and whole, and the loss is told. */
START_TEST(slow_pipe)
{
        unsigned n = 0;
        int fd;

        ck_assert_int_eq(mkfifo(path, 0600), 0);
        fd = open(path, O_RDONLY | O_NONBLOCK);
        open_log(&hears);
        while (stats.lost < 1000 && n < 100000)
                request(n++);
        ck_assert_uint_eq(stats.lines + stats.lost, n);
        ck_assert_uint_gt(stats.lines, 500);
        run(250);
        ck_assert_ptr_ne(strstr(told, "ev=access_log_full"), NULL);
        ck_assert_ptr_eq(strstr(told, "ev=access_lines_lost"), NULL);
        ck_assert_uint_eq(stats.lines + stats.lost, n);
        slurp(fd);
        run(150); /* at the latest then it tries again */
        slurp(fd);
        ck_assert_uint_eq(count_lines(0), stats.lines);
        ck_assert_ptr_ne(strstr(told, "ev=access_lines_lost"), NULL);
        ck_assert_ptr_ne(strstr(told, "lines=1000"), NULL);
        close(fd);
}
END_TEST

/* Moved away and opened anew: no line is lost, none is in two files. */
START_TEST(rotation)
{
        char old[80], gone[80];

        snprintf(old, sizeof(old), "%s.1", path);
        open_log(&hears);
        request(0);
        ck_assert_int_eq(rename(path, old), 0);
        request(1);
        access_reopen(a);
        request(2);
        run(150);
        ck_assert_uint_eq(count_file(old, 0), 2);
        ck_assert_uint_eq(count_file(path, 2), 1);
        ck_assert_str_eq(told, "");
        /* It cannot be made: the old one stays. */
        snprintf(gone, sizeof(gone), "%s.2", path);
        ck_assert_int_eq(rename(path, gone), 0);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        access_reopen(a);
        ck_assert_ptr_ne(strstr(told, "ev=access_log"), NULL);
        request(3);
        run(150);
        ck_assert_uint_eq(count_file(gone, 2), 2);
        rmdir(path);
        unlink(old);
        unlink(gone);
}
END_TEST

/* A line of which half went to a pipe does not go on in the next file. */
START_TEST(rotation_midway)
{
        static char first[200000];
        unsigned n = 0;
        char *cut;
        ssize_t r;
        int fd;

        ck_assert_int_eq(mkfifo(path, 0600), 0);
        fd = open(path, O_RDONLY | O_NONBLOCK);
        open_log(&tells);
        while (stats.lost == 0)
                request(n++);
        unlink(path);
        access_reopen(a);
        run(150);
        r = read(fd, first, sizeof(first) - 1);
        ck_assert_int_gt(r, 1000);
        first[r] = 0;
        ck_assert_int_ne(first[r - 1], '\n');
        cut = strrchr(first, '\n') + 1;
        ck_assert_int_eq(sscanf(strstr(cut, "id=r"), "id=r%u", &n), 1);
        ck_assert_uint_gt(count_file(path, n + 1), 100);
        ck_assert_uint_eq(stats.lost, 2);
        close(fd);
}
END_TEST

START_TEST(cannot_open)
{
        int error = 0;

        snprintf(path, sizeof(path), "/nonexistent/x");
        ck_assert_int_eq(access_new(base, path, false, &tells, &stats, &a, &error), EPP_EINVAL);
        ck_assert_str_eq(strerror(error), "No such file or directory");
        ck_assert_ptr_eq(a, NULL);
}
END_TEST

UNIT_MAIN_WITH("access", begin, end, lines, json, gathers, slow_pipe, rotation, rotation_midway,
        cannot_open)

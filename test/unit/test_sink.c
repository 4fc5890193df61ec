/* test_sink.c - lines to pipes, sockets and files: whole, in order, never waited for. */
#include "daemon/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static struct sink s;
static char all[8 << 20]; /* what the reader got */
static size_t got;

static struct epp_slice
line(unsigned i, size_t n)
{
        static char text[2 * SINK_LINE_MAX];

        memset(text, 'a' + (int)(i % 26), n);
        text[n - 1] = '\n';
        return epp_slice(text, n);
}

/* Reads at most <max> bytes, without waiting. */
static void
read_some(int fd, size_t max)
{
        ssize_t r = read(fd, all + got, EPP_MIN(max, sizeof(all) - got));

        got += r > 0 ? (size_t)r : 0;
}

/* What was read so far is lines of <n> bytes, each of one letter; returns how many. */
static unsigned
lines_of(size_t n)
{
        size_t count = got / n;

        ck_assert_uint_eq(got % n, 0);
        for (size_t i = 0; i < got; i += n) {
                ck_assert_int_eq(all[i + n - 1], '\n');
                for (size_t k = 0; k < n - 1; k++)
                        ck_assert_int_eq(all[i + k], all[i]);
        }
        got = 0;
        return (unsigned)count;
}

/* A reader that does not read: lines are dropped and counted, and the descriptor stays as it was for
 * those who share it. */
static void
fill_pipe(bool proc)
{
        unsigned put = 0;
        int p[2];

        ck_assert_int_eq(pipe(p), 0);
        fcntl(p[0], F_SETFL, O_NONBLOCK);
        sink_on(&s, p[1]);
        ck_assert(s.own && !s.ask);
        if (!proc) {
                sink_close(&s);
                s = (struct sink){ .fd = p[1], .ask = true };
        }
        ck_assert_int_eq(fcntl(p[1], F_GETFL) & O_NONBLOCK, 0);
        for (unsigned i = 0; i < 1000; i++)
                put += sink_put(&s, line(i, 1000));
        ck_assert_uint_gt(put, 40); /* of the 64 KiB it holds */
        ck_assert_uint_lt(put, 70);
        ck_assert_uint_eq(s.lines, put);
        ck_assert_uint_eq(s.lost, 1000 - put);
        read_some(p[0], sizeof(all));
        ck_assert_uint_eq(lines_of(1000), put);
        ck_assert(sink_put(&s, line(1, 1000)));
        sink_close(&s);
        read_some(p[0], sizeof(all));
        ck_assert_uint_eq(lines_of(1000), 1);
        ck_assert(!sink_put(&s, line(1, 1000)));
        ck_assert_uint_eq(s.lost, 1001 - put);
        ck_assert_int_eq(write(p[1], "x", 1), 1); /* the caller's to close */
        close(p[1]);
        close(p[0]);
}

START_TEST(full_pipe)
{
        fill_pipe(true);
}
END_TEST

/* Without /proc the descriptor is asked first. */
START_TEST(asked)
{
        fill_pipe(false);
}
END_TEST

/* A socket takes lines in part: the rest goes first, and what is read are whole lines. */
START_TEST(in_part)
{
        unsigned put = 0, parts = 0;
        int small = 1, p[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
        ck_assert_int_eq(setsockopt(p[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
        fcntl(p[1], F_SETFL, O_NONBLOCK);
        sink_on(&s, p[0]);
        ck_assert(!s.own && s.socket);
        for (unsigned i = 0; i < 1000; i++) {
                put += sink_put(&s, line(i, 3999));
                parts += s.rest_n > 0;
                if (i % 3 == 0)
                        read_some(p[1], 2500);
        }
        ck_assert_uint_gt(parts, 10);
        ck_assert_uint_gt(s.lost, 10);
        for (int i = 0; i < 10 && !sink_flush(&s); i++)
                read_some(p[1], sizeof(all));
        read_some(p[1], sizeof(all));
        ck_assert_uint_eq(s.rest_n, 0);
        ck_assert_uint_eq(lines_of(3999), put);
        ck_assert_uint_eq(s.lost + put, 1000);
        close(p[1]);
        ck_assert(!sink_put(&s, line(1, 10))); /* and no SIGPIPE */
        close(p[0]);
}
END_TEST

START_TEST(files)
{
        char dir[] = "/tmp/sink.XXXXXX", path[64], fifo[64];
        struct stat st;
        int fd;

        ck_assert_ptr_nonnull(mkdtemp(dir));
        snprintf(path, sizeof(path), "%s/log", dir);
        snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
        for (int i = 0; i < 2; i++) { /* the second goes behind the first */
                ck_assert_int_eq(sink_open(&s, path), 0);
                ck_assert(sink_put(&s, line(3, 100)));
                sink_close(&s);
        }
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_mode & 07027, 0);
        fd = open(path, O_RDWR | O_APPEND);
        sink_on(&s, fd);
        ck_assert(sink_put(&s, line(4, 100)));
        sink_close(&s);
        ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
        read_some(fd, sizeof(all));
        ck_assert_uint_eq(lines_of(100), 3);
        close(fd);
        ck_assert_int_eq(sink_open(&s, dir), -EISDIR);
        ck_assert(!sink_put(&s, line(4, 100)));
        ck_assert_int_eq(mkfifo(fifo, 0600), 0);
        ck_assert_int_eq(sink_open(&s, fifo), -ENXIO); /* rather than to wait for a reader */
        ck_assert_int_eq(sink_open(&s, "-"), 0);
        sink_close(&s);
        unlink(path);
        unlink(fifo);
        rmdir(dir);
}
END_TEST

START_TEST(long_line)
{
        int p[2];

        ck_assert_int_eq(pipe(p), 0);
        sink_on(&s, p[1]);
        ck_assert(sink_put(&s, line(1, SINK_LINE_MAX + 100)));
        sink_close(&s);
        read_some(p[0], sizeof(all));
        ck_assert_uint_eq(lines_of(SINK_LINE_MAX), 1);
        close(p[1]);
        close(p[0]);
}
END_TEST

UNIT_MAIN("sink", full_pipe, asked, in_part, files, long_line)

/* sink.h - finished lines to a descriptor that may be slow: what it cannot take is dropped and
 * counted, never waited for. Used for the log (stderr) and for files that flags name.
 *
 * A pipe, a terminal or a socket is written to only as far as it takes bytes at once; the rest of a
 * line it took in part goes first next time, so that lines stay whole. A regular file is written
 * directly: the kernel's page cache takes it.
 * Knows: base. */
#ifndef EPPD_SINK_H
#define EPPD_SINK_H

#include "base/slice.h"

/* Longer lines are cut here, newline kept; what a ready pipe takes whole (PIPE_BUF). */
#define SINK_LINE_MAX 4096

struct sink {
        int fd;         /* -1: closed, every line is lost */
        bool own;       /* sink_close closes it */
        bool socket;
        bool ask;       /* it may block (it is shared with others): poll before each write */
        uint64_t lines; /* taken */
        uint64_t lost;  /* dropped, all of them */
        size_t rest_n;  /* bytes of rest that are to be written first */
        char rest[SINK_LINE_MAX];
};

/* Lines go to the end of file <path>, made if it is not there (mode 0640); "-" is stdout. A FIFO
 * needs a reader. Returns 0 or -errno, then the sink is closed. May take as long as open(2). */
EPP_MUSTUSE int sink_open(struct sink *s, const char *path);
/* Lines go to <fd>, which stays the caller's and as it is: others may write to it too. */
void sink_on(struct sink *s, int fd);
/* One line, newline included; copied where it cannot be written at once. False: dropped. */
bool sink_put(struct sink *s, struct epp_slice line);
/* For callers that gather lines themselves, and then use nothing else: how many of <bytes> went out
 * at once, which may be 0 and may end within a line. */
size_t sink_write(struct sink *s, struct epp_slice bytes);
/* The rest of a line, if there is room; true when nothing is left to write. */
bool sink_flush(struct sink *s);
/* Tries once to write the rest and closes what sink_open opened; lines from here on are lost. */
void sink_close(struct sink *s);

#endif

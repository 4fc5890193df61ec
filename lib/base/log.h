/* log.h - one line per event: level, constant word, key=value fields.
 * lib formats, the sink (daemon's) writes; a disabled level costs one branch.
 *
 * What goes wrong for a thousand endpoints at once, or with each request, must not bury the rest:
 * of one event 20 lines are written at once and 10 a second after that; how many were swallowed is
 * a line of its own. Debug is not limited: who asks for each step of each request wants each.
 * Knows: base. */
#ifndef EPP_LOG_H
#define EPP_LOG_H

#include "base/slice.h"

enum epp_log_level { EPP_LOG_ERROR, EPP_LOG_WARN, EPP_LOG_INFO, EPP_LOG_DEBUG };

/* The event words that lines were written of, each with its level. Beyond so many there is no
 * limit on those that come late: a program has fewer. */
#define EPP_LOG_SITES 128
#define EPP_LOG_BURST 20
#define EPP_LOG_PERIOD_US 100000

struct epp_log_site {
        const char *ev; /* NULL: none yet. By address: one call site, or those of one word */
        enum epp_log_level level;
        epp_wall due;       /* the bucket: when it will be full again */
        uint64_t swallowed; /* lines not told of yet */
};

struct epp_log_limit {
        struct epp_log_site site[EPP_LOG_SITES]; /* all zero at first */
        uint64_t swallowed;                      /* lines, ever */
};

struct epp_log {
        enum epp_log_level level; /* this and below are written */
        bool json;
        /* Gets one finished line, newline included. */
        void (*sink)(void *ctx, enum epp_log_level level, struct epp_slice line);
        void *ctx;
        epp_wall (*wall)(void *ctx); /* the time that lines carry */
        struct epp_log_limit *limit; /* borrowed; NULL: every line is written */
};

struct epp_log_field {
        const char *key;
        enum { EPP_LOG_TEXT, EPP_LOG_INT, EPP_LOG_MILLI } kind;
        struct epp_slice text;
        int64_t number;
};
#define LOG_S(k, slice) ((struct epp_log_field){ k, EPP_LOG_TEXT, slice, 0 })
#define LOG_T(k, str) ((struct epp_log_field){ k, EPP_LOG_TEXT, epp_slice_str(str), 0 })
#define LOG_N(k, n) ((struct epp_log_field){ k, EPP_LOG_INT, { NULL, 0 }, (int64_t)(n) })
/* <n> thousandths, written with a point: milliseconds out of microseconds. */
#define LOG_MILLI(k, n) ((struct epp_log_field){ k, EPP_LOG_MILLI, { NULL, 0 }, (int64_t)(n) })

/* Writes the line of event <ev>, a literal, unless the limit swallows it. Text is quoted where it
 * needs to be; a line is cut at 2 KiB. */
void epp_log_write(const struct epp_log *l, enum epp_log_level level, const char *ev,
        const struct epp_log_field *f, size_t n);

#define epp_log(l, lv, ev, ...) \
        do { \
                if ((lv) <= (l)->level) \
                        epp_log_write(l, lv, ev, (const struct epp_log_field[]){ __VA_ARGS__ }, \
                                ARRAY_LEN(((const struct epp_log_field[]){ __VA_ARGS__ }))); \
        } while (0)

/* Writes a line `swallowed of=EV lines=N` for each event that had lines swallowed since the last
 * call. To be called once a second, and before the end. */
void epp_log_tell(const struct epp_log *l);

/* Returns 0 and *ret for error, warn, info, debug; EPP_EINVAL otherwise. */
EPP_MUSTUSE int epp_log_level_parse(struct epp_slice text, enum epp_log_level *ret);

#endif

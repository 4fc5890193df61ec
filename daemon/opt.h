/* opt.h - the command line. Rows are in opt.def. Knows: lib/base, model/metricspec. */
#ifndef EPPD_OPT_H
#define EPPD_OPT_H

#include "base/slice.h"

struct opt_list {
        const char **v;
        size_t n;
        char *copy; /* what members from the environment point into */
};

typedef const char *opt_TEXT;
typedef struct opt_list opt_LIST;
typedef bool opt_BOOL;
typedef unsigned opt_PORT;
typedef uint64_t opt_NUMBER;
typedef uint64_t opt_BYTES;
typedef epp_us opt_DURATION;
typedef double opt_RATIO;
typedef const char *opt_METRIC;  /* a metric of a page, in model/metricspec's form */
typedef const char *opt_ADDRESS; /* an IP literal */
typedef const char *opt_HEADER;  /* a name of a header */
typedef const char *opt_PATH;    /* begins with / */
typedef const char *opt_LEVEL;   /* of the Go pickers' logger; may be empty */
typedef unsigned opt_ENUM; /* index into the names after "one of" in the row's prose */

/* A number per row of opt.def. */
enum opt_id {
#define GROUP(title)
#define OPT(field, ...) OPT_ID_##field,
#define UNBUILT(...)
#include "daemon/opt.def"
#undef OPT
        OPT_COUNT
};
enum opt_from { OPT_BY_DEFAULT, OPT_BY_ENV, OPT_BY_FLAG };

struct opt {
#define OPT(field, kind, ...) opt_##kind field;
#include "daemon/opt.def"
#undef UNBUILT
#undef OPT
#undef GROUP
        unsigned char from[OPT_COUNT]; /* enum opt_from: who said it */
};

enum opt_result { OPT_RUN, OPT_DONE, OPT_BAD };

/* Defaults, then variables EPPD_NAME of <env> (environ's form, or NULL), then the command line in
 * Go's syntax (-x y, --x=y, bare booleans), old spellings included. Texts point into argv, env or
 * the table. What --help and the like ask for goes to stdout (OPT_DONE). <say> hears a line for
 * each mistake, then the result is OPT_BAD, and for each thing to know, such as an old spelling.
 * log_level and log_format are settled with the Go pickers' flags for them. opt_fini releases the
 * lists. */
enum opt_result opt_parse(struct opt *o, int argc, char **argv, char *const *env,
        void (*say)(const char *line));
void opt_fini(struct opt *o);
/* A duration as Go writes it: "50ms", "1m30s", "1.5h", "0". False for anything else. */
bool opt_duration(const char *text, epp_us *ret);
/* Every flag with its value, one --name=value per line, to <out>; given back they say the same. */
void opt_dump(const struct opt *o, FILE *out);

struct opt_value {
        size_t number;           /* of the flag, from 0 on */
        const char *name;
        bool list;               /* the flag may be repeated: <n> is how often it was */
        const char *const *text; /* its values as the flag takes them; else one */
        size_t n;
        enum opt_from from;
};
/* Calls <fn> for every flag; what it gets is valid during the call. False: memory ran out. */
EPP_MUSTUSE bool opt_each(
        const struct opt *o, void (*fn)(void *ctx, const struct opt_value *v), void *ctx);

#endif

/* opt.h - the command line. Rows are in opt.def. Knows: lib/base, model/metricspec. */
#ifndef EPPD_OPT_H
#define EPPD_OPT_H

#include "base/slice.h"

struct opt_list {
        const char **v;
        size_t n;
};

typedef const char *opt_TEXT;
typedef struct opt_list opt_LIST;
typedef bool opt_BOOL;
typedef unsigned opt_PORT;
typedef uint64_t opt_NUMBER;
typedef uint64_t opt_BYTES;
typedef epp_us opt_DURATION;
typedef double opt_RATIO;
typedef const char *opt_METRIC; /* a metric of a page, in model/metricspec's form */
typedef unsigned opt_ENUM; /* index into the names after "one of" in the row's prose */

struct opt {
#define GROUP(title)
#define OPT(field, kind, name, old, def, prose) opt_##kind field;
#include "daemon/opt.def"
#undef OPT
#undef GROUP
};

enum opt_result { OPT_RUN, OPT_DONE, OPT_BAD };

/* Parses in Go's syntax (-x y, --x=y, bare booleans), old spellings included; texts point into
 * argv or the table. Help and version go to stdout (OPT_DONE); a mistake is one line in <err>
 * (OPT_BAD). <warn>, if given, hears of old spellings. opt_fini releases the lists. */
enum opt_result opt_parse(struct opt *o, int argc, char **argv, char *err, size_t err_size,
        void (*warn)(const char *line));
void opt_fini(struct opt *o);
/* A duration as Go writes it: "50ms", "1m30s", "1.5h", "0". False for anything else. */
bool opt_duration(const char *text, epp_us *ret);
/* Every flag with its value, one --name=value per line, to <out>. */
void opt_dump(const struct opt *o, FILE *out);

#endif

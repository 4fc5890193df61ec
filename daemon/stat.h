/* stat.h - the families of /metrics as a table: stat.def with what its rows need. How the page is
 * written is metrics' part. Knows: the modules that are shown. */
#ifndef EPPD_STAT_H
#define EPPD_STAT_H

#include "daemon/pages.h"
#include "daemon/process.h"
#include "model/series.h"

/* Whose names they are; --metrics-generations chooses. */
enum stat_generation {
        STAT_process = 0, /* always there */
        STAT_gaie_v0 = 1,
        STAT_gaie_v1 = 2,
        STAT_gaie = STAT_gaie_v0 | STAT_gaie_v1,
        STAT_current = 4,
        STAT_eppd = 8,
        STAT_runtime = 15, /* of each of them */
};

/* What is looked up once per page. NAN: not known, and not shown. */
struct stat_facts {
        struct process process;
        double start;
        double kv, queue, running;                   /* means over fresh endpoints ... */
        double kv_spread, queue_spread, running_spread; /* ... and their sample deviations */
        size_t fresh;
        struct epp_slice pool;                       /* its name */
        double render_seconds, page_bytes;           /* of the previous page */
        bool fairness;                               /* whether fairness_id is told apart */
};

/* Where a sample is; what its family does not run over is NULL or 0. */
struct stat_at {
        const struct pages *p;
        const struct stat_facts *f;
        const struct epp_endpoint *e;
        const struct epp_cell *c;
        size_t i;
};

/* What the samples of a family run over. Cells: those that agree in some labels are one sample, the
 * sum of them; in the order of the list they follow each other. */
enum stat_over {
        STAT_EACH,      /* i: 0 to count */
        STAT_LONG,      /* the same, may be thousands: a page may be cut in between */
        STAT_ENDPOINTS, /* of the pool, as it is at that moment */
        STAT_MODEL,     /* cells that agree in the model, ... */
        STAT_TARGET,    /* and the target, ... */
        STAT_PRIORITY,  /* and the priority, ... */
        STAT_FAIRNESS,  /* and the fairness id; each with every i from 0 to count */
};

#define STAT_LABELS_MAX 6

struct stat_label {
        const char *name;
        struct epp_slice (*value)(const struct stat_at *at); /* until the next call */
};
struct stat_labels {
        enum stat_over over;
        size_t (*count)(const struct pages *p);
        struct stat_label label[STAT_LABELS_MAX]; /* in the order of the page; ends without name */
};

struct stat_row {
        enum stat_generation generation;
        const char *name, *type, *help;
        const struct stat_labels *labels;
        /* One of them. NAN, NULL and histograms that are empty or not set up are no sample. */
        double (*value)(const struct stat_at *at);
        const struct epp_hist *(*hist)(const struct stat_at *at);
};

const struct stat_row *stat_rows(size_t *ret_n);

#endif

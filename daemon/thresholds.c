/* thresholds.c - see thresholds.h. */
#include "daemon/thresholds.h"

#include <errno.h>
#include <math.h>

#include "daemon/opt.h"

/* The original takes 0 for "the default" where it reads SD_...: here a limit of 0 is nonsense. */
enum unit { RATIO, COUNT, PART, ABOVE_0, DURATION };

static const struct {
        const char *name;
        enum epp_builtin config;
        enum unit unit;
        size_t field;
} vars[] = {
#define F(field) offsetof(struct epp_thresholds, field)
        { "KV_CACHE_THRESHOLD", EPP_TREE_V03, RATIO, F(kv) },
        { "QUEUE_THRESHOLD_CRITICAL", EPP_TREE_V03, COUNT, F(queue_critical) },
        { "QUEUING_THRESHOLD_LORA", EPP_TREE_V03, COUNT, F(queuing_lora) },
        { "LORA_AFFINITY_THRESHOLD", EPP_TREE_V03, RATIO, F(lora_affinity) },
        { "SD_KV_CACHE_UTIL_THRESHOLD", EPP_TREE_V05, PART, F(kv) },
        { "SD_QUEUE_DEPTH_THRESHOLD", EPP_TREE_V05, ABOVE_0, F(queue_critical) },
        { "SD_METRICS_STALENESS_THRESHOLD", EPP_TREE_V05, DURATION, F(staleness_us) },
#undef F
};

static bool
parse(const char *text, enum unit unit, double *ret)
{
        epp_us us;
        char *end;
        double v;

        if (unit == DURATION) {
                if (!opt_duration(text, &us) || us <= 0)
                        return false;
                *ret = (double)us;
                return true;
        }
        if (text[strspn(text, "0123456789.eE+-")] != 0) /* strtod reads more than numbers */
                return false;
        errno = 0;
        v = strtod(text, &end);
        if (end == text || *end || errno || !isfinite(v) || v < 0)
                return false;
        *ret = v;
        switch (unit) {
        case RATIO:
                return v <= 1;
        case PART:
                return v > 0 && v < 1;
        case COUNT:
        case ABOVE_0:
                return v == floor(v) && v < 1e9 && (v > 0 || unit == COUNT);
        case DURATION:
                break;
        }
        return false;
}

bool
thresholds_read(enum epp_builtin config, char *(*get)(const char *name),
        struct epp_thresholds *ret, char *err, size_t err_size)
{
        static const char *const wants[] = { "a number from 0 to 1", "a whole number",
                "a number between 0 and 1", "a whole number above 0", "a duration such as 200ms" };

        *ret = epp_thresholds_default;
        for (size_t i = 0; i < ARRAY_LEN(vars); i++) {
                const char *text = vars[i].config == config ? get(vars[i].name) : NULL;

                if (text && !parse(text, vars[i].unit,
                        (double *)(void *)((char *)ret + vars[i].field))) {
                        snprintf(err, err_size, "%s=\"%s\" is not %s", vars[i].name, text,
                                wants[vars[i].unit]);
                        return false;
                }
        }
        return true;
}

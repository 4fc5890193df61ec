/* thresholds.c - see thresholds.h. */
#include "daemon/thresholds.h"

#include <errno.h>
#include <math.h>

enum unit { RATIO, COUNT, DURATION };

static const struct {
        const char *name;
        enum epp_builtin config;
        enum unit unit;
        size_t field;
} vars[] = {
        { "KV_CACHE_THRESHOLD", EPP_TREE_V03, RATIO, offsetof(struct epp_thresholds, kv) },
        { "QUEUE_THRESHOLD_CRITICAL", EPP_TREE_V03, COUNT, offsetof(struct epp_thresholds, queue_critical) },
        { "QUEUING_THRESHOLD_LORA", EPP_TREE_V03, COUNT, offsetof(struct epp_thresholds, queuing_lora) },
        { "LORA_AFFINITY_THRESHOLD", EPP_TREE_V03, RATIO, offsetof(struct epp_thresholds, lora_affinity) },
        { "SD_KV_CACHE_UTIL_THRESHOLD", EPP_TREE_V05, RATIO, offsetof(struct epp_thresholds, kv) },
        { "SD_QUEUE_DEPTH_THRESHOLD", EPP_TREE_V05, COUNT, offsetof(struct epp_thresholds, queue_critical) },
        { "SD_METRICS_STALENESS_THRESHOLD", EPP_TREE_V05, DURATION,
                offsetof(struct epp_thresholds, staleness_us) },
};

static bool
parse(const char *text, enum unit unit, double *ret)
{
        static const struct {
                const char *suffix;
                double factor;
        } units[] = { { "us", 1 }, { "ms", 1e3 }, { "s", 1e6 }, { "m", 60e6 } };
        char *end;
        double v;

        errno = 0;
        v = strtod(text, &end);
        if (end == text || errno || !isfinite(v) || v < 0)
                return false;
        if (unit == DURATION) {
                for (size_t i = 0; i < ARRAY_LEN(units); i++) {
                        if (strcmp(end, units[i].suffix) == 0) {
                                *ret = v * units[i].factor;
                                return v > 0;
                        }
                }
                return false;
        }
        *ret = v;
        return *end == 0 && (unit == RATIO ? v <= 1 : v == floor(v) && v < 1e9);
}

bool
thresholds_read(enum epp_builtin config, char *(*get)(const char *name),
        struct epp_thresholds *ret, char *err, size_t err_size)
{
        static const char *const wants[] = { "a number from 0 to 1", "a whole number",
                "a duration such as 200ms" };

        *ret = epp_thresholds_default;
        for (size_t i = 0; i < ARRAY_LEN(vars); i++) {
                const char *text = vars[i].config == config ? get(vars[i].name) : NULL;

                if (text && !parse(text, vars[i].unit, (double *)(void *)((char *)ret + vars[i].field))) {
                        snprintf(err, err_size, "%s=\"%s\" is not %s", vars[i].name, text, wants[vars[i].unit]);
                        return false;
                }
        }
        return true;
}

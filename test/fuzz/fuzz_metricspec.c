/* fuzz_metricspec.c - name{label=value,...}: what is taken consists of parts of the text. */
#include "fuzz.h"
#include "model/metricspec.h"

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
        struct epp_load_metric m = { .family = NULL };
        char *x = malloc(n + 1);
        size_t length;

        EPP_ASSERT(x);
        if (n)
                memcpy(x, p, n);
        x[n] = 0;
        length = strlen(x);
        if (epp_metricspec_parse(x, &m) == 0 && m.family) {
                EPP_ASSERT(m.family >= x && *m.family && m.family + strlen(m.family) <= x + length);
                for (size_t i = 0; i < EPP_LOAD_LABELS && m.label[i].name; i++) {
                        EPP_ASSERT(*m.label[i].name && m.label[i].name > m.family);
                        EPP_ASSERT(m.label[i].value + strlen(m.label[i].value) < x + length);
                }
        }
        free(x);
        return 0;
}

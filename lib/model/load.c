/* load.c - see load.h. */
#include "model/load.h"

#include <xxhash.h>

#include "base/status.h"

static void
loras_fini(struct epp_loras *s)
{
        free(s->v);
        free(s->text);
}

void
epp_load_fini(struct epp_load *l)
{
        loras_fini(&l->lora_running);
        loras_fini(&l->lora_waiting);
        loras_fini(&l->lora_v03);
        *l = (struct epp_load){ 0 };
}

bool
epp_loras_has(const struct epp_loras *s, uint64_t hash)
{
        for (uint32_t i = 0; i < s->n; i++)
                if (s->v[i].hash == hash)
                        return true;
        return false;
}

int
epp_loras_add(struct epp_loras *s, struct epp_slice name)
{
        uint64_t hash = XXH3_64bits(name.p, name.n);

        if (epp_loras_has(s, hash))
                return 0;
        if (s->n == s->cap) {
                uint32_t cap = s->cap ? s->cap * 2 : 4;
                struct epp_lora *v = realloc(s->v, cap * sizeof(*v));

                if (!v)
                        return EPP_ENOMEM;
                s->v = v;
                s->cap = cap;
        }
        if (s->text_cap - s->text_n < name.n) {
                size_t cap = s->text_cap * 2 + name.n;
                char *text = realloc(s->text, cap);

                if (!text)
                        return EPP_ENOMEM;
                s->text = text;
                s->text_cap = cap;
        }
        memcpy(s->text + s->text_n, name.p, name.n);
        s->v[s->n++] = (struct epp_lora){ hash, (uint32_t)s->text_n, (uint32_t)name.n };
        s->text_n += name.n;
        return 1;
}

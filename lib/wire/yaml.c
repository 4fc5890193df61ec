/* yaml.c - see yaml.h. */
#include "wire/yaml.h"

#include <errno.h>
#include <yaml.h>

#include "base/map.h"

#define DEPTH_MAX 64

struct parse {
        yaml_parser_t parser;
        struct epp_doc *doc;
        unsigned depth;
};

static int
refuse(struct parse *p, size_t line, const char *what)
{
        p->doc->error_line = (unsigned)line + 1;
        snprintf(p->doc->error, sizeof(p->doc->error), "%s", what);
        return EPP_EPROTO;
}

static int
next_event(struct parse *p, yaml_event_t *e)
{
        if (yaml_parser_parse(&p->parser, e))
                return 0;
        if (p->parser.error == YAML_MEMORY_ERROR)
                return EPP_ENOMEM;
        return refuse(p, p->parser.problem_mark.line ? p->parser.problem_mark.line
                                                     : p->parser.context_mark.line,
                p->parser.problem ? p->parser.problem : "not YAML");
}

static struct epp_node *
node_new(struct parse *p, enum epp_node_kind kind, const yaml_event_t *e)
{
        struct epp_node *n = epp_arena_alloc(&p->doc->arena, sizeof(*n));

        if (n) {
                n->kind = kind;
                n->line = (unsigned)e->start_mark.line + 1;
        }
        return n;
}

static int parse_node(struct parse *p, yaml_event_t *e, struct epp_node **ret);

static int
parse_scalar(struct parse *p, const yaml_event_t *e, struct epp_node **ret)
{
        static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
        struct epp_node *n = node_new(p, EPP_NODE_SCALAR, e);

        if (e->data.scalar.tag && !e->data.scalar.quoted_implicit && !e->data.scalar.plain_implicit)
                return refuse(p, e->start_mark.line, "tags are not taken here");
        if (!n)
                return EPP_ENOMEM;
        n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        n->text = epp_arena_copy(&p->doc->arena,
                epp_slice(e->data.scalar.value, e->data.scalar.length));
        if (!n->text.p)
                return EPP_ENOMEM;
        for (size_t i = 0; i < ARRAY_LEN(nulls) && !n->quoted; i++)
                if (epp_slice_eq(n->text, epp_slice_str(nulls[i])))
                        n->kind = EPP_NODE_NULL;
        *ret = n;
        return 0;
}

static int
parse_list(struct parse *p, const yaml_event_t *start, struct epp_node **ret)
{
        struct epp_node *n = node_new(p, EPP_NODE_LIST, start), **tail;
        yaml_event_t e;
        int r;

        if (!n)
                return EPP_ENOMEM;
        for (tail = &n->first;; tail = &(*tail)->next) {
                r = next_event(p, &e);
                if (r < 0)
                        return r;
                if (e.type == YAML_SEQUENCE_END_EVENT)
                        break;
                r = parse_node(p, &e, tail);
                if (r < 0)
                        return r;
        }
        yaml_event_delete(&e);
        *ret = n;
        return 0;
}

/* The key in <e> (consumed) into *ret and <keys>; a key that is there already is refused. */
static int
parse_key(struct parse *p, yaml_event_t *e, struct epp_map *keys, struct epp_slice *ret)
{
        size_t line = e->start_mark.line;
        char what[120];
        int r;

        if (e->type != YAML_SCALAR_EVENT) {
                yaml_event_delete(e);
                return refuse(p, line, "a key must be plain text");
        }
        *ret = epp_arena_copy(&p->doc->arena,
                epp_slice(e->data.scalar.value, e->data.scalar.length));
        yaml_event_delete(e);
        if (!ret->p)
                return EPP_ENOMEM;
        r = epp_map_put(keys, *ret, p);
        if (r == 0) {
                snprintf(what, sizeof(what), "the key \"%.60s\" is there twice", ret->p);
                return refuse(p, line, what);
        }
        return r < 0 ? r : 0;
}

static int
parse_members(struct parse *p, struct epp_node *map, struct epp_map *keys)
{
        struct epp_node *value, **tail;
        struct epp_slice key;
        yaml_event_t e;
        int r;

        for (tail = &map->first;; tail = &value->next) {
                r = next_event(p, &e);
                if (r < 0)
                        return r;
                if (e.type == YAML_MAPPING_END_EVENT)
                        break;
                r = parse_key(p, &e, keys, &key);
                if (r == 0)
                        r = next_event(p, &e);
                if (r == 0)
                        r = parse_node(p, &e, &value);
                if (r < 0)
                        return r;
                value->key = key;
                *tail = value;
        }
        yaml_event_delete(&e);
        return 0;
}

static int
parse_map(struct parse *p, const yaml_event_t *start, struct epp_node **ret)
{
        struct epp_map keys = { .seed = 0 };
        int r;

        *ret = node_new(p, EPP_NODE_MAP, start);
        if (!*ret)
                return EPP_ENOMEM;
        r = parse_members(p, *ret, &keys);
        epp_map_fini(&keys);
        return r;
}

/* The node that <e> begins; <e> is consumed in every case. */
static int
parse_node(struct parse *p, yaml_event_t *e, struct epp_node **ret)
{
        int r;

        if (++p->depth > DEPTH_MAX) {
                yaml_event_delete(e);
                refuse(p, p->parser.mark.line, "nested too deeply");
                return EPP_EDEEP;
        }
        switch (e->type) {
        case YAML_SCALAR_EVENT:
                r = parse_scalar(p, e, ret);
                break;
        case YAML_SEQUENCE_START_EVENT:
                r = parse_list(p, e, ret);
                break;
        case YAML_MAPPING_START_EVENT:
                r = parse_map(p, e, ret);
                break;
        default:
                r = refuse(p, e->start_mark.line, "aliases are not taken here");
        }
        yaml_event_delete(e);
        p->depth--;
        return r;
}

static int
parse_stream(struct parse *p)
{
        struct epp_node **tail = &p->doc->root;
        yaml_event_t e;
        int r;

        while ((r = next_event(p, &e)) == 0) {
                yaml_event_type_t type = e.type;

                if (type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT ||
                        type == YAML_MAPPING_START_EVENT || type == YAML_ALIAS_EVENT) {
                        r = parse_node(p, &e, tail);
                        if (r < 0)
                                return r;
                        tail = &(*tail)->next;
                        continue;
                }
                yaml_event_delete(&e);
                if (type == YAML_STREAM_END_EVENT)
                        return 0;
        }
        return r;
}

int
epp_doc_parse(struct epp_slice text, struct epp_doc *ret)
{
        struct parse p = { .doc = ret };
        int r;

        *ret = (struct epp_doc){ .root = NULL };
        if (!yaml_parser_initialize(&p.parser))
                return EPP_ENOMEM;
        yaml_parser_set_input_string(&p.parser, (const unsigned char *)(text.p ? text.p : ""),
                text.n);
        r = parse_stream(&p);
        yaml_parser_delete(&p.parser);
        return r;
}

void
epp_doc_fini(struct epp_doc *d)
{
        epp_arena_fini(&d->arena);
        d->root = NULL;
}

const struct epp_node *
epp_node_get(const struct epp_node *n, const char *key)
{
        if (!n || n->kind != EPP_NODE_MAP)
                return NULL;
        for (const struct epp_node *c = n->first; c; c = c->next)
                if (epp_slice_eq(c->key, epp_slice_str(key)))
                        return c->kind == EPP_NODE_NULL ? NULL : c;
        return NULL;
}

bool
epp_node_integer(const struct epp_node *n, int64_t min, int64_t max, bool text_too, int64_t *ret)
{
        char *end;
        long long v;

        if (!n || n->kind != EPP_NODE_SCALAR || n->text.n == 0 || (n->quoted && !text_too))
                return false;
        if (*n->text.p != '-' && (*n->text.p < '0' || *n->text.p > '9'))
                return false;
        errno = 0;
        v = strtoll(n->text.p, &end, 10);
        if (end != n->text.p + n->text.n || errno || v < min || v > max)
                return false;
        *ret = v;
        return true;
}

struct epp_node *
epp_node_copy(struct epp_arena *a, const struct epp_node *n)
{
        struct epp_node *copy = epp_arena_alloc(a, sizeof(*copy)), **tail;

        if (!copy)
                return NULL;
        *copy = *n;
        copy->next = NULL;
        copy->key = epp_arena_copy(a, n->key);
        copy->text = epp_arena_copy(a, n->text);
        tail = &copy->first;
        *tail = NULL;
        for (const struct epp_node *m = n->first; m; m = m->next) {
                *tail = epp_node_copy(a, m);
                if (!*tail)
                        return NULL;
                tail = &(*tail)->next;
        }
        return a->failed ? NULL : copy;
}

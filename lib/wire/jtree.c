/* jtree.c - see jtree.h. A byte machine with two gears: keeping (nodes are made, strings decoded)
 * and skipping (only strings and brackets are followed). Members of maps are put in front of each
 * other, so that of a repeated key epp_node_get finds the last. */
#include "wire/jtree.h"

#include "base/buf.h"
#include "wire/jscan.h"

#define LEVELS 64
#define KEY_MAX 1024 /* longer keys match nothing */

enum state {
        ST_BETWEEN,
        ST_VALUE,
        ST_FIRST_ITEM,
        ST_FIRST_KEY,
        ST_KEY,
        ST_COLON,
        ST_NEXT,
        ST_STRING,
        ST_ESCAPE,
        ST_HEX,
        ST_WORD
};

struct level {
        struct epp_node *node, **tail; /* tail: where the next item of a list goes */
        const struct epp_jkeep *keep;  /* of its members; NULL: everything */
        bool list;
};

struct epp_jtree {
        const struct epp_jkeep *keep;
        const char *each;
        size_t max_kept, kept;
        const struct epp_jtree_ops *ops;
        void *ctx;
        int error;
        enum state state;
        struct level level[LEVELS];
        unsigned depth;              /* levels that are kept */
        uint64_t skipped;            /* open brackets below something that is not kept */
        bool is_key, in_item, over;  /* over: more than max_kept */
        const struct epp_jkeep *row; /* of the value that comes */
        bool wanted;                 /* the value that comes is kept */
        struct epp_arena doc, item;
        struct epp_buf text;         /* the key or scalar being read */
        struct epp_slice key;        /* of the value that comes, in an arena */
        uint32_t hex, high;
        unsigned hex_left;
};

int
epp_jtree_new(const struct epp_jkeep *keep, const char *each, size_t max_kept,
        const struct epp_jtree_ops *ops, void *ctx, struct epp_jtree **ret)
{
        struct epp_jtree *t = calloc(1, sizeof(*t));

        if (!t)
                return EPP_ENOMEM;
        t->keep = keep;
        t->each = each;
        t->max_kept = max_kept;
        t->ops = ops;
        t->ctx = ctx;
        t->text.cap = max_kept;
        *ret = t;
        return 0;
}

void
epp_jtree_reset(struct epp_jtree *t)
{
        epp_arena_fini(&t->doc);
        epp_arena_fini(&t->item);
        epp_buf_fini(&t->text);
        t->error = 0;
        t->state = ST_BETWEEN;
        t->depth = 0;
        t->skipped = 0;
        t->kept = 0;
        t->in_item = t->over = t->wanted = false;
        t->high = 0;
}

void
epp_jtree_free(struct epp_jtree *t)
{
        if (!t)
                return;
        epp_jtree_reset(t);
        free(t);
}

bool
epp_jtree_midway(const struct epp_jtree *t)
{
        return t->state != ST_BETWEEN;
}

static struct epp_arena *
arena(struct epp_jtree *t)
{
        return t->in_item ? &t->item : &t->doc;
}

/* ---- keeping ---- */

static struct epp_node *
add_node(struct epp_jtree *t, enum epp_node_kind kind)
{
        struct level *up = t->depth ? &t->level[t->depth - 1] : NULL;
        struct epp_node *n;

        t->kept += sizeof(*n) + t->key.n;
        if (t->kept > t->max_kept) {
                t->over = true;
                return NULL;
        }
        n = epp_arena_alloc(arena(t), sizeof(*n));
        if (!n) {
                t->error = EPP_ENOMEM;
                return NULL;
        }
        n->kind = kind;
        n->key = t->key;
        n->line = 1;
        if (up && up->list) {
                *up->tail = n;
                up->tail = &n->next;
        } else if (up) {
                n->next = up->node->first;
                up->node->first = n;
        }
        return n;
}

/* The value whose tree would be handed out ends here. */
static void
end_of_tree(struct epp_jtree *t, struct epp_node *n, bool item)
{
        if (t->over)
                t->ops->too_big(t->ctx);
        else if (item)
                t->ops->item(t->ctx, n);
        else
                t->ops->doc(t->ctx, n);
        t->over = false;
        t->in_item = false;
        t->kept = 0;
        epp_arena_fini(item ? &t->item : &t->doc);
}

/* Items of the list <each> live in their own arena and are not linked to the list. */
static bool
begins_item(const struct epp_jtree *t)
{
        const struct level *up = t->depth == 2 ? &t->level[1] : NULL;

        return up && up->list && t->each && epp_slice_eq(up->node->key, epp_slice_str(t->each));
}

static void
forget_items(struct epp_jtree *t)
{
        t->level[1].node->first = NULL;
        t->level[1].tail = &t->level[1].node->first;
}

/* Says whether the value that comes is kept, and by which row its members are. */
static void
choose(struct epp_jtree *t, struct epp_slice key)
{
        const struct level *up = &t->level[t->depth - 1];

        t->wanted = !up->keep;
        t->row = NULL;
        for (const struct epp_jkeep *k = up->keep; k && k->key; k++) {
                if (!epp_slice_eq(key, epp_slice_str(k->key)) && strcmp(k->key, "*") != 0)
                        continue;
                t->row = k->below;
                t->wanted = true;
                return;
        }
}

static void
scalar(struct epp_jtree *t, bool quoted)
{
        struct epp_slice text = epp_buf_slice(&t->text);
        struct epp_node *n;
        bool item;

        t->state = t->depth ? ST_NEXT : ST_BETWEEN;
        if (t->skipped || (t->depth && !t->wanted) || (t->over && t->depth))
                return;
        item = begins_item(t);
        t->in_item |= item;
        t->kept += text.n;
        n = add_node(t,
                !quoted && epp_slice_eq(text, EPP_SLICE("null")) ? EPP_NODE_NULL : EPP_NODE_SCALAR);
        if (n) {
                n->quoted = quoted;
                n->text = epp_arena_copy(arena(t), text);
                if (!n->text.p)
                        t->error = EPP_ENOMEM;
        }
        if (item)
                forget_items(t);
        if (item || t->depth == 0)
                end_of_tree(t, n, item);
}

static void
open_bracket(struct epp_jtree *t, bool list)
{
        struct level *l;
        bool item;

        t->state = list ? ST_FIRST_ITEM : ST_FIRST_KEY;
        if (t->skipped || t->over || (t->depth && !t->wanted) || t->depth == LEVELS) {
                t->skipped++;
                return;
        }
        item = begins_item(t);
        t->in_item |= item;
        l = &t->level[t->depth];
        *l = (struct level){ .list = list, .keep = t->depth ? t->row : t->keep };
        l->node = add_node(t, list ? EPP_NODE_LIST : EPP_NODE_MAP);
        if (!l->node) {
                t->skipped++;
                if (item || t->depth == 0) /* not even the first node fits */
                        t->error = t->error ? t->error : EPP_ENOMEM;
                return;
        }
        l->tail = &l->node->first;
        t->depth++;
        t->wanted = true; /* of a list's items */
        t->row = l->keep;
}

static void
close_bracket(struct epp_jtree *t, bool list)
{
        struct level *l;

        t->state = ST_NEXT;
        if (t->skipped) {
                t->skipped--;
                return;
        }
        l = &t->level[t->depth - 1];
        if (l->list != list) {
                t->error = EPP_EPROTO;
                return;
        }
        t->depth--;
        if (t->depth == 0)
                t->state = ST_BETWEEN;
        if (t->depth == 0 || begins_item(t)) {
                if (t->depth)
                        forget_items(t);
                end_of_tree(t, l->node, t->depth != 0);
        }
}

/* Behind a comma or a value: what a list or map goes on with. */
static bool
in_list(const struct epp_jtree *t)
{
        return t->level[t->depth - 1].list;
}

/* ---- text ---- */

static bool
keeps_text(const struct epp_jtree *t)
{
        return !t->skipped && !t->over && (t->is_key || t->wanted || t->depth == 0);
}

static void
put_text(struct epp_jtree *t, const char *p, size_t n)
{
        int r;

        if (!keeps_text(t))
                return;
        r = epp_buf_append(&t->text, epp_slice(p, n));
        if (r == EPP_ETOOBIG)
                t->over = true;
        else if (r < 0)
                t->error = r;
}

static void
put_code(struct epp_jtree *t, uint32_t c)
{
        char u[4];
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const unsigned char lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };

        for (size_t i = n; i-- > 0; c >>= 6)
                u[i] = (char)(i ? 0x80 | (c & 0x3f) : lead[n] | c);
        put_text(t, u, n);
}

/* A high half without its low half. */
static void
lone(struct epp_jtree *t)
{
        if (t->high)
                put_code(t, 0xfffd);
        t->high = 0;
}

static void
unicode(struct epp_jtree *t)
{
        if (t->hex >= 0xdc00 && t->hex < 0xe000) {
                put_code(t,
                        t->high ? 0x10000 + ((t->high & 0x3ff) << 10) + (t->hex & 0x3ff) : 0xfffd);
                t->high = 0;
                return;
        }
        lone(t);
        if (t->hex >= 0xd800 && t->hex < 0xdc00)
                t->high = t->hex;
        else
                put_code(t, t->hex);
}

static void
end_of_string(struct epp_jtree *t)
{
        struct epp_slice text;

        lone(t);
        if (!t->is_key) {
                scalar(t, true);
                return;
        }
        t->state = ST_COLON;
        if (t->skipped)
                return;
        text = epp_buf_slice(&t->text);
        choose(t, text.n <= KEY_MAX ? text : epp_slice(NULL, 0));
        if (t->wanted && !t->over) {
                t->key = epp_arena_copy(arena(t), text);
                if (!t->key.p)
                        t->error = EPP_ENOMEM;
        }
}

static void
begin_text(struct epp_jtree *t, enum state state, bool is_key)
{
        epp_buf_drain(&t->text, epp_buf_len(&t->text));
        t->state = state;
        t->is_key = is_key;
        t->high = 0;
}

static void
escape(struct epp_jtree *t, char c)
{
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char *at = c ? strchr(from, c) : NULL;

        if (c == 'u') {
                t->state = ST_HEX;
                t->hex = 0;
                t->hex_left = 4;
                return;
        }
        t->state = ST_STRING;
        if (!at) {
                t->error = EPP_EPROTO;
                return;
        }
        lone(t);
        put_text(t, &to[at - from], 1);
}

static void
hex(struct epp_jtree *t, char c)
{
        unsigned v = c >= '0' && c <= '9'                    ? (unsigned)(c - '0')
                : epp_lower(c) >= 'a' && epp_lower(c) <= 'f' ? (unsigned)(epp_lower(c) - 'a' + 10)
                                                             : 16;

        if (v == 16) {
                t->error = EPP_EPROTO;
                return;
        }
        t->hex = t->hex << 4 | v;
        if (--t->hex_left == 0) {
                t->state = ST_STRING;
                unicode(t);
        }
}

/* Bytes of a string up to its end or an escape; returns how many were taken. */
static size_t
string_bytes(struct epp_jtree *t, const char *p, size_t n)
{
        size_t plain = epp_jscan_plain(p, n);

        if (plain) {
                lone(t);
                put_text(t, p, plain);
                return plain;
        }
        if (*p == '\\')
                t->state = ST_ESCAPE;
        else if (*p == '"')
                end_of_string(t);
        else
                t->error = EPP_EPROTO;
        return 1;
}

/* ---- structure ---- */

static bool
is_word(char c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '+' ||
                c == '.' || c == 'E';
}

/* A number or literal has ended: is it one? */
static void
end_of_word(struct epp_jtree *t)
{
        struct epp_slice w = epp_buf_slice(&t->text);
        bool number = w.n && (w.p[0] == '-' || (w.p[0] >= '0' && w.p[0] <= '9'));

        if (keeps_text(t) && !number && !epp_slice_eq(w, EPP_SLICE("null")) &&
                !epp_slice_eq(w, EPP_SLICE("true")) && !epp_slice_eq(w, EPP_SLICE("false")))
                t->error = EPP_EPROTO;
        else
                scalar(t, false);
}

static void
value(struct epp_jtree *t, char c)
{
        if (t->depth && !t->skipped && in_list(t)) {
                t->key = epp_slice(NULL, 0);
                t->wanted = true;
                t->row = t->level[t->depth - 1].keep;
        }
        if (c == '{' || c == '[') {
                open_bracket(t, c == '[');
        } else if (c == '"') {
                begin_text(t, ST_STRING, false);
        } else if (is_word(c)) {
                begin_text(t, ST_WORD, false);
                put_text(t, &c, 1);
        } else {
                t->error = EPP_EPROTO;
        }
}

static void
next(struct epp_jtree *t, char c)
{
        if (c == '}' || c == ']')
                close_bracket(t, c == ']');
        else if (c != ',')
                t->error = EPP_EPROTO;
        else if (t->skipped)
                t->state = ST_VALUE; /* below what is skipped keys and values look alike */
        else
                t->state = in_list(t) ? ST_VALUE : ST_KEY;
}

/* One byte outside strings. */
static void
structure(struct epp_jtree *t, char c)
{
        switch (t->state) {
        case ST_BETWEEN:
                t->key = epp_slice(NULL, 0);
                value(t, c);
                break;
        case ST_FIRST_ITEM:
        case ST_FIRST_KEY:
                if (c == (t->state == ST_FIRST_ITEM ? ']' : '}'))
                        close_bracket(t, c == ']');
                else if (t->state == ST_FIRST_ITEM || t->skipped)
                        value(t, c);
                else if (c == '"')
                        begin_text(t, ST_STRING, true);
                else
                        t->error = EPP_EPROTO;
                break;
        case ST_KEY:
                if (c == '"')
                        begin_text(t, ST_STRING, true);
                else
                        t->error = EPP_EPROTO;
                break;
        case ST_COLON:
                if (c == ':')
                        t->state = ST_VALUE;
                else
                        t->error = EPP_EPROTO;
                break;
        case ST_NEXT:
                if (t->skipped && c == ':')
                        t->state = ST_VALUE;
                else
                        next(t, c);
                break;
        default:
                value(t, c);
        }
}

int
epp_jtree_feed(struct epp_jtree *t, struct epp_slice in)
{
        while (in.n && !t->error) {
                size_t taken = 1;
                char c = *in.p;

                if (t->state == ST_STRING) {
                        taken = string_bytes(t, in.p, in.n);
                } else if (t->state == ST_ESCAPE) {
                        escape(t, c);
                } else if (t->state == ST_HEX) {
                        hex(t, c);
                } else if (t->state == ST_WORD && is_word(c)) {
                        put_text(t, &c, 1);
                } else if (t->state == ST_WORD) {
                        end_of_word(t);
                        taken = 0;
                } else if (c != ' ' && c != '\n' && c != '\t' && c != '\r') {
                        structure(t, c);
                }
                in.p += taken, in.n -= taken;
        }
        return t->error;
}

/* httphead.c - see httphead.h. Lines end with CR LF and nothing else; headers do not go on in the
 * next line, have no blank before their colon and no control characters. Of those that say how long
 * a request is only `Content-Length: 0` is taken, once. */
#include "serve/httphead.h"

struct framing {
        struct epp_slice length, coding;
        unsigned lengths, codings;
};

static int
refuse(struct epp_httphead *h, int code, const char *why)
{
        h->code = code;
        h->why = why;
        return EPP_EPROTO;
}

/* ---- lines ---- */

/* Cuts the next line off. Returns 1, 0: its end is not there, EPP_EPROTO: no CR before its LF. */
static int
next_line(struct epp_slice *rest, struct epp_slice *line)
{
        if (!rest->n || !memchr(rest->p, '\n', rest->n))
                return 0;
        *line = epp_slice_cut(rest, '\n');
        if (!line->n || line->p[line->n - 1] != '\r')
                return EPP_EPROTO;
        line->n--;
        return 1;
}

/* No control characters: a NUL or a lone CR ends a line for some. */
static bool
is_plain(struct epp_slice s)
{
        for (size_t i = 0; i < s.n; i++) {
                unsigned char c = (unsigned char)s.p[i];

                if ((c < 0x20 && c != '\t') || c == 0x7f)
                        return false;
        }
        return true;
}

/* A token of RFC 9110: methods and names of headers. */
static bool
is_token(struct epp_slice s)
{
        for (size_t i = 0; i < s.n; i++) {
                char c = s.p[i];

                if (!(c >= '0' && c <= '9') && !(epp_lower(c) >= 'a' && epp_lower(c) <= 'z') &&
                        !(c && strchr("!#$%&'*+-.^_`|~", c)))
                        return false;
        }
        return s.n > 0;
}

static bool
is_number(struct epp_slice s)
{
        for (size_t i = 0; i < s.n; i++)
                if (s.p[i] < '0' || s.p[i] > '9')
                        return false;
        return s.n > 0;
}

/* ---- the first line ---- */

static int
read_version(struct epp_httphead *h, struct epp_slice version)
{
        h->http10 = epp_slice_eq(version, EPP_SLICE("HTTP/1.0"));
        if (h->http10 || epp_slice_eq(version, EPP_SLICE("HTTP/1.1")))
                return 0;
        if (version.n == 8 && epp_slice_has_prefix(version, EPP_SLICE("HTTP/")) &&
                is_number(epp_slice(version.p + 5, 1)) && version.p[6] == '.' &&
                is_number(epp_slice(version.p + 7, 1)))
                return refuse(h, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
        return refuse(h, 400, "not an HTTP/1.x request");
}

static int
read_target(struct epp_httphead *h, struct epp_slice target)
{
        if (target.n == 0 || target.p[0] != '/')
                return refuse(h, 400, "the target must be a path: this is no proxy");
        for (size_t i = 0; i < target.n; i++) {
                unsigned char c = (unsigned char)target.p[i];

                if (c <= 0x20 || c >= 0x7f || c == '#')
                        return refuse(h, 400, "a character in the target that must be escaped");
        }
        h->query = target;
        h->path = epp_slice_cut(&h->query, '?');
        return 0;
}

/* *ret_known: GET or HEAD. Others are refused when the rest of the head was seen to be sound. */
static int
first_line(struct epp_httphead *h, struct epp_slice line, bool *ret_known)
{
        struct epp_slice method = epp_slice_cut(&line, ' '), target = epp_slice_cut(&line, ' ');
        int r = is_token(method) ? read_version(h, line)
                                 : refuse(h, 400, "not an HTTP/1.x request");

        if (r < 0)
                return r;
        h->head = epp_slice_eq(method, EPP_SLICE("HEAD"));
        *ret_known = h->head || epp_slice_eq(method, EPP_SLICE("GET"));
        return *ret_known ? read_target(h, target) : 0;
}

/* ---- headers ---- */

static void
join_accept(struct epp_httphead *h, struct epp_slice value)
{
        size_t n = h->accept.n;

        if (!h->accept.p) {
                h->accept = value;
                return;
        }
        if (n + 1 + value.n > sizeof(h->joined))
                return;
        if (h->accept.p != h->joined)
                memcpy(h->joined, h->accept.p, n);
        h->joined[n] = ',';
        if (value.n)
                memcpy(h->joined + n + 1, value.p, value.n);
        h->accept = epp_slice(h->joined, n + 1 + value.n);
}

/* One of which there must not be two, as readers differ on which of them counts. */
static int
take_single(struct epp_httphead *h, struct epp_slice *to, struct epp_slice value)
{
        if (to->p)
                return refuse(h, 400, "a header that must not be repeated");
        *to = value;
        return 0;
}

static int
take_header(struct epp_httphead *h, struct framing *f, struct epp_slice name,
        struct epp_slice value)
{
        if (epp_slice_ieq(name, EPP_SLICE("accept")))
                join_accept(h, value);
        else if (epp_slice_ieq(name, EPP_SLICE("authorization")))
                return take_single(h, &h->authorization, value);
        else if (epp_slice_ieq(name, EPP_SLICE("host")))
                return take_single(h, &h->host, value);
        else if (epp_slice_ieq(name, EPP_SLICE("content-length")))
                f->length = value, f->lengths++;
        else if (epp_slice_ieq(name, EPP_SLICE("transfer-encoding")))
                f->coding = value, f->codings++;
        return 0;
}

static int
header(struct epp_httphead *h, struct framing *f, struct epp_slice line)
{
        struct epp_slice value = line, name;

        if (!is_plain(line))
                return refuse(h, 400, "a control character in a header");
        if (line.p[0] == ' ' || line.p[0] == '\t')
                return refuse(h, 400, "a header that goes on in the next line");
        if (!memchr(line.p, ':', line.n))
                return refuse(h, 400, "a header without a colon");
        name = epp_slice_cut(&value, ':');
        if (!is_token(name))
                return refuse(h, 400, "a header's name is none");
        return take_header(h, f, name, epp_slice_trim(value));
}

/* Lengths that readers could disagree on are malformed; sound ones are of no use here. */
static int
check_framing(struct epp_httphead *h, const struct framing *f, bool known)
{
        if (f->lengths + f->codings > 1 || (f->lengths && !is_number(f->length)) ||
                (f->codings && !epp_slice_ieq(f->coding, EPP_SLICE("chunked"))))
                return refuse(h, 400, "ambiguous or odd Content-Length or Transfer-Encoding");
        if (!known)
                return refuse(h, 405, "only GET and HEAD");
        if (f->codings || (f->lengths && !epp_slice_eq(f->length, EPP_SLICE("0"))))
                return refuse(h, 400, "a request body is not taken here");
        return 0;
}

int
epp_httphead_parse(struct epp_slice in, struct epp_httphead *h)
{
        struct epp_slice rest = epp_slice(in.p, EPP_MIN(in.n, EPP_HTTPHEAD_MAX)), line;
        struct framing f = { .lengths = 0 };
        bool known = false;
        int r = next_line(&rest, &line);

        memset(h, 0, offsetof(struct epp_httphead, joined));
        if (r == 0 ? rest.n > EPP_HTTPHEAD_LINE + 1 : line.n > EPP_HTTPHEAD_LINE)
                return refuse(h, 414, "a request line over 4 KiB");
        if (r == 0)
                return 0;
        if (r > 0 && first_line(h, line, &known) < 0)
                return EPP_EPROTO;
        while (r > 0 && (r = next_line(&rest, &line)) > 0 && line.n)
                if (header(h, &f, line) < 0)
                        return EPP_EPROTO;
        if (r < 0)
                return refuse(h, 400, "a line that does not end with CR LF");
        if (r == 0)
                return in.n < EPP_HTTPHEAD_MAX ? 0 : refuse(h, 431, "a request head over 8 KiB");
        r = check_framing(h, &f, known);
        return r < 0 ? r : (int)(rest.p - in.p);
}

/* ---- the query ---- */

static int
hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c = epp_lower(c);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes the next character off s. */
static char
decode(struct epp_slice *s)
{
        int high = s->n > 2 ? hex_digit(s->p[1]) : -1, low = s->n > 2 ? hex_digit(s->p[2]) : -1;
        bool escape = s->p[0] == '%' && high >= 0 && low >= 0 && high + low > 0;
        char c = escape ? (char)(high * 16 + low) : s->p[0] == '+' ? ' ' : s->p[0];
        size_t n = escape ? 3 : 1;

        s->p += n;
        s->n -= n;
        return c;
}

static bool
is_named(struct epp_slice key, const char *name)
{
        while (key.n && *name)
                if (decode(&key) != *name++)
                        return false;
        return key.n == 0 && *name == 0;
}

bool
epp_httphead_param(struct epp_slice query, const char *name, char *out, size_t size)
{
        size_t n = 0;

        out[0] = 0;
        while (query.n) {
                struct epp_slice value = epp_slice_cut(&query, '&'),
                                 key = epp_slice_cut(&value, '=');

                if (!is_named(key, name))
                        continue;
                while (value.n && n + 1 < size)
                        out[n++] = decode(&value);
                out[n] = 0;
                return true;
        }
        return false;
}

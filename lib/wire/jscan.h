/* jscan.h - one pass over a JSON request body as it arrives: validates, and finds what routing
 * needs. No tree, no copy, no allocation; state is constant and the input may be cut anywhere.
 * Grammar: RFC 8259 with an optional leading UTF-8 byte order mark. Offsets count from the first
 * byte of the body. Knows: base. Does not know: which fields a path requires. */
#ifndef EPP_JSCAN_H
#define EPP_JSCAN_H

#include "base/buf.h"

#define EPP_JSCAN_DEPTH 1024  /* levels */
#define EPP_JSCAN_MODEL 1024  /* bytes of the decoded model name */
#define EPP_JSCAN_SPANS 64    /* "model" keys remembered */

enum epp_jerror {
        EPP_J_OK,
        EPP_J_VAL,      /* a value was expected */
        EPP_J_KEY,      /* a key was expected */
        EPP_J_COLON,    /* ':' was expected */
        EPP_J_DELIM,    /* ',' or a closing bracket was expected */
        EPP_J_CTL,      /* a control character in a string */
        EPP_J_ESC,      /* a bad escape */
        EPP_J_HEX,      /* a bad \u escape */
        EPP_J_NUM,      /* a bad number */
        EPP_J_DEPTH,    /* nested too deeply */
        EPP_J_TRAILING, /* something behind the document */
        EPP_J_EOF,      /* the document is not complete */
        EPP_J_ERRORS
};
/* A few words for people; "" for EPP_J_OK. */
const char *epp_jerror_text(enum epp_jerror e);

enum epp_jtype { EPP_J_ABSENT, EPP_J_NULL, EPP_J_BOOL, EPP_J_NUMBER, EPP_J_STRING, EPP_J_ARRAY,
        EPP_J_OBJECT };

/* What is remembered of a top-level member; of a repeated one, the last. */
enum epp_jkey { EPP_JK_MODEL, EPP_JK_STREAM, EPP_JK_MESSAGES, EPP_JK_PROMPT, EPP_JK_INPUT,
        EPP_JK_ITEMS, EPP_JK_TOKEN_IDS, EPP_JK_INPUT_IDS, EPP_JK_MAX_TOKENS,
        EPP_JK_MAX_COMPLETION_TOKENS, EPP_JK_MAX_OUTPUT_TOKENS, EPP_JK_SAMPLING_PARAMS,
        EPP_JK_TOOLS, EPP_JK_CACHE_SALT, EPP_JK_COUNT };
struct epp_jspan {
        uint64_t at, len; /* the value's bytes, quotes and brackets included */
};
struct epp_jfield {
        enum epp_jtype type;
        struct epp_jspan span;
        uint64_t items;      /* of an array; bytes between the quotes of a string */
        bool is_true;        /* the literal true */
        bool odd_ids;        /* of token_ids and input_ids: an item is no integer of 32 bits */
        double number;       /* of a number; -1 when it is longer than 30 characters */
};

enum epp_jmodel { EPP_JM_OK, EPP_JM_MISSING, EPP_JM_TYPE, /* not a string */
        EPP_JM_EMPTY, EPP_JM_CONTROL, EPP_JM_UTF8, EPP_JM_LONG, EPP_JM_STATES };

struct epp_jscan {
        enum epp_jerror error;
        uint64_t error_at;
        enum epp_jtype top;              /* type of the document */
        struct epp_jfield field[EPP_JK_COUNT];
        struct epp_jspan spans[EPP_JSCAN_SPANS]; /* values of every top-level "model" */
        size_t n_spans;                  /* seen; may be more than are remembered */
        bool conflict;                   /* they do not all say the same */
        char model[EPP_JSCAN_MODEL];     /* the last one, decoded */
        size_t model_n;
        enum epp_jmodel model_state;

        /* The machine. */
        uint64_t pos;
        unsigned char state, resume, number, hex_left, bom;
        const char *literal;
        uint32_t depth, hex, high;
        uint64_t kind[EPP_JSCAN_DEPTH / 64]; /* bit per level: object */
        signed char key;                 /* the member at level 1, or -1 */
        bool is_key, catching, caught_long;
        char caught[EPP_JSCAN_MODEL + 8];
        size_t caught_n;
        uint64_t value_at;
        uint64_t model_hash;
};

void epp_jscan_init(struct epp_jscan *j);
/* Takes the next bytes. After an error the rest is ignored. */
void epp_jscan_feed(struct epp_jscan *j, struct epp_slice in);
/* The body has ended: an unfinished document becomes EPP_J_EOF. */
void epp_jscan_end(struct epp_jscan *j);
/* The decoded model name; empty unless model_state is EPP_JM_OK. */
struct epp_slice epp_jscan_model(const struct epp_jscan *j);

/* Appends <text> as a JSON string literal: quote, backslash and control characters escaped,
 * other bytes as they are. Returns 0, EPP_ENOMEM, EPP_ETOOBIG. */
EPP_MUSTUSE int epp_jscan_quote(struct epp_buf *out, struct epp_slice text);
/* The first byte of p[0..n) that ends a run of plain string bytes: '"', '\\' or < 0x20; n if none.
 * The vector form; its scalar twin is below, for the tests. */
size_t epp_jscan_plain(const char *p, size_t n);
size_t epp_jscan_plain_twin(const char *p, size_t n);

#endif

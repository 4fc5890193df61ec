/* dialect.h - what a path speaks, and what its body must hold. Knows: wire/jscan. */
#ifndef EPP_DIALECT_H
#define EPP_DIALECT_H

#include "wire/jscan.h"

/* What the member that a dialect requires must be. */
enum epp_need {
        EPP_NEED_NOTHING,
        EPP_NEED_VALUE, /* anything but null */
        EPP_NEED_STRING,
        EPP_NEED_TEXT, /* a string or an array */
        EPP_NEED_ARRAY,
        EPP_NEED_IDS
}; /* an array of integers of 32 bits; all but VALUE: not empty */

struct epp_dialect {
        const char *path;        /* whole segments at the end of the path; NULL: any other */
        const char *name;
        bool json;               /* a JSON object with a string model is required */
        enum epp_need need;
        enum epp_jkey member;    /* of which it is needed */
        const char *missing;     /* what is said when it is not so */
};

/* <path> without query, fragment and one trailing slash. */
struct epp_slice epp_dialect_bare(struct epp_slice path);
/* The dialect of <path>: query and fragment are ignored, one trailing slash too; the longest match
 * wins. Never NULL: unknown paths are opaque. */
const struct epp_dialect *epp_dialect_of(struct epp_slice path);
/* Where no path is known: any JSON object with a model, as the original reads every body. */
const struct epp_dialect *epp_dialect_unknown(void);
/* Checks a scanned body. Returns NULL when it is good, else what is wrong with it, for people;
 * <buf> may be used for the text. */
const char *epp_dialect_check(const struct epp_dialect *d, const struct epp_jscan *j, char *buf,
        size_t size);

#endif

/* utf8.h - where a UTF-8 character ends. Knows: base. */
#ifndef EPP_UTF8_H
#define EPP_UTF8_H

#include "base/base.h"

/* Bytes of the character that begins at <at>, of which <n> > 0 bytes are there; 0: it is none
 * (cut short, a surrogate, longer than it must be, above U+10FFFF). */
static inline size_t
epp_utf8_len(const void *at, size_t n)
{
        const unsigned char *p = at;
        unsigned char c = p[0];
        size_t len = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3
                                                  : c >= 0xf0 && c < 0xf5             ? 4
                                                                                      : 0;

        if (len > n)
                return 0;
        for (size_t i = 1; i < len; i++)
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
        if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ||
                (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
                return 0;
        return len;
}

#endif

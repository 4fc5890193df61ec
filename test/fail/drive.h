/* drive.h - what the daemon does besides requests, once: files read again, a page, health.
 * Each leaves nothing behind and returns NULL, or what should not have happened. */
#ifndef EPP_FAIL_DRIVE_H
#define EPP_FAIL_DRIVE_H

struct drive {
        const char *name;
        const char *(*fn)(void);
};
extern const struct drive drives[]; /* ends with a NULL name */

#endif

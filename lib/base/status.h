/* status.h - one enum for every error: 0 is ok, negative is an error, counts are positive.
 * Knows: status.def. */
#ifndef EPP_STATUS_H
#define EPP_STATUS_H

#include "base/base.h"

enum epp_status_index {
#define EPP_STATUS(name, text, grpc, http) EPP_STATUS_I_##name,
#include "base/status.def"
#undef EPP_STATUS
        EPP_STATUS_COUNT
};

enum epp_status {
        EPP_OK = 0,
#define EPP_STATUS(name, text, grpc, http) EPP_##name = -1 - EPP_STATUS_I_##name,
#include "base/status.def"
#undef EPP_STATUS
};

/* The text of <status>; "ok" for 0 and above, "unknown error" outside the table. */
const char *epp_status_text(int status);
/* The gRPC code (0..16) and the HTTP code that stand for <status>; 0 and 200 for ok. */
int epp_status_grpc(int status);
int epp_status_http(int status);

#endif

/* status.c - the table of status.def. */
#include "base/status.h"

static const struct {
        const char *text;
        int grpc, http;
} table[] = {
#define EPP_STATUS(name, text, grpc, http) [EPP_STATUS_I_##name] = { text, grpc, http },
#include "base/status.def"
#undef EPP_STATUS
};

static bool
known(int status)
{
        return status < 0 && status >= -EPP_STATUS_COUNT;
}

const char *
epp_status_text(int status)
{
        if (status >= 0)
                return "ok";
        return known(status) ? table[-1 - status].text : "unknown error";
}

int
epp_status_grpc(int status)
{
        if (status >= 0)
                return 0;
        return known(status) ? table[-1 - status].grpc : 2;
}

int
epp_status_http(int status)
{
        if (status >= 0)
                return 200;
        return known(status) ? table[-1 - status].http : 500;
}

/* health.c - see health.h. "liveness" serves while the loop turns; every other name, known or
 * not, is the overall readiness (decisions 18). */
#include "serve/health.h"

#include "proto/health.pb-c.h"

#define MESSAGE_MAX (64 << 10)

enum { SERVING = 1, NOT_SERVING = 2 };
enum kind { CHECK, LIST, WATCH };

struct epp_health {
        bool ready, elects;
        struct probe *watchers;
};

/* One call. */
struct probe {
        struct epp_health *h;
        struct epp_rpc *rpc;
        enum kind kind;
        bool asked, live; /* live: asked for liveness */
        struct probe *next, *prev;
};

static unsigned
state(const struct epp_health *h, bool live)
{
        return live || h->ready ? SERVING : NOT_SERVING;
}

static void
send_state(struct probe *p)
{
        char msg[2] = { 0x08, (char)state(p->h, p->live) };

        if (epp_rpc_send(p->rpc, &(struct epp_slice){ msg, sizeof(msg) }, 1) < 0)
                epp_rpc_finish(p->rpc, 8, EPP_SLICE("out of memory"));
}

static void
send_list(struct probe *p)
{
        static const char *const names[] = { "envoy.service.ext_proc.v3.ExternalProcessor",
                "liveness", "readiness" };
        Grpc__Health__V1__HealthListResponse msg = GRPC__HEALTH__V1__HEALTH_LIST_RESPONSE__INIT;
        Grpc__Health__V1__HealthListResponse__StatusesEntry e[ARRAY_LEN(names)],
                *list[ARRAY_LEN(names)];
        Grpc__Health__V1__HealthCheckResponse r[ARRAY_LEN(names)];
        size_t n, count = p->h->elects ? ARRAY_LEN(names) : 1;
        uint8_t out[512];

        for (size_t i = 0; i < count; i++) {
                grpc__health__v1__health_check_response__init(&r[i]);
                grpc__health__v1__health_list_response__statuses_entry__init(&e[i]);
                r[i].status = state(p->h, i == 1);
                e[i].key = (char *)(uintptr_t)names[i];
                e[i].value = &r[i];
                list[i] = &e[i];
        }
        msg.n_statuses = count;
        msg.statuses = list;
        EPP_ASSERT(grpc__health__v1__health_list_response__get_packed_size(&msg) <= sizeof(out));
        n = grpc__health__v1__health_list_response__pack(&msg, out);
        if (epp_rpc_send(p->rpc, &(struct epp_slice){ (const char *)out, n }, 1) < 0)
                epp_rpc_finish(p->rpc, 8, EPP_SLICE("out of memory"));
}

static void
watch(struct probe *p)
{
        p->next = p->h->watchers;
        if (p->next)
                p->next->prev = p;
        p->h->watchers = p;
        send_state(p);
}

static void
on_message(void *user, struct epp_slice msg, epp_us now)
{
        struct probe *p = user;
        Grpc__Health__V1__HealthCheckRequest *q;

        (void)now;
        if (p->asked)
                return;
        p->asked = true;
        q = grpc__health__v1__health_check_request__unpack(NULL, msg.n, (const uint8_t *)msg.p);
        if (!q) {
                epp_rpc_finish(p->rpc, 13, EPP_SLICE("malformed HealthCheckRequest"));
                return;
        }
        p->live = strcmp(q->service, "liveness") == 0;
        grpc__health__v1__health_check_request__free_unpacked(q, NULL);
        if (p->kind == WATCH) {
                watch(p);
                return;
        }
        if (p->kind == CHECK)
                send_state(p);
        else
                send_list(p);
        epp_rpc_finish(p->rpc, 0, EPP_SLICE(""));
}

static void
on_half_close(void *user, epp_us now)
{
        struct probe *p = user;

        (void)now;
        if (!p->asked)
                epp_rpc_finish(p->rpc, 13, EPP_SLICE("no request message"));
}

static void
on_closed(void *user, epp_us now)
{
        struct probe *p = user;

        (void)now;
        if (p->prev)
                p->prev->next = p->next;
        else if (p->h->watchers == p)
                p->h->watchers = p->next;
        if (p->next)
                p->next->prev = p->prev;
        free(p);
}

static int
open_kind(struct epp_health *h, struct epp_rpc *rpc, enum kind kind)
{
        struct probe *p = calloc(1, sizeof(*p));

        if (!p)
                return EPP_ENOMEM;
        p->h = h;
        p->rpc = rpc;
        p->kind = kind;
        epp_rpc_set_user(rpc, p);
        return 0;
}

static int
open_check(void *ctx, struct epp_rpc *rpc, epp_us now)
{
        (void)now;
        return open_kind(ctx, rpc, CHECK);
}

static int
open_list(void *ctx, struct epp_rpc *rpc, epp_us now)
{
        (void)now;
        return open_kind(ctx, rpc, LIST);
}

static int
open_watch(void *ctx, struct epp_rpc *rpc, epp_us now)
{
        (void)now;
        return open_kind(ctx, rpc, WATCH);
}

int
epp_health_new(struct epp_health **ret)
{
        *ret = calloc(1, sizeof(**ret));
        return *ret ? 0 : EPP_ENOMEM;
}

void
epp_health_free(struct epp_health *h)
{
        EPP_ASSERT(!h || !h->watchers);
        free(h);
}

void
epp_health_elects(struct epp_health *h)
{
        h->elects = true;
}

void
epp_health_set(struct epp_health *h, bool ready)
{
        if (h->ready == ready)
                return;
        h->ready = ready;
        for (struct probe *p = h->watchers; p; p = p->next)
                if (!p->live)
                        send_state(p);
}

bool
epp_health_ready(const struct epp_health *h)
{
        return h->ready;
}

void
epp_health_handlers(struct epp_health *h, struct epp_rpc_handler out[EPP_HEALTH_HANDLERS])
{
        static const struct {
                const char *method;
                int (*open)(void *ctx, struct epp_rpc *rpc, epp_us now);
        } methods[EPP_HEALTH_HANDLERS] = {
                { "Check", open_check }, { "List", open_list }, { "Watch", open_watch } };

        for (size_t i = 0; i < EPP_HEALTH_HANDLERS; i++)
                out[i] = (struct epp_rpc_handler){ .service = "grpc.health.v1.Health",
                        .method = methods[i].method, .ctx = h, .max_message = MESSAGE_MAX,
                        .max_queue = MESSAGE_MAX,
                        .open = methods[i].open, .message = on_message,
                        .half_close = on_half_close, .closed = on_closed };
}

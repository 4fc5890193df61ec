/* test_ring.c - the last decisions: numbers, wrapping, names that are copied and cut. */
#include "serve/ring.h"

#include "unit.h"

static struct epp_ring *ring;
static struct epp_observer observer;

static void
setup_n(size_t n)
{
        epp_ring_free(ring);
        ck_assert_int_eq(epp_ring_new(n, &ring), 0);
        observer = epp_ring_observer(ring);
}

static void
setup(void)
{
        setup_n(4);
}

static void
teardown(void)
{
        epp_ring_free(ring);
        ring = NULL;
}

static const struct epp_decision *
decide(const struct epp_record *r)
{
        observer.decided(observer.ctx, r);
        return epp_ring_get(ring, epp_ring_last(ring));
}

static bool
is(struct epp_slice s, const char *text)
{
        return epp_slice_eq(s, epp_slice_str(text));
}

START_TEST(nothing_yet)
{
        ck_assert(observer.traces);
        ck_assert_uint_eq(epp_ring_last(ring), 0);
        ck_assert_uint_eq(epp_ring_size(ring), 4);
        ck_assert_uint_ge(epp_ring_bytes(ring), 4 * sizeof(struct epp_decision));
        for (uint64_t i = 0; i < 9; i++)
                ck_assert_ptr_null(epp_ring_get(ring, i));
}
END_TEST

/* The newest <size> are there under their numbers, older ones are gone, later ones not made. */
START_TEST(wraps)
{
        static const size_t sizes[] = { 1, 2, 3, 4, 1024 };

        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
                setup_n(sizes[s]);
                for (uint64_t n = 1; n <= 3 * sizes[s] + 1; n++) {
                        (void)decide(&(struct epp_record){ .priority = (int32_t)n });
                        ck_assert_uint_eq(epp_ring_last(ring), n);
                        for (uint64_t i = n > 5 ? n - 5 : 0; i < n + 3; i++) {
                                const struct epp_decision *d = epp_ring_get(ring, i);

                                ck_assert((d != NULL) == (i && i <= n && i + sizes[s] > n));
                                if (d)
                                        ck_assert_int_eq(d->priority, (int32_t)i);
                        }
                }
        }
}
END_TEST

START_TEST(refusal)
{
        const struct epp_decision *d = decide(&(struct epp_record){ .id = EPP_SLICE("i"),
                .model = EPP_SLICE("m"), .http = 404, .failure = EPP_FAIL_NOT_FOUND, .text = "why",
                .decided = 77 });

        ck_assert_int_eq(d->http, 404);
        ck_assert_int_eq(d->failure, EPP_FAIL_NOT_FOUND);
        ck_assert_int_eq(d->at, 77);
        ck_assert(is(d->id, "i") && is(d->model, "m") && is(d->target, "") && is(d->why, "why"));
        ck_assert_uint_eq(d->candidates + d->n_steps + d->n_seen, 0);
        d = decide(&(struct epp_record){ .text = "not refused" });
        ck_assert(is(d->why, ""));
}
END_TEST

static struct epp_trace
trace_of(struct epp_endpoint *e, struct epp_endpoint **v, size_t n)
{
        struct epp_trace t;

        for (size_t i = 0; i < n; i++)
                v[i] = &e[i];
        epp_trace_begin(&t, v, n);
        epp_trace_ran(&t, "all", v, n, n);
        epp_trace_ran(&t, "pick", NULL, n, 1);
        epp_trace_end(&t, &e[n - 1], 1000);
        return t;
}

/* All is copied: names and loads may change behind it, as when an endpoint is removed. */
START_TEST(copies)
{
        char id[] = "id", model[] = "model", target[] = "target", name[] = "pod-a";
        struct epp_endpoint e[2] = { { .name = epp_slice_str(name), .inflight = 5,
                .load = { .at = 400, .waiting = 1, .running = 2, .kv_ratio = .5 } },
                { .name = EPP_SLICE("b") } }, *v[2];
        struct epp_trace t = trace_of(e, v, 2);
        const struct epp_decision *d = decide(&(struct epp_record){ .id = epp_slice_str(id),
                .model = epp_slice_str(model), .target = epp_slice_str(target), .priority = -7,
                .critical = true, .trace = &t });

        memset(id, 'x', 2), memset(model, 'x', 5), memset(target, 'x', 6), memset(name, 'x', 5);
        memset(e, 0x55, sizeof(e)), memset(&t, 0x55, sizeof(t));
        ck_assert(is(d->id, "id") && is(d->model, "model") && is(d->target, "target"));
        ck_assert(d->critical && d->priority == -7 && d->candidates == 2);
        ck_assert_uint_eq(d->n_steps, 2);
        ck_assert_str_eq(d->step[1].plugin, "pick");
        ck_assert_uint_eq(d->n_seen, 2);
        ck_assert(is(d->seen[0].name, "b") && is(d->seen[1].name, "pod-a"));
        ck_assert_uint_eq(d->seen[0].as.dropped_at, EPP_TRACE_NEVER);
        ck_assert_int_eq(d->seen[0].as.age, -1);
        ck_assert_uint_eq(d->seen[1].as.dropped_at, 1);
        ck_assert_int_eq(d->seen[1].as.age, 600);
        ck_assert_uint_eq(d->seen[1].as.inflight, 5);
        ck_assert_int_eq(d->seen[1].as.waiting, 1);
        ck_assert_int_eq(d->seen[1].as.running, 2);
        ck_assert_double_eq(d->seen[1].as.kv_ratio, .5);
}
END_TEST

/* Names of clients are cut between characters; NUL bytes are kept. */
START_TEST(cuts)
{
        char name[EPP_RING_NAME + 9];
        const struct epp_decision *d;

        for (int shift = 0; shift < 4; shift++) {
                memset(name, 'a', sizeof(name));
                memcpy(name + EPP_RING_NAME - shift, "\xf0\x9f\x98\x80", 4);
                d = decide(&(struct epp_record){ .model = epp_slice(name, sizeof(name)) });
                ck_assert_uint_eq(d->model.n, EPP_RING_NAME - (size_t)shift);
        }
        memset(name, 0x80, sizeof(name)); /* no begin of a character at all */
        d = decide(&(struct epp_record){ .id = epp_slice(name, sizeof(name)) });
        ck_assert_uint_eq(d->id.n, 0);
        d = decide(&(struct epp_record){ .id = epp_slice(name, EPP_RING_NAME) });
        ck_assert_uint_eq(d->id.n, EPP_RING_NAME);
        d = decide(&(struct epp_record){ .model = EPP_SLICE("a\0b") });
        ck_assert(epp_slice_eq(d->model, EPP_SLICE("a\0b")));
}
END_TEST

/* With the longest names there are, the text stays within its bounds, endpoints that find no room
 * are left out whole, and the chosen one is there. */
START_TEST(long_names)
{
        static char text[300];
        struct epp_slice all = epp_slice(text, sizeof(text));
        struct epp_endpoint e[16], *v[16];
        const struct epp_decision *d;
        struct epp_trace t;

        memset(text, 'n', sizeof(text) - 1);
        for (size_t i = 0; i < 16; i++)
                e[i] = (struct epp_endpoint){ .name = i % 2 ? all : EPP_SLICE("short") };
        t = trace_of(e, v, 16);
        d = decide(&(struct epp_record){ .id = all, .model = all, .target = all, .http = 503,
                .text = text, .trace = &t });
        ck_assert_uint_le(d->n_text, EPP_RING_TEXT);
        ck_assert(epp_slice_eq(d->seen[0].name, all));
        ck_assert_uint_eq(d->n_seen, 9);
        for (unsigned i = 1; i < d->n_seen; i++)
                ck_assert(is(d->seen[i].name, "short"));
        d = decide(&(struct epp_record){ .trace = &t }); /* over an old one, nothing is left of it */
        ck_assert_uint_eq(d->n_seen, 11);
}
END_TEST

START_TEST(no_memory)
{
        struct epp_ring *r;

        ck_assert_int_eq(epp_ring_new(SIZE_MAX / 2, &r), EPP_ENOMEM);
        ck_assert_int_eq(epp_ring_new(SIZE_MAX, &r), EPP_ENOMEM);
        epp_ring_free(NULL);
}
END_TEST

UNIT_MAIN_WITH("ring", setup, teardown, nothing_yet, wraps, refusal, copies, cuts, long_names,
        no_memory)

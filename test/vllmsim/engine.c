/* engine.c - waiting queue, running batch, LoRA slots; a tick moves everything by the time gone.
 * Prefill: the batch shares prefill_tps, first come first served.
 * Decode: every sequence gets decode_tps, halved in a full batch. */
#include "test/vllmsim/sim.h"

#include <sys/socket.h>

static void on_tick(evutil_socket_t fd, short what, void *arg);

static void
arm(struct server *sv)
{
        struct timeval tv = { 0, sv->opt->tick_ms * 1000 };

        if (sv->nwaiting + sv->nrunning + sv->nhung == 0
                || event_pending(sv->tick, EV_TIMEOUT, NULL))
                return;
        sv->last_tick = sim_now();
        event_add(sv->tick, &tv);
}

static struct job_list *
list_of(struct server *sv, enum job_state state, int **ret_count)
{
        switch (state) {
        case JOB_RUNNING: *ret_count = &sv->nrunning; return &sv->running;
        case JOB_HUNG: *ret_count = &sv->nhung; return &sv->hung;
        case JOB_WAITING: break;
        }
        *ret_count = &sv->nwaiting;
        return &sv->waiting;
}

static void
leave(struct job *job)
{
        int *count;
        struct job_list *list = list_of(job->sv, job->state, &count);

        TAILQ_REMOVE(list, job, link);
        (*count)--;
}

static void
enter(struct job *job, enum job_state state)
{
        int *count;
        struct job_list *list = list_of(job->sv, state, &count);

        job->state = state;
        TAILQ_INSERT_TAIL(list, job, link);
        (*count)++;
}

void
engine_init(struct server *sv)
{
        TAILQ_INIT(&sv->waiting);
        TAILQ_INIT(&sv->running);
        TAILQ_INIT(&sv->hung);
        sv->tick = event_new(sv->evbase, -1, 0, on_tick, sv);
        engine_reset(sv);
}

static void
forget_all(struct server *sv)
{
        kv_fini(&sv->kv);
        for (int i = 0; i < sv->nrows; i++) {
                free(sv->rows[i].running);
                free(sv->rows[i].waiting);
        }
        sv->nrows = 0;
        free(sv->ballast);
        sv->ballast = NULL;
}

/* The jobs went with their connections. */
void
engine_fini(struct server *sv)
{
        event_free(sv->tick);
        forget_all(sv);
}

/* A new process: nothing cached, no adapter loaded, counters at zero. */
void
engine_reset(struct server *sv)
{
        forget_all(sv);
        kv_init(&sv->kv, (uint32_t)sv->opt->kv_blocks);
        for (int i = 0; i < SIM_LORA_MAX; i++)
                sv->slots[i] = (struct lora_slot){ .lora = -1 };
        sv->done = sv->aborted = sv->prompt_tokens = sv->cached_tokens = 0;
        sv->out_tokens = sv->queried_tokens = 0;
        sv->ttft_sum = sv->e2e_sum = 0;
        sv->started_at = sim_wall();
        sv->ballast_at = 0;
        sv->rng = sv->opt->seed * 0x9e3779b97f4a7c15u + (uint64_t)sv->index + 1;
}

/* The connection went away under the request. */
static void
on_close(struct evhttp_connection *conn, void *arg)
{
        struct job *job = arg;

        (void)conn;
        /* After a write error libevent hands the request to us: a reply to nobody frees it. */
        if (!evhttp_request_get_connection(job->req))
                evhttp_send_reply_end(job->req);
        job->req = NULL;
        job->sv->aborted++;
        job_free(job);
}

void
engine_submit(struct job *job)
{
        struct server *sv = job->sv;

        evhttp_connection_set_closecb(evhttp_request_get_connection(job->req), on_close, job);
        job->arrived = sim_now();
        job->slot = -1;
        enter(job, sv->fault.hang ? JOB_HUNG : JOB_WAITING);
        arm(sv);
}

void
job_free(struct job *job)
{
        struct server *sv = job->sv;

        leave(job);
        kv_release(&sv->kv, job->blocks, job->nblocks,
                job->state == JOB_RUNNING ? job->total_blocks - job->nblocks : 0);
        if (job->slot >= 0) {
                sv->slots[job->slot].users--;
                sv->slots[job->slot].used_at = sim_now();
        }
        if (job->req && evhttp_request_get_connection(job->req))
                evhttp_connection_set_closecb(
                        evhttp_request_get_connection(job->req), NULL, NULL);
        free(job->model);
        free(job->hashes);
        free(job->blocks);
        free(job);
}

/* The slot that holds the adapter and is ready; -1 = not yet. Starts loading if there is room. */
static int
lora_slot(struct server *sv, int lora, double now)
{
        struct lora_slot *best = NULL;

        for (int i = 0; i < sv->opt->max_lora; i++) {
                struct lora_slot *s = &sv->slots[i];

                if (s->lora == lora)
                        return s->ready_at <= now ? i : -1;
                if (s->users == 0 && s->ready_at <= now && (!best || s->used_at < best->used_at))
                        best = s;
        }
        if (best) {
                *best = (struct lora_slot){ .lora = lora, .used_at = now };
                best->ready_at = now + sv->opt->lora_load_ms / 1e3
                        * (0.9 + 0.2 * (double)(sim_random(&sv->rng) % 1000) / 1000);
        }
        return -1;
}

/* From the queue into the batch. Returns false when the queue's head has to wait for blocks. */
static bool
admit(struct job *job, double now)
{
        struct server *sv = job->sv;
        size_t prompt_blocks = (job->prompt_tokens + SIM_BLOCK_TOKENS - 1) / SIM_BLOCK_TOKENS;
        int slot = job->lora >= 0 ? lora_slot(sv, job->lora, now) : -1, hits;

        if (job->lora >= 0 && slot < 0)
                return true;
        hits = kv_admit(&sv->kv, job->hashes, job->nhash,
                (job->prompt_tokens - 1) / SIM_BLOCK_TOKENS, prompt_blocks, job->total_blocks,
                job->blocks);
        if (hits < 0)
                return false;
        job->nblocks = prompt_blocks;
        job->cached_tokens = (size_t)hits * SIM_BLOCK_TOKENS;
        job->prefill_left = (double)(job->prompt_tokens - job->cached_tokens);
        sv->queried_tokens += job->prompt_tokens;
        sv->cached_tokens += job->cached_tokens;
        job->slot = slot;
        if (slot >= 0)
                sv->slots[slot].users++;
        leave(job);
        enter(job, JOB_RUNNING);
        return true;
}

static void
fill_batch(struct server *sv, double now)
{
        struct job *job, *next;

        for (job = TAILQ_FIRST(&sv->waiting); job; job = next) {
                next = TAILQ_NEXT(job, link);
                if (sv->nrunning >= sv->opt->max_batch || !admit(job, now))
                        break;
        }
}

static void
decode(struct job *job, size_t n, double now)
{
        struct server *sv = job->sv;
        size_t tokens;

        n = EPP_MIN(n, job->out_tokens - job->done_tokens);
        if (n == 0)
                return;
        if (job->done_tokens == 0) {
                sv->ttft_sum += now - job->arrived;
                sv->prompt_tokens += job->prompt_tokens;
        }
        job->done_tokens += n;
        sv->out_tokens += n;
        tokens = job->prompt_tokens + job->done_tokens;
        while (job->nblocks < job->total_blocks && job->nblocks * SIM_BLOCK_TOKENS < tokens)
                job->blocks[job->nblocks++] = kv_grow(&sv->kv);
        if (job->stream)
                api_tokens(job, n);
        if (sv->fault.cut_after && job->done_tokens >= (size_t)sv->fault.cut_after) {
                evhttp_connection_free(evhttp_request_get_connection(job->req)); /* on_close */
                return;
        }
        if (job->done_tokens < job->out_tokens)
                return;
        sv->done++;
        sv->e2e_sum += now - job->arrived;
        api_finish(job);
}

static void
step(struct server *sv, double dt, double now)
{
        double slow = sv->fault.slow > 0 ? sv->fault.slow : 1;
        double prefill = sv->opt->prefill_tps * dt / slow;
        double full = (double)sv->nrunning / sv->opt->max_batch;
        double each = sv->opt->decode_tps * dt / slow / (1 + full);
        struct job *job, *next;

        for (job = TAILQ_FIRST(&sv->running); job; job = next) {
                double part = EPP_MIN(prefill, job->prefill_left);
                size_t n;

                next = TAILQ_NEXT(job, link);
                if (job->prefill_left > 0) {
                        prefill -= part;
                        job->prefill_left -= part;
                        if (job->prefill_left <= 0)
                                decode(job, 1, now); /* prefill yields the first token */
                        continue;
                }
                job->credit += each;
                n = (size_t)job->credit;
                job->credit -= (double)n;
                decode(job, n, now);
        }
}

static void
sweep_list(struct job_list *list)
{
        struct job *job, *next;

        for (job = TAILQ_FIRST(list); job; job = next) {
                struct evhttp_connection *conn = evhttp_request_get_connection(job->req);
                int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(conn));
                char c;

                next = TAILQ_NEXT(job, link);
                if (recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
                        evhttp_connection_free(conn); /* calls on_close */
        }
}

/* libevent does not read while a reply is owed, so a client that left is seen only by looking.
 * Ten times a second: it costs a system call for each request. */
static void
sweep(struct server *sv, double now)
{
        if (now - sv->last_sweep < 0.1)
                return;
        sv->last_sweep = now;
        sweep_list(&sv->waiting);
        sweep_list(&sv->running);
        sweep_list(&sv->hung);
}

static void
thaw(struct server *sv)
{
        struct job *job;

        while ((job = TAILQ_FIRST(&sv->hung))) {
                leave(job);
                enter(job, JOB_WAITING);
        }
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
        struct server *sv = arg;
        double now = sim_now(), dt = now - sv->last_tick;

        (void)fd, (void)what;
        sweep(sv, now);
        if (!sv->fault.hang) {
                thaw(sv);
                step(sv, EPP_MIN(dt, 1.0), now);
                fill_batch(sv, now);
                engine_note_lora(sv);
        }
        arm(sv);
}

/* Adapter names of the jobs in <list>, each once, in order of arrival. Caller frees. */
static char *
names(const struct server *sv, const struct job_list *list)
{
        bool seen[SIM_LORA_MAX] = { false };
        struct evbuffer *b = evbuffer_new();
        struct job *job;
        char *s;

        TAILQ_FOREACH(job, list, link) {
                if (job->lora < 0 || seen[job->lora])
                        continue;
                seen[job->lora] = true;
                evbuffer_add_printf(
                        b, "%s%s", evbuffer_get_length(b) ? "," : "", sv->opt->lora[job->lora]);
        }
        evbuffer_add(b, "", 1);
        s = xstrdup((char *)evbuffer_pullup(b, -1));
        evbuffer_free(b);
        return s;
}

/* vLLM keeps one row per combination ever seen; the newest value marks the current one. */
void
engine_note_lora(struct server *sv)
{
        char *running, *waiting;
        struct lora_row *row = NULL;

        if (sv->opt->nlora == 0)
                return;
        running = names(sv, &sv->running);
        waiting = names(sv, &sv->waiting);
        for (int i = 0; i < sv->nrows && !row; i++) {
                if (!strcmp(sv->rows[i].running, running) && !strcmp(sv->rows[i].waiting, waiting))
                        row = &sv->rows[i];
        }
        if (row || sv->nrows == SIM_LORA_ROWS) {
                if (!row) { /* the real one never forgets; we reuse the oldest */
                        row = &sv->rows[0];
                        for (int i = 1; i < sv->nrows; i++) {
                                if (sv->rows[i].set_at < row->set_at)
                                        row = &sv->rows[i];
                        }
                }
                free(row->running);
                free(row->waiting);
        } else {
                row = &sv->rows[sv->nrows++];
        }
        *row = (struct lora_row){ running, waiting, sim_wall() };
}

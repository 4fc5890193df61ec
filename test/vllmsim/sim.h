/* sim.h - one simulated vLLM server: its requests, its engine, its faults.
 * engine.c decides, api.c speaks OpenAI, page.c writes /metrics, fault.c obeys POST /sim. */
#ifndef VLLMSIM_SIM_H
#define VLLMSIM_SIM_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <jansson.h>
#include <netinet/in.h>
#include <sys/queue.h>

#include "base/base.h"
#include "test/vllmsim/kv.h"

#define SIM_BLOCK_TOKENS 16
#define SIM_TOKEN_BYTES 4 /* a token is taken to be four bytes of prompt */
#define SIM_LORA_MAX 64
#define SIM_LORA_ROWS 48

struct sim_opt {
        int servers, port, ports; /* ports: servers per address */
        const char *base, *model;
        uint64_t seed;
        int max_batch, kv_blocks, max_lora, tick_ms, lora_load_ms;
        double prefill_tps, decode_tps;
        size_t ballast_bytes;
        char *lora[SIM_LORA_MAX];
        int nlora;
        bool strict, old_kv_name;
};

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_HUNG };

/* One request from its arrival to its last byte. Owned by the list of its server. */
struct job {
        TAILQ_ENTRY(job) link;
        struct server *sv;
        struct evhttp_request *req;
        enum job_state state;
        bool chat, stream, include_usage, started;
        char *model;
        int lora; /* index into opt.lora, -1 = base model */
        int slot; /* LoRA slot held while running, -1 = none */
        uint64_t id, text; /* text: which words come out, from the prompt and the seed */
        size_t prompt_tokens, cached_tokens, out_tokens, done_tokens;
        const char *finish;
        double prefill_left, credit;
        uint64_t *hashes;
        size_t nhash;
        uint32_t *blocks;
        size_t nblocks, total_blocks;
        double arrived, first_token;
};
TAILQ_HEAD(job_list, job);

struct lora_slot {
        int lora; /* -1 = empty */
        int users;
        double ready_at, used_at;
};

struct lora_row {
        char *running, *waiting;
        double set_at;
};

/* What POST /sim asked for; the zero of each means "behave". */
struct fault {
        int waiting, running; /* -1 = the truth */
        double kv;            /* < 0 = the truth */
        int metrics_delay_ms, metrics_status;
        char *metrics_body;
        int status;
        double status_ratio;
        bool hang, drop, sick;
        int cut_after; /* tokens; 0 = never */
        double slow;
};

struct last {
        size_t bytes;
        char sha256[65], xxh3[17];
        char *uri, *model;
        json_t *headers;
        uint64_t count;
};

struct server {
        const struct sim_opt *opt;
        struct sim *sim;
        struct event_base *evbase;
        struct evhttp *http;
        struct event *tick, *restart, *rebind;
        int index;
        char ip[INET_ADDRSTRLEN], addr[INET_ADDRSTRLEN + 8];
        uint16_t port;
        struct job_list waiting, running, hung;
        int nwaiting, nrunning, nhung;
        double last_tick, last_sweep, started_at;
        int down_ms;
        struct kv kv;
        struct lora_slot slots[SIM_LORA_MAX];
        struct lora_row rows[SIM_LORA_ROWS];
        int nrows;
        struct fault fault;
        struct last last;
        uint64_t rng, jobs_seen;
        uint64_t done, aborted, prompt_tokens, cached_tokens, out_tokens, queried_tokens;
        double ttft_sum, e2e_sum;
        char *ballast;
        size_t ballast_len;
        double ballast_at;
};

struct sim {
        struct sim_opt opt;
        struct event_base *evbase;
        struct server *servers;
};

void *xcalloc(size_t n, size_t size);
char *xstrdup(const char *s);
double sim_now(void);  /* monotonic seconds */
double sim_wall(void); /* seconds since 1970 */
uint64_t sim_random(uint64_t *state);
EPP_MUSTUSE bool server_listen(struct server *sv);

/* engine.c */
void engine_init(struct server *sv);
void engine_reset(struct server *sv);
void engine_fini(struct server *sv);
void engine_submit(struct job *job);
void job_free(struct job *job);
void engine_note_lora(struct server *sv);

/* api.c */
void api_request(struct evhttp_request *req, void *arg);
void api_tokens(struct job *job, size_t n);
void api_finish(struct job *job);
void api_reply(struct server *sv, struct evhttp_request *req, int code, const char *type,
        const void *body, size_t len);
void api_reply_json(struct server *sv, struct evhttp_request *req, int code, json_t *take);
void api_error(struct server *sv, struct evhttp_request *req, int code, const char *text);
void api_drop(struct evhttp_request *req);

/* page.c */
void page_reply(struct server *sv, struct evhttp_request *req);

/* fault.c */
void fault_reset(struct server *sv);
void fault_fini(struct server *sv);
void fault_post(struct server *sv, struct evhttp_request *req, const void *body, size_t len);
void fault_show(struct server *sv, struct evhttp_request *req);
bool fault_applies(struct server *sv, struct evhttp_request *req);
void fault_note(struct server *sv, struct evhttp_request *req, const void *body, size_t len);
void fault_last(struct server *sv, struct evhttp_request *req);

#endif

/* world.h - what daemon/ does, in virtual time: it holds the pool, the models, the scheduler and
 * the director, and plays the scrape plan against model servers that are only text. */
#ifndef EPP_SIM_WORLD_H
#define EPP_SIM_WORLD_H

#include "serve/director.h"
#include "serve/objects.h"
#include "serve/scraper.h"
#include "sim/envoy.h"
#include "wire/promscan.h"

#define WORLD_BEGIN 1000000 /* virtual time 0; a load read at 0 would count as never read */

/* A model server, as far as its metrics page goes. */
struct server {
        struct server *next;
        char name[64], addr[64];
        struct epp_buf page;
        enum { SERVER_UP, SERVER_DOWN, SERVER_HANGS } mode;
        epp_us delay;           /* until the page comes */
        uint64_t asked, failed; /* since the last mark */
        epp_us last, gap;       /* when it was asked; longest time between two */
};

/* One endpoint's scraping; hangs on its user pointer. */
struct probe {
        struct server *server;
        struct epp_scrape turn;
        struct epp_promscan scan;
        struct epp_load_fold fold;
        epp_us asked_at;
        epp_us done_at; /* 0 = nothing under way */
};

struct world {
        epp_us now;
        struct epp_pool *pool;
        struct epp_models *models;
        struct epp_sched *sched;
        struct epp_director director;
        struct epp_log log;
        struct epp_stream_stats stats;
        struct epp_h2_stats h2_stats;
        struct epp_stream_config cfg;
        struct epp_rpc_handler handler;
        struct envoy envoy;
        struct epp_buf objects; /* their text so far */
        struct server *servers;
        unsigned n_servers;
        /* the scrape plan */
        bool planned;
        struct epp_scraper plan;
        epp_us timeout, staleness, cost, tick_at;
        size_t cursor;
        uint64_t version;
};

/* All zero before; _fini in every case. Each may fail with EPP_ENOMEM. */
EPP_MUSTUSE int world_init(struct world *w);
void world_fini(struct world *w);
EPP_MUSTUSE int world_scheduler(struct world *w, enum epp_builtin tree,
        const struct epp_thresholds *t, uint64_t seed);
/* Adds objects (YAML text) to those there are and reads all of them anew, as a reload does.
 * Returns as epp_objects_finish; <say> hears of mistakes. */
EPP_MUSTUSE int world_objects(struct world *w, const char *text, void (*say)(void *, const char *),
        void *ctx);
EPP_MUSTUSE int world_add(struct world *w, const char *name, const char *addr);
struct server *world_server(struct world *w, const char *name);
struct epp_endpoint *world_endpoint(const struct world *w, const char *name);
/* <page> arrives now, cut in pieces of <piece> bytes. Returns as epp_load_fold_end. */
EPP_MUSTUSE int world_scrape(struct world *w, const char *name, struct epp_slice page,
        size_t piece);
void world_plan(struct world *w, epp_us period, double budget);
/* Lets time pass, and with a plan, scrapes. */
void world_advance(struct world *w, epp_us to);
/* A connection: the one there is, or a new one where the last is gone. NULL: no memory. */
struct envoy *world_envoy(struct world *w);
uint64_t world_inflight(const struct world *w);

#endif

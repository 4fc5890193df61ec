/* api.c - the HTTP side: routes, OpenAI requests into jobs, jobs into JSON or event streams. */
#include "test/vllmsim/sim.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/keyvalq_struct.h>
#include <xxhash.h>

static const char *const words[] = { " requests", " wait", " tokens", " flow", ",", " the",
        " queue", " drains", " and", " a", " batch", " moves", ".", " cache", " hits", " blocks" };

static const char *
word(const struct job *job, size_t i)
{
        return words[(job->text >> (i * 5 % 59)) * 7 % ARRAY_LEN(words)];
}

static void
add_endpoint(struct server *sv, struct evhttp_request *req)
{
        evhttp_add_header(evhttp_request_get_output_headers(req), "x-sim-endpoint", sv->addr);
}

void
api_reply(struct server *sv, struct evhttp_request *req, int code, const char *type,
        const void *body, size_t len)
{
        struct evbuffer *b = evbuffer_new();

        evbuffer_add(b, body, len);
        add_endpoint(sv, req);
        evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", type);
        evhttp_send_reply(req, code, NULL, b);
        evbuffer_free(b);
}

void
api_reply_json(struct server *sv, struct evhttp_request *req, int code, json_t *take)
{
        char *s = json_dumps(take, JSON_COMPACT);

        /* NULL: a text in it was no UTF-8, which only a URI or a header of the client can cause. */
        api_reply(sv, req, s ? code : 500, "application/json", s ? s : "{}", s ? strlen(s) : 2);
        free(s);
        json_decref(take);
}

/* The shape of vLLM's error bodies. */
void
api_error(struct server *sv, struct evhttp_request *req, int code, const char *text)
{
        const char *type = code == 404 ? "NotFoundError"
                : code >= 500 ? "InternalServerError" : "BadRequestError";

        api_reply_json(sv, req, code, json_pack("{s:{s:s,s:s,s:n,s:i}}", "error", "message", text,
                "type", type, "param", "code", code));
}

/* Closes the connection without an answer. */
void
api_drop(struct evhttp_request *req)
{
        evhttp_connection_free(evhttp_request_get_connection(req));
}

static json_t *
usage(const struct job *job)
{
        return json_pack("{s:I,s:I,s:I,s:{s:I}}", "prompt_tokens", (json_int_t)job->prompt_tokens,
                "total_tokens", (json_int_t)(job->prompt_tokens + job->done_tokens),
                "completion_tokens", (json_int_t)job->done_tokens, "prompt_tokens_details",
                "cached_tokens", (json_int_t)job->cached_tokens);
}

static json_t *
envelope(const struct job *job, bool chunk)
{
        char id[40];

        snprintf(id, sizeof(id), "%s-%016llx", job->chat ? "chatcmpl" : "cmpl",
                (unsigned long long)job->id);
        return json_pack("{s:s,s:s,s:I,s:s}", "id", id, "object",
                !job->chat ? "text_completion"
                        : chunk ? "chat.completion.chunk" : "chat.completion",
                "created", (json_int_t)sim_wall(), "model", job->model);
}

static void
send_event(struct job *job, json_t *take)
{
        struct evbuffer *b = evbuffer_new();
        char *s = json_dumps(take, JSON_COMPACT);

        evbuffer_add_printf(b, "data: %s\n\n", s);
        evhttp_send_reply_chunk(job->req, b);
        evbuffer_free(b);
        free(s);
        json_decref(take);
}

/* One chunk with <text>; <role> on the first, <finish> on the last. */
static void
send_chunk(struct job *job, const char *text, bool role, const char *finish)
{
        json_t *doc = envelope(job, true), *choice;

        if (!job->chat) {
                choice = json_pack("{s:i,s:s,s:n,s:s?}", "index", 0, "text", text, "logprobs",
                        "finish_reason", finish);
        } else {
                json_t *delta = json_object();

                if (role)
                        json_object_set_new(delta, "role", json_string("assistant"));
                json_object_set_new(delta, "content", json_string(text));
                choice = json_pack("{s:i,s:o,s:n,s:s?}", "index", 0, "delta", delta, "logprobs",
                        "finish_reason", finish);
        }
        json_object_set_new(doc, "choices", json_pack("[o]", choice));
        send_event(job, doc);
}

/* <n> more tokens are done; done_tokens already counts them. */
void
api_tokens(struct job *job, size_t n)
{
        if (!job->started) {
                add_endpoint(job->sv, job->req);
                evhttp_add_header(evhttp_request_get_output_headers(job->req), "Content-Type",
                        "text/event-stream; charset=utf-8");
                evhttp_send_reply_start(job->req, 200, NULL);
                job->started = true;
                if (job->chat)
                        send_chunk(job, "", true, NULL);
        }
        for (size_t i = job->done_tokens - n; i < job->done_tokens; i++)
                send_chunk(job, word(job, i), false,
                        i + 1 == job->out_tokens ? job->finish : NULL);
}

static json_t *
whole_text(const struct job *job)
{
        struct evbuffer *b = evbuffer_new();
        json_t *s;

        for (size_t i = 0; i < job->out_tokens; i++)
                evbuffer_add(b, word(job, i), strlen(word(job, i)));
        s = json_stringn((char *)evbuffer_pullup(b, -1), evbuffer_get_length(b));
        evbuffer_free(b);
        return s;
}

static void
finish_plain(struct job *job)
{
        json_t *doc = envelope(job, false), *choice;

        if (job->chat)
                choice = json_pack("{s:i,s:{s:s,s:o},s:n,s:s}", "index", 0, "message", "role",
                        "assistant", "content", whole_text(job), "logprobs", "finish_reason",
                        job->finish);
        else
                choice = json_pack("{s:i,s:o,s:n,s:s}", "index", 0, "text", whole_text(job),
                        "logprobs", "finish_reason", job->finish);
        json_object_set_new(doc, "choices", json_pack("[o]", choice));
        json_object_set_new(doc, "usage", usage(job));
        api_reply_json(job->sv, job->req, 200, doc);
}

/* Sends the end of the answer and frees the job. */
void
api_finish(struct job *job)
{
        struct evhttp_request *req = job->req;

        /* From here the connection's end is no longer an abort of this job. */
        evhttp_connection_set_closecb(evhttp_request_get_connection(req), NULL, NULL);
        if (!job->stream) {
                finish_plain(job);
        } else {
                struct evbuffer *b = evbuffer_new();

                if (job->include_usage) {
                        json_t *doc = envelope(job, true);

                        json_object_set_new(doc, "choices", json_array());
                        json_object_set_new(doc, "usage", usage(job));
                        send_event(job, doc);
                }
                evbuffer_add_printf(b, "data: [DONE]\n\n");
                evhttp_send_reply_chunk(req, b);
                evbuffer_free(b);
                evhttp_send_reply_end(req);
        }
        job->req = NULL; /* the connection's, maybe gone already */
        job_free(job);
}

/* Strings as they are, token ids as four bytes, lists flattened. */
static void
add_prompt(struct evbuffer *b, const json_t *v)
{
        size_t i;
        json_t *item;

        if (json_is_string(v)) {
                evbuffer_add(b, json_string_value(v), json_string_length(v));
        } else if (json_is_integer(v)) {
                uint32_t token = (uint32_t)json_integer_value(v);

                evbuffer_add(b, &token, sizeof(token));
        } else if (json_is_array(v)) {
                json_array_foreach(v, i, item)
                        add_prompt(b, item);
        }
}

static bool
prompt_bytes(struct evbuffer *b, const json_t *doc, bool chat)
{
        const json_t *v = json_object_get(doc, chat ? "messages" : "prompt");
        char *s;

        if (!chat) {
                add_prompt(b, v);
                return json_is_string(v) || json_is_array(v);
        }
        if (!json_is_array(v) || json_array_size(v) == 0)
                return false;
        /* Without the closing bracket a longer conversation starts with the bytes of a shorter. */
        s = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
        evbuffer_add(b, s, strlen(s) - 1);
        free(s);
        return true;
}

/* Each block's hash covers all before it, so equal hashes mean equal prefixes; adapters differ. */
static void
hash_prompt(struct job *job, const unsigned char *p, size_t len)
{
        const size_t chunk = SIM_BLOCK_TOKENS * SIM_TOKEN_BYTES;
        uint64_t h = (uint64_t)(job->lora + 1);

        job->nhash = len / chunk;
        job->hashes = xcalloc(job->nhash, sizeof(*job->hashes));
        for (size_t i = 0; i < job->nhash; i++) {
                h = XXH3_64bits_withSeed(p + i * chunk, chunk, h);
                job->hashes[i] = h ? h : 1;
        }
        job->prompt_tokens = EPP_MAX((len + SIM_TOKEN_BYTES - 1) / SIM_TOKEN_BYTES, 1);
        job->text = XXH3_64bits_withSeed(p, len, job->sv->opt->seed);
}

/* The model stops by itself after 16 to 127 tokens, unless told to go on. */
static void
set_length(struct job *job, const json_t *doc)
{
        const json_t *max = json_object_get(doc, "max_completion_tokens");
        size_t own = 16 + job->text % 112, limit;

        if (!json_is_integer(max))
                max = json_object_get(doc, "max_tokens");
        job->out_tokens = own;
        job->finish = "stop";
        if (!json_is_integer(max) || json_integer_value(max) <= 0)
                return;
        limit = (size_t)json_integer_value(max);
        if (limit < own || json_is_true(json_object_get(doc, "ignore_eos"))) {
                job->out_tokens = limit;
                job->finish = "length";
        }
}

static int
find_lora(const struct sim_opt *o, const char *model)
{
        for (int i = 0; i < o->nlora; i++) {
                if (!strcmp(o->lora[i], model))
                        return i;
        }
        return -1;
}

static void
submit(struct server *sv, struct evhttp_request *req, const json_t *doc, bool chat,
        const char *model)
{
        struct job *job = xcalloc(1, sizeof(*job));
        struct evbuffer *b = evbuffer_new();
        bool ok = prompt_bytes(b, doc, chat);

        *job = (struct job){ .sv = sv, .req = req, .chat = chat, .slot = -1 };
        job->lora = find_lora(sv->opt, model);
        hash_prompt(job, evbuffer_pullup(b, -1), evbuffer_get_length(b));
        evbuffer_free(b);
        set_length(job, doc);
        job->total_blocks =
                (job->prompt_tokens + job->out_tokens + SIM_BLOCK_TOKENS - 1) / SIM_BLOCK_TOKENS;
        if (!ok || job->total_blocks > (size_t)sv->opt->kv_blocks) {
                api_error(sv, req, 400, !ok ? "no messages or prompt"
                        : "This model's maximum context length is exceeded.");
                free(job->hashes);
                free(job);
                return;
        }
        job->id = sv->opt->seed << 48 ^ (uint64_t)sv->index << 32 ^ sv->jobs_seen++;
        job->model = xstrdup(model);
        job->blocks = xcalloc(job->total_blocks, sizeof(*job->blocks));
        job->stream = json_is_true(json_object_get(doc, "stream"));
        job->include_usage = json_is_true(
                json_object_get(json_object_get(doc, "stream_options"), "include_usage"));
        engine_submit(job);
}

static void
generate(struct server *sv, struct evhttp_request *req, const char *body, size_t len, bool chat)
{
        json_t *doc = json_loadb(body, len, JSON_ALLOW_NUL, NULL);
        const char *model = json_string_value(json_object_get(doc, "model"));

        if (model) {
                free(sv->last.model);
                sv->last.model = xstrdup(model);
        }
        if (fault_applies(sv, req))
                ;
        else if (!json_is_object(doc))
                api_error(sv, req, 400, "JSON decode error");
        else if (!model)
                api_error(sv, req, 400, "model: Field required");
        else if (sv->opt->strict && strcmp(model, sv->opt->model) != 0
                && find_lora(sv->opt, model) < 0)
                api_error(sv, req, 404, "The model does not exist.");
        else
                submit(sv, req, doc, chat, model);
        json_decref(doc);
}

static void
models(struct server *sv, struct evhttp_request *req)
{
        json_t *data = json_array();

        for (int i = -1; i < sv->opt->nlora; i++)
                json_array_append_new(data, json_pack("{s:s,s:s,s:I,s:s,s:s?,s:i}", "id",
                        i < 0 ? sv->opt->model : sv->opt->lora[i], "object", "model", "created",
                        (json_int_t)sv->started_at, "owned_by", "vllm", "parent",
                        i < 0 ? NULL : sv->opt->model, "max_model_len", 131072));
        api_reply_json(sv, req, 200, json_pack("{s:s,s:o}", "object", "list", "data", data));
}

/* The body comes back as it came; each request header comes back as x-echo-NAME. */
static void
echo(struct server *sv, struct evhttp_request *req, const void *body, size_t len)
{
        struct evkeyvalq *out = evhttp_request_get_output_headers(req);
        struct evkeyval *kv;
        char name[300];

        TAILQ_FOREACH(kv, evhttp_request_get_input_headers(req), next) {
                snprintf(name, sizeof(name), "x-echo-%s", kv->key);
                evhttp_add_header(out, name, kv->value);
        }
        evhttp_add_header(out, "x-sim-uri", evhttp_request_get_uri(req));
        api_reply(sv, req, 200, "application/octet-stream", body, len);
}

static void
route(struct server *sv, struct evhttp_request *req, const char *path, const char *body, size_t len)
{
        bool post = evhttp_request_get_command(req) == EVHTTP_REQ_POST;

        if (!strcmp(path, "/metrics"))
                page_reply(sv, req);
        else if (!strcmp(path, "/v1/chat/completions") && post)
                generate(sv, req, body, len, true);
        else if (!strcmp(path, "/v1/completions") && post)
                generate(sv, req, body, len, false);
        else if (!strcmp(path, "/v1/models"))
                models(sv, req);
        else if (!strcmp(path, "/health"))
                api_reply(sv, req, sv->fault.sick ? 503 : 200, "text/plain", "", 0);
        else if (!strcmp(path, "/sim") && post)
                fault_post(sv, req, body, len);
        else if (!strcmp(path, "/sim"))
                fault_show(sv, req);
        else if (!strcmp(path, "/sim/last"))
                fault_last(sv, req);
        else if (!strcmp(path, "/echo"))
                echo(sv, req, body, len);
        else
                api_error(sv, req, 404, "Not Found");
}

void
api_request(struct evhttp_request *req, void *arg)
{
        struct server *sv = arg;
        struct evbuffer *in = evhttp_request_get_input_buffer(req);
        size_t len = evbuffer_get_length(in);
        const char *body = len ? (const char *)evbuffer_pullup(in, -1) : "";
        const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));

        path = path ? path : "/";
        if (strncmp(path, "/sim", 4) != 0 && strcmp(path, "/metrics") != 0
                && strcmp(path, "/health") != 0)
                fault_note(sv, req, body, len);
        route(sv, req, path, body, len);
}

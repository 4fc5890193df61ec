/* tables.c - prints the generated parts of the manual as mdoc, from what eppd is made of:
 * `tables plugins` and `tables trees` for eppd-plugins(7), `tables metrics` for eppd-metrics(7). */
#include <ctype.h>
#include <stdio.h>

#include "daemon/stat.h"
#include "plugin/plugins.h"
#include "sched/profile.h"

/* Prose as mdoc wants it: a new line for each sentence. */
static void
put_prose(const char *prose)
{
        for (const char *end; (end = strstr(prose, ". ")); prose = end + 2)
                printf("%.*s\n", (int)(end + 1 - prose), prose);
        printf("%s\n", prose);
}

/* ---- plugins ---- */

static void
put_plugin(const struct epp_plugin_type *t)
{
        static const char *const kinds[] = { [EPP_FILTER] = "filter", [EPP_SCORER] = "scorer",
                [EPP_PICKER] = "picker" };

        printf(".It Cm %s Pq %s\n", t->name, kinds[t->kind]);
        put_prose(t->help);
        if (!t->params[0].name)
                return;
        printf(".Bl -tag -width 4n -compact\n");
        for (size_t i = 0; i < EPP_PARAMS_MAX && t->params[i].name; i++) {
                const struct epp_param *p = &t->params[i];

                printf(".It Va %s Ns = Ns Ar %g\n%c%s.\n", p->name, p->def, toupper(p->help[0]),
                        p->help + 1);
        }
        printf(".El\n");
}

static int
plugins(void)
{
        printf(".Bl -tag -width 4n\n");
        for (size_t i = 0; epp_plugins[i]; i++)
                put_plugin(epp_plugins[i]);
        printf(".El\n");
        return 0;
}

/* ---- trees ---- */

#define STEP 7    /* of a branch to the right, with room for its word */
#define WIDTH 66  /* of the literal text; a page has 78 and indents it */
#define INDENT 18 /* of what did not fit */

/* "least-queue-filter", or with what it was configured with behind it, within a page's width. */
static void
put_node(const struct epp_plugin *p, int column, const char *word)
{
        int at = printf("%*s%s", column, word, p->type->name);
        char text[80];

        for (size_t i = 0; i < EPP_PARAMS_MAX && p->type->params[i].name; i++) {
                int n = snprintf(text, sizeof(text), "%s %.9g", p->type->params[i].name,
                        p->param[i]);

                at += printf("%s", i ? "," : ":");
                if (at + n > WIDTH)
                        at = printf("\n%*s", column + INDENT, "");
                at += printf(" %s", text);
        }
        printf("\n");
}

/* What is reached through <word>: filters one below the other, until one branches. */
static void
put_tree(const struct epp_plugin *p, int column, const char *word)
{
        for (; p && p->current; p = p->on_success, word = "") {
                put_node(p->current, column, word);
                if (p->on_success != p->on_failure) {
                        put_tree(p->on_success, column + STEP, "yes  ");
                        put_tree(p->on_failure, column + STEP, "no   ");
                        return;
                }
        }
        if (p)
                put_node(p, column, word);
        else
                printf("%*sdropped: 429\n", column, word);
}

static int
trees(void)
{
        static const char *const names[] = { [EPP_TREE_V03] = "tree-v0.3",
                [EPP_TREE_V05] = "tree-v0.5", [EPP_ACTIVE_REQUEST] = "active-request" };
        struct epp_profile profile;
        char weight[32];

        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
                if (epp_profile_builtin(&profile, (enum epp_builtin)i, &epp_thresholds_default,
                            epp_plugins) < 0)
                        return 1;
                printf(".Pp\n.Cm %s :\n.Bd -literal -offset 2n\n", names[i]);
                put_tree(profile.filter, 0, "");
                for (size_t k = 0; k < profile.n_scorers; k++) {
                        snprintf(weight, sizeof(weight), "%g x ", profile.scorer[k].weight);
                        put_node(profile.scorer[k].plugin, 0, weight);
                }
                put_node(profile.picker, 0, "");
                printf(".Ed\n");
        }
        return 0;
}

/* ---- metrics ---- */

/* Behind "[ALPHA] " and "[Deprecated: ...] ", which the texts of the Go pickers begin with. */
static const char *
plain(const char *help)
{
        for (const char *end; *help == '[' && (end = strstr(help, "] ")); help = end + 2)
                ;
        return help;
}

static void
put_family(const struct stat_row *r)
{
        printf(".It Va %s Pq %s", r->name, r->type);
        for (size_t i = 0; i < STAT_LABELS_MAX && r->labels->label[i].name; i++)
                printf("%s%s", i ? ", " : " by ", r->labels->label[i].name);
        printf("\n");
        put_prose(plain(r->help));
}

static int
metrics(void)
{
        static const struct {
                enum stat_generation generation;
                const char *title;
        } sections[] = { { STAT_gaie_v0, "gaie-v0" }, { STAT_gaie_v1, "gaie-v1" },
                { STAT_gaie, "gaie-v0 or gaie-v1" }, { STAT_current, "current" },
                { STAT_eppd, "eppd" }, { STAT_runtime, "Any of them" },
                { STAT_process, "Always" } };
        size_t n, printed = 0;
        const struct stat_row *rows = stat_rows(&n);

        for (size_t k = 0; k < ARRAY_LEN(sections); k++) {
                printf(".Ss %s\n.Bl -tag -width 4n\n", sections[k].title);
                for (size_t i = 0; i < n; i++) {
                        if (rows[i].generation != sections[k].generation)
                                continue;
                        put_family(&rows[i]);
                        printed++;
                }
                printf(".El\n");
        }
        return printed == n ? 0 : 1; /* a generation without a section */
}

int
main(int argc, char **argv)
{
        static const struct {
                const char *name;
                int (*print)(void);
        } parts[] = { { "plugins", plugins }, { "trees", trees }, { "metrics", metrics } };

        for (size_t i = 0; argc == 2 && i < ARRAY_LEN(parts); i++)
                if (strcmp(argv[1], parts[i].name) == 0)
                        return parts[i].print();
        fprintf(stderr, "usage: tables plugins | trees | metrics\n");
        return 2;
}

/* opt_show.c - the flags for readers: a person's terminal, the manual, k8s/README.md, a dump. */
#include "daemon/opt_row.h"

#define COLUMNS 79

/* Prints <text> wrapped behind <indent> blanks; goes on in <column>. */
static int
wrap(const char *text, int indent, int column)
{
        while (*text) {
                int n = (int)strcspn(text, " ");

                if (column > indent && column + 1 + n > COLUMNS) {
                        printf("\n");
                        column = 0;
                }
                if (column == 0)
                        printf("%*s", indent, "");
                else
                        printf(" ");
                printf("%.*s", n, text);
                column = (column ? column + 1 : indent) + n;
                text += n + (text[n] == ' ');
        }
        return column;
}

/* "(1ms to 1h; 0: never)" behind the prose, or nothing. */
static const char *
limits(const struct opt_row *r)
{
        static char text[128];
        char range[96];

        if (!opt_range(r, range, sizeof(range)))
                return "";
        snprintf(text, sizeof(text), "(%s)", range);
        return text;
}

void
opt_help(void)
{
        printf("eppd - endpoint picker for inference gateways\n\n"
               "usage: eppd [--FLAG=VALUE ...]\n\n");
        wrap("--FLAG=VALUE, --FLAG VALUE and -FLAG are all taken; true and false go behind =. What "
             "stands behind = below is the default. Each flag may come from the environment, "
             "--pool-name as EPPD_POOL_NAME, members of lists with blanks between; the command "
             "line wins.", 0, 0);
        printf("\n");
        for (size_t i = 0; i < opt_rows_n; i++) {
                const struct opt_row *r = &opt_rows[i];

                if (r->group) {
                        printf("\n%s\n", r->group);
                        continue;
                }
                printf("  --%s%s%s\n", r->name, *r->def ? "=" : "", r->def);
                wrap(limits(r), 8, wrap(r->prose, 8, 0));
                printf("\n");
        }
        printf("\n  --dump-config\n        Prints every flag with its value, as flags, and ends.\n"
               "  --help, --version\n");
}

/* mdoc wants a new line for each sentence. */
void
opt_mdoc(void)
{
        bool open = false;

        for (size_t i = 0; i < opt_rows_n; i++) {
                const struct opt_row *r = &opt_rows[i];
                const char *prose = r->prose;

                if (r->group) {
                        printf("%s.Ss %s\n.Bl -tag -width 4n\n", open ? ".El\n" : "", r->group);
                        open = true;
                        continue;
                }
                printf(".It Fl -%s", r->name);
                if (*r->def)
                        printf(" Ns = Ns Ar %s", r->def);
                printf("\n");
                for (const char *end; (end = strstr(prose, ". ")); prose = end + 2)
                        printf("%.*s\n", (int)(end + 1 - prose), prose);
                printf("%s\n%s%s", prose, limits(r), *limits(r) ? "\n" : "");
                if (r->old)
                        printf("Old spelling:\n.Fl %s .\n", r->old);
        }
        printf(".El\n");
}

/* A cell of a table: a | would end it. */
static void
cell(const char *text)
{
        for (; *text; text++)
                printf(*text == '|' ? "\\|" : "%c", *text);
}

void
opt_markdown(void)
{
        for (size_t i = 0; i < opt_rows_n; i++) {
                const struct opt_row *r = &opt_rows[i];

                if (r->group) {
                        printf("%s**%s**\n\n| Flag | Default | |\n|---|---|---|\n", i ? "\n" : "",
                                r->group);
                        continue;
                }
                printf("| `--%s` |", r->name);
                if (*r->def)
                        printf(" `%s`", r->def);
                printf(" | ");
                cell(r->prose);
                printf("%s", *limits(r) ? " " : "");
                cell(limits(r));
                if (r->old)
                        printf(" Old: `-%s`.", r->old);
                printf(" |\n");
        }
}

void
opt_dump(const struct opt *o, FILE *out)
{
        for (size_t i = 0; i < opt_rows_n; i++) {
                const struct opt_row *r = &opt_rows[i];
                const void *p = (const char *)o + r->offset;

                if (r->group)
                        continue;
                if (r->kind == LIST) {
                        const struct opt_list *l = p;

                        for (size_t k = 0; k < l->n; k++)
                                fprintf(out, "--%s=%s\n", r->name, l->v[k]);
                        continue;
                }
                fprintf(out, "--%s=", r->name);
                opt_print(o, r, out);
                fprintf(out, "\n");
        }
}

bool
opt_each(const struct opt *o, void (*fn)(void *ctx, const struct opt_value *v), void *ctx)
{
        struct opt_value v = { .number = 0 };

        for (size_t i = 0; i < opt_rows_n; i++) {
                const struct opt_row *r = &opt_rows[i];
                const struct opt_list *l = (const void *)((const char *)o + r->offset);
                char *text = NULL;
                size_t size;
                FILE *out;

                if (r->group)
                        continue;
                v.name = r->name;
                v.from = (enum opt_from)o->from[r->id];
                v.list = r->kind == LIST;
                out = open_memstream(&text, &size);
                if (!out)
                        return false;
                if (!v.list)
                        opt_print(o, r, out);
                if (fclose(out) != 0) {
                        free(text);
                        return false;
                }
                v.text = v.list ? l->v : (const char *const *)&text;
                v.n = v.list ? l->n : 1;
                fn(ctx, &v);
                free(text);
                v.number++;
        }
        return true;
}

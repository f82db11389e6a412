/*
 * clients/cli/cmd_top.c -- joblog top: all live jobs at a glance, on a screen of its own or as one table.
 */
#include "base/clock.h"
#include "base/err.h"
#include "clients/cli/cli.h"
#include "clients/cli/fleet.h"
#include "clients/cli/palette.h"
#include "clients/cli/term.h"
#include "clients/cli/top_table.h"
#include "clients/cli/tty.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INTERVAL_US 2000000
#define INTERVAL_US_MIN 200000
#define ONCE_US 1000000 /* between the two looks of a table */
#define DRAW_MS 1000    /* ages go on */
#define KEYS "q quit · sort: j job p project s state r ranks l lines/s a age t step d done b slowest i silent · R reverse"
#define KEYS_COLUMNS 112
#define KEYS_SHORT "q quit · sort: j p s r l(ines) a t(step) d b(slowest) i(silent) · R reverse"
#define ROWS_AROUND 4   /* the title, the header, what is not shown, the keys */

struct top_options {
    struct args_common common;
    const char *sort, *color;
    int is_reversed, once;
    struct args_list labels;
    int64_t interval_us;
};

static const struct args_option options[] = {
    {0, "sort", ARGS_TEXT, offsetof(struct top_options, sort), "BY", "see below", TOP_SORT_CHOICES, 0, 0},
    {'R', "reverse", ARGS_FLAG, offsetof(struct top_options, is_reversed), NULL, "the other way round", NULL, 0, 0},
    {'l', "label", ARGS_LIST, offsetof(struct top_options, labels), "K=V", "only jobs with this label", NULL, 0, 0},
    {0, "interval", ARGS_DURATION, offsetof(struct top_options, interval_us), "D", "between two looks (2s)", NULL, 0, 0},
    {'1', "once", ARGS_FLAG, offsetof(struct top_options, once), NULL, "one table, as into a pipe", NULL, 0, 0},
    {0, "color", ARGS_TEXT, offsetof(struct top_options, color), "WHEN", "auto always never", "auto|always|never", 0, 0},
};

struct top {
    const struct top_options *o;
    const struct http_server *server;
    struct term term;
    struct fleet *fleet;
    struct fleet_view view;
    int wake[2]; /* the fleet has looked */
    enum top_key key;
    int is_reversed;
    unsigned first; /* row at the top of the screen */
    struct buf out;
};

/* ---- the screen ---- */

static void add_line(struct top *t, const char *text)
{
    if (t->term.color)
        buf_addf(&t->out, "\x1b[%sm", palette_faint());
    term_clean_row(&t->out, text, strlen(text), t->term.columns - 1);
    buf_adds(&t->out, t->term.color ? TERM_RESET "\x1b[K" : "\x1b[K");
}

static void add_title(struct top *t, int64_t now_us)
{
    double lines_per_s = 0;
    int64_t alive = 0, ranks = 0;
    char number[32], text[320];
    size_t n;

    for (unsigned i = 0; i < t->view.count; i++) {
        const struct scout_view *v = &t->view.jobs[i].view;

        lines_per_s += v->lines_per_s > 0 ? v->lines_per_s : 0;
        alive += v->alive;
        ranks += v->ranks;
    }
    n = (size_t)snprintf(text, sizeof text, "%u%s live job%s · %s lines/s · %lld/%lld ranks · by %s%s", t->view.count,
                         t->view.is_more ? "+" : "", t->view.count == 1 ? "" : "s",
                         cli_thousands((uint64_t)(lines_per_s + 0.5), number), (long long)alive, (long long)ranks,
                         top_key_title(t->key), t->is_reversed ? ", reversed" : "");
    if (t->view.failed_us && n < sizeof text)
        n += (size_t)snprintf(text + n, sizeof text - n, " · no answer for %llds",
                              (long long)((now_us - t->view.failed_us) / 1000000));
    if (n < sizeof text)
        snprintf(text + n, sizeof text - n, " · %s", t->server->url);
    add_line(t, text);
    buf_addc(&t->out, '\n');
}

static void draw(struct top *t)
{
    struct top_table table = {.columns = t->term.columns - 1, .color = t->term.color, .on_screen = 1, .key = t->key,
                              .now_us = clock_mono_us()};
    unsigned room = t->term.rows > ROWS_AROUND ? (unsigned)(t->term.rows - ROWS_AROUND) : 1, to;
    char more[64];

    if (t->view.count <= room)
        t->first = 0;
    else if (t->first > t->view.count - room)
        t->first = t->view.count - room;
    to = t->view.count - t->first < room ? t->view.count : t->first + room;
    buf_clear(&t->out);
    buf_adds(&t->out, "\x1b[H");
    add_title(t, table.now_us);
    top_table_add(&t->out, &table, t->view.jobs, t->view.count, t->first, to);
    more[0] = '\0';
    if (!t->view.count)
        snprintf(more, sizeof more, "%s", t->view.looks ? "nothing is running" : "looking …");
    else if (t->view.count > to || t->first)
        snprintf(more, sizeof more, "… %u above, %u below", t->first, t->view.count - to);
    add_line(t, more);
    buf_addc(&t->out, '\n');
    add_line(t, t->term.columns > KEYS_COLUMNS ? KEYS : KEYS_SHORT);
    buf_adds(&t->out, "\x1b[J");
    cli_write(STDOUT_FILENO, t->out.data, t->out.len);
}

/* Another process group has the terminal: what we wrote would be in its way. */
static int is_behind(void)
{
    pid_t front = tcgetpgrp(STDOUT_FILENO);

    return front >= 0 && front != getpgrp();
}

static void sort(struct top *t)
{
    top_sort(t->view.jobs, t->view.count, t->key, t->is_reversed);
}

static void show_screen(void)
{
    tty_keys();
    tty_screen();
}

/* 1: enough seen. */
static int take_keys(struct top *t)
{
    char typed[64];
    size_t n = tty_read(typed, sizeof typed);
    unsigned page = t->term.rows > ROWS_AROUND ? (unsigned)(t->term.rows - ROWS_AROUND) : 1;

    for (size_t i = 0; i < n; i++) {
        char c = typed[i];

        if (c == '\x1b' && i + 2 < n && (typed[i + 1] == '[' || typed[i + 1] == 'O')) { /* arrows, PgUp, PgDn, Home, End */
            c = typed[i += 2];
            if (i + 1 < n && typed[i + 1] == '~')
                i++;
            if (c == 'A' && t->first)
                t->first--;
            else if (c == 'B')
                t->first++;
            else if (c == '5')
                t->first = t->first > page ? t->first - page : 0;
            else if (c == '6')
                t->first += page;
            else if (c == 'H' || c == '1')
                t->first = 0;
            else if (c == 'F' || c == '4')
                t->first = t->view.count;
        } else if (c == 'q' || c == 'Q') {
            return 1;
        } else if (c == 'R') {
            t->is_reversed = !t->is_reversed;
        } else if (top_key_typed(c) != TOP_KEY_COUNT) {
            t->key = top_key_typed(c);
        }
    }
    if (n)
        sort(t);
    return 0;
}

static void take_signals(struct top *t)
{
    unsigned bits = cli_take_signals();

    if (bits & CLI_SIGNAL_RESIZED)
        term_resize(&t->term);
    if (!(bits & CLI_SIGNAL_STOP))
        return;
    tty_restore();
    cli_suspend();
    if (!is_behind())
        show_screen();
    term_resize(&t->term);
}

/* What cannot be had at all is an end; what could be had a moment ago is waited for. */
static int is_refused(const struct top *t, uint64_t good_looks)
{
    long status = t->view.err >= 0 ? t->view.reply.status : 0;

    return t->view.failed_us && (!good_looks || status == 401 || status == 403);
}

static int run_screen(struct top *t)
{
    uint64_t good_looks = 0;
    int was_behind = is_behind();
    char bytes[64];

    if (!was_behind)
        show_screen();
    for (;;) {
        struct pollfd p[] = {{.fd = cli_wake_fd(), .events = POLLIN},
                             {.fd = t->wake[0], .events = POLLIN},
                             {.fd = STDIN_FILENO, .events = was_behind ? 0 : POLLIN}};

        if (!was_behind)
            draw(t);
        poll(p, 3, DRAW_MS);
        take_signals(t);
        if (cli_interrupted())
            return CLI_EXIT_INTERRUPTED;
        if (was_behind && !is_behind())
            show_screen();
        was_behind = is_behind();
        if (p[1].revents && read(t->wake[0], bytes, sizeof bytes) > 0) {
            fleet_see(t->fleet, &t->view);
            if (is_refused(t, good_looks)) {
                tty_restore();
                return cli_complain(t->server, NULL, t->view.err, &t->view.reply);
            }
            good_looks += !t->view.failed_us;
            sort(t);
        }
        if (!was_behind && take_keys(t))
            return CLI_EXIT_OK;
        if (p[2].revents & (POLLHUP | POLLERR))
            return CLI_EXIT_OK; /* the terminal has gone */
    }
}

/* ---- one table ---- */

static int run_once(struct top *t)
{
    struct top_table table = {.columns = t->term.is_tty ? t->term.columns : 0, .color = t->term.color, .key = t->key};
    char bytes[64];

    while (t->view.looks < FLEET_LOOKS_A_LIST) {
        struct pollfd p[] = {{.fd = cli_wake_fd(), .events = POLLIN}, {.fd = t->wake[0], .events = POLLIN}};

        poll(p, 2, -1);
        if (cli_interrupted())
            return CLI_EXIT_INTERRUPTED;
        if (!p[1].revents || read(t->wake[0], bytes, sizeof bytes) <= 0)
            continue;
        fleet_see(t->fleet, &t->view);
        if (t->view.failed_us)
            return cli_complain(t->server, NULL, t->view.err, &t->view.reply);
        if (!t->view.count)
            break;
    }
    sort(t);
    table.now_us = clock_mono_us();
    top_table_add(&t->out, &table, t->view.jobs, t->view.count, 0, t->view.count);
    if (cli_write(STDOUT_FILENO, t->out.data, t->out.len) == ERR_CLOSED)
        cli_die_of_pipe();
    return CLI_EXIT_OK;
}

static int top(const struct top_options *o, const struct http_server *s)
{
    struct top t = {.o = o, .server = s, .key = top_key_of(o->sort), .is_reversed = o->is_reversed};
    struct fleet_options f = {.server = s, .labels = &o->labels, .interval_us = o->interval_us};
    int is_screen, code;

    buf_init(&t.out, 0);
    term_init(&t.term, STDOUT_FILENO, o->color);
    is_screen = t.term.is_tty && term_can_move() && !o->once && isatty(STDIN_FILENO);
    if (!is_screen && f.interval_us > ONCE_US)
        f.interval_us = ONCE_US;
    if (pipe2(t.wake, O_CLOEXEC | O_NONBLOCK) != 0)
        return CLI_EXIT_CANNOT;
    f.wake_fd = t.wake[1];
    cli_catch_signals();
    if (is_screen)
        cli_catch_terminal_signals();
    if (fleet_start(&f, &t.fleet) < 0) {
        cli_say("no thread is left");
        return CLI_EXIT_CANNOT;
    }
    code = is_screen ? run_screen(&t) : run_once(&t);
    tty_restore();
    buf_release(&t.out);
    cli_exit_at_once = 1; /* a request may be under way, and nobody waits for its answer */
    return code;
}

static int main_top(int argc, char **argv)
{
    struct top_options o = {.sort = "age", .color = "auto", .interval_us = INTERVAL_US};
    struct http_server s;
    char **operands;
    unsigned count;
    int code;

    if (args_begin(&cli_top, argc, argv, &o, &operands, &count, &code))
        return code;
    if (cli_server(&o.common, &s) < 0)
        return CLI_EXIT_USAGE;
    for (unsigned i = 0; i < o.labels.count; i++)
        if (!cli_label_value(o.labels.items[i]))
            return CLI_EXIT_USAGE;
    if (o.interval_us < INTERVAL_US_MIN) {
        cli_say("--interval: at least 200ms");
        return CLI_EXIT_USAGE;
    }
    return top(&o, &s);
}

const struct args_command cli_top = {
    .name = "top",
    .usage = "top [options]",
    .summary = "All live jobs at a glance: ranks, lines/s, steps, silence.\n"
               "On a terminal a screen that is drawn anew (q quits); in a pipe one table.",
    .example = "  joblog top --sort silent\n  joblog top | awk '$3 == \"RUNNING\"'",
    .notes = "  BY: age job project state ranks rate step done slowest silent; on the screen\n"
             "      the letters of the last row sort, R reverses, arrows and PgUp/PgDn scroll",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .main = main_top,
};

/*
 * tests/fuzz/client_fuzz.c -- any bytes as the answers of a server, under the commands of joblog that read them.
 *
 * The first byte says which command (of the table below), the second whether its output is a terminal ('t'). Each answer begins
 * with a line "%" and its status (0: none came) and comes in pieces, as long as the byte behind the status says; behind the last
 * one everything is 404. Whatever a server says, nothing but text and colour reaches a terminal from any command (and what a
 * tail's rows at the foot of the screen need), a command ends, and with an exit code of its own. What `joblog top` shows is
 * read, sorted and drawn without its threads.
 * Covers  clients/cli/ndjson.c clients/cli/logs.c clients/cli/resume.c clients/cli/tail_many.c clients/cli/cmd_tail.c
 *         clients/cli/cmd_logs.c clients/cli/cmd_jobs.c clients/cli/cmd_show.c clients/cli/cmd_why.c clients/cli/why_page.c
 *         clients/cli/cmd_events.c clients/cli/dead.c clients/cli/render.c clients/cli/top_table.c
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/utf8.h"
#include "clients/cli/cli.h"
#include "clients/cli/scout.h"
#include "clients/cli/top_table.h"
#include "job/record.h"

#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 12
#define START_US INT64_C(1764000000000000)
#define CALLS_MAX 200

static const char *const lines[][WORDS_MAX] = {
    {"jobs"},
    {"jobs", "-o", "name", "--color", "always"},
    {"jobs", "-o", "json"},
    {"show", "demo"},
    {"show", "demo", "-o", "json"},
    {"why", "demo"},
    {"why", "demo", "-a", "--color", "always"},
    {"why", "demo", "-o", "html"},
    {"logs", "demo", "--color", "always"},
    {"logs", "demo", "-o", "json"},
    {"logs", "demo", "-o", "ndjson"},
    {"logs", "demo", "-e", "lo+ss", "-C", "2"},
    {"logs", "demo", "-v", "-e", "x", "-n", "3"},
    {"logs", "demo", "--fold", "-t"},
    {"logs", "demo", "-o", "template", "--template", "{{local}} {{rank:3}} {{level:-5}} {{msg}} {{fields.loss}} {{json}}"},
    {"logs", "demo", "--order", "desc", "--raw", "--timestamps=relative"},
    {"tail", "demo", "--no-status"},
    {"tail", "demo", "--no-status", "-o", "ndjson", "-n", "all"},
    {"tail", "demo", "--no-status", "-e", "x", "-C", "1", "--fold", "-t"},
    {"tail", "demo", "--no-status", "--no-reconnect", "--color", "always", "--raw"},
    {"tail", "--project", "vision"},
    {"tail", "-l", "team=a", "-o", "ndjson"},
    {"events", "-n", "20"},
    {"events", "-o", "ndjson", "--no-follow"},
    {"rules", "list"},
    {"rules", "list", "-o", "name"},
    {"rules", "show", "x"},
    {"rules", "test", "x", "demo"},
    {"receivers", "list"},
    {"receivers", "waiting"},
    {"receivers", "dead"},
    {"receivers", "dead", "-o", "json"},
    {"receivers", "replay", "--all"},
    {"token", "list"},
    {"token", "create", "--name", "x"},
    {"token", "list", "-o", "json"},
    {"ping"},
    {"stop", "demo"},
    {"state", "demo", "FAILED"},
    {"rm", "demo"},
};
#define LINES (sizeof lines / sizeof *lines)

const struct args_command *const cli_commands[] = {
    &cli_tail, &cli_logs,  &cli_jobs,      &cli_show,   &cli_why,   &cli_state, &cli_stop,
    &cli_rm,   &cli_rules, &cli_receivers, &cli_events, &cli_token, &cli_ping,  NULL,
};

/* ---- the world ---- */

static struct {
    const char *at, *end; /* answers to come */
    unsigned calls;
    int is_tty, is_on;
    int64_t now_us;
    struct buf out, said;
} world;

int isatty(int fd)
{
    return world.is_on && fd == STDOUT_FILENO && world.is_tty;
}

ssize_t write(int fd, const void *data, size_t len)
{
    int is_said = fd == STDERR_FILENO && len > 8 && memcmp(data, "joblog: ", 8) == 0; /* what a sanitizer says goes on its way */

    if (!world.is_on || !(fd == STDOUT_FILENO || is_said))
        return syscall(SYS_write, fd, data, len);
    CHECK(buf_add(fd == STDOUT_FILENO ? &world.out : &world.said, data, len) == 0);
    return (ssize_t)len;
}

int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    for (nfds_t i = 0; i < n; i++)
        fds[i].revents = 0;
    world.now_us += timeout_ms > 0 ? timeout_ms * INT64_C(1000) : 1;
    return 0;
}

int64_t clock_mono_us(void)
{
    return world.now_us += 50;
}

int64_t clock_wall_us(void)
{
    return START_US + world.now_us;
}

void cli_catch_signals(void)
{
}
void cli_catch_terminal_signals(void)
{
}
unsigned cli_take_signals(void)
{
    return 0;
}
int cli_wake_fd(void)
{
    return -1;
}
int cli_interrupted(void)
{
    return world.calls > CALLS_MAX ? SIGTERM : 0;
}
void http_setup(void)
{
}
void http_forget(void)
{
}

/* The next answer: its status, body and how it is cut. */
static long take_answer(const char **ret_body, size_t *ret_len, size_t *ret_piece)
{
    const char *at = world.at, *end = world.end, *nl, *next;
    long status = 0;

    *ret_len = 0;
    world.calls++;
    world.now_us += 1000;
    if (at >= end)
        return 404;
    at++; /* '%' */
    for (; at < end && *at >= '0' && *at <= '9' && status < 100; at++)
        status = status * 10 + (*at - '0');
    nl = memchr(at, '\n', (size_t)(end - at));
    *ret_piece = nl && nl > at && *at ? (unsigned char)*at : 4096;
    *ret_body = nl ? nl + 1 : end;
    for (next = *ret_body; next < end && *next != '%'; next++) {
        nl = memchr(next, '\n', (size_t)(end - next));
        if (!nl) {
            next = end;
            break;
        }
        next = nl;
    }
    *ret_len = (size_t)(next - *ret_body);
    world.at = next;
    return status;
}

static int no_answer(struct http_reply *ret)
{
    snprintf(ret->error, sizeof ret->error, "Connection refused");
    return cli_interrupted() ? ERR_CANCELLED : ERR_UNAVAILABLE;
}

int http_call(const struct http_server *s, const char *method, const char *path, const char *body, int64_t timeout_us,
              struct http_reply *ret)
{
    const char *text = NULL;
    size_t len, piece;

    (void)s, (void)body, (void)timeout_us;
    CHECK(*method && path[0] == '/');
    memset(ret, 0, sizeof *ret);
    ret->status = take_answer(&text, &len, &piece);
    if (!ret->status || cli_interrupted())
        return ret->status = 0, no_answer(ret);
    ret->retry_after_us = ret->status == 503 ? 1000000 : 0;
    return len ? buf_add(&ret->body, text, len) : 0;
}

int http_stream(const struct http_server *s, const char *path, const struct http_stream *o, struct http_reply *ret)
{
    const char *text = NULL;
    size_t len, piece;
    int err = 0;

    (void)s;
    CHECK(path[0] == '/');
    memset(ret, 0, sizeof *ret);
    ret->status = take_answer(&text, &len, &piece);
    if (!ret->status || cli_interrupted())
        return ret->status = 0, no_answer(ret);
    if (ret->status != 200)
        return len ? buf_add(&ret->body, text, len) : 0;
    for (size_t at = 0; at < len && err >= 0; at += piece) {
        char *copy = must_strndup("", 0); /* the piece alone, so that who reads behind it is seen */
        size_t n = len - at < piece ? len - at : piece;

        copy = must_realloc(copy, n);
        memcpy(copy, text + at, n);
        err = o->on_data(o->user, copy, n);
        free(copy);
        if (err >= 0 && o->on_tick)
            err = o->on_tick(o->user);
    }
    return err < 0 ? err : 0;
}

/* ---- what came out ---- */

/* Of controls only tab, newline and colour; of a tail also what moves its rows. */
static void check_safe(const struct buf *b, int is_tail)
{
    for (size_t i = 0; i < b->len; i++) {
        unsigned char c = (unsigned char)b->data[i];

        if (c == 0x1b) {
            CHECKF(i + 2 < b->len && b->data[i + 1] == '[', "%s", b->data);
            for (i += 2; i < b->len && strchr("0123456789;:", b->data[i]); i++)
                ;
            CHECKF(i < b->len && (b->data[i] == 'm' || (is_tail && strchr("AK", b->data[i]))), "%s", b->data);
            continue;
        }
        CHECKF(c >= 0x20 ? c != 0x7f : c == '\n' || c == '\t' || (is_tail && c == '\r'), "%02x %s", c, b->data);
        CHECKF(!(c == 0xc2 && i + 1 < b->len && (unsigned char)b->data[i + 1] < 0xa0), "%s", b->data); /* C1 */
    }
    CHECKF(utf8_valid_prefix(b->data, b->len) == b->len, "%s", b->data);
}

static void run(const char *const *words)
{
    char *argv[WORDS_MAX + 1] = {NULL}, *own[WORDS_MAX + 1] = {NULL};
    const struct args_command *c = NULL;
    int argc = 0, code;

    for (; argc < WORDS_MAX && words[argc]; argc++)
        argv[argc] = own[argc] = must_strdup(words[argc]);
    for (int i = 0; cli_commands[i]; i++)
        if (strcmp(cli_commands[i]->name, words[0]) == 0)
            c = cli_commands[i];
    CHECK(c);
    world.is_on = 1;
    code = c->main(argc, argv);
    world.is_on = 0;
    CHECKF(code >= 0 && code <= CLI_EXIT_INTERRUPTED, "%d", code);
    if (world.is_tty && world.out.len)
        check_safe(&world.out, c == &cli_tail);
    if (world.said.len)
        check_safe(&world.said, 0);
    CHECK(!world.said.len || !memchr(world.said.data, 0x1b, world.said.len));
    for (int i = 0; i < argc; i++)
        free(own[i]);
}

/* Two answers, a job's page and its statistics, as `joblog top` reads them for a row each way. */
static void as_top(void)
{
    static int64_t heard_us[RECORD_RANK_MAX + 1];
    struct fleet_job jobs[3];
    struct json_tree *page = NULL, *stats = NULL;
    struct top_table table = {.now_us = world.now_us};
    const char *text = NULL;
    size_t len, piece;

    memset(jobs, 0, sizeof jobs);
    take_answer(&text, &len, &piece);
    json_tree_parse(text ? text : "", len, &page, NULL);
    take_answer(&text, &len, &piece);
    json_tree_parse(text ? text : "", len, &stats, NULL);
    heard_us[1] = world.now_us;
    for (int i = 0; i < 3; i++) {
        const char *id = json_tree_str(json_tree_get(page, "id")), *project = json_tree_str(json_tree_get(page, "project"));

        snprintf(jobs[i].id, sizeof jobs[i].id, "%s%d", id ? id : "", i);
        snprintf(jobs[i].project, sizeof jobs[i].project, "%s", project ? project : "");
        scout_read_job(&jobs[i].view, i ? page : NULL, i > 1 ? heard_us : NULL, world.now_us);
        scout_read_stats(&jobs[i].view, i ? stats : NULL);
        jobs[i].percent = i * 50 - 1;
    }
    for (int k = 0; k < TOP_KEY_COUNT; k++) {
        top_sort(jobs, 3, (enum top_key)k, k % 2);
        table.key = (enum top_key)k;
        table.columns = world.is_tty ? 30 + 10 * k : 0;
        table.color = k % 2;
        top_table_add(&world.out, &table, jobs, 3, 0, 3);
    }
    check_safe(&world.out, 0);
    json_tree_free(&page);
    json_tree_free(&stats);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int is_set_up;
    const char *text = (const char *)data, *first = size > 2 ? memchr(text, '%', size) : NULL;

    if (!is_set_up) {
        static const char *const unset[] = {"JOBLOG_URL", "JOBLOG_TOKEN", "JOBLOG_PROJECT", "NO_COLOR", "TZ"};

        for (size_t i = 0; i < sizeof unset / sizeof *unset; i++)
            unsetenv(unset[i]);
        setenv("JOBLOG_PAGER", "", 1);
        setenv("TERM", "xterm", 1);
        setlocale(LC_CTYPE, "C.UTF-8");
        is_set_up = 1;
    }
    if (size < 2)
        return 0;
    world.at = first ? first : text + size;
    world.end = text + size;
    world.calls = 0;
    world.now_us = 1000000;
    world.is_tty = text[1] == 't';
    buf_clear(&world.out);
    buf_clear(&world.said);
    if (data[0] >= '0' && (size_t)(data[0] - '0') < LINES)
        run(lines[data[0] - '0']);
    else
        as_top();
    cli_exit_at_once = 0;
    return 0;
}

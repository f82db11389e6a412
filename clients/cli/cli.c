/*
 * clients/cli/cli.c -- the server's address, complaints, signals.
 */
#include "clients/cli/cli.h"

#include "auth/secret.h"
#include "base/check.h"
#include "base/err.h"
#include "clients/cli/pager.h"
#include "clients/cli/term.h"
#include "job/id.h"
#include "job/state.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cli_exit_at_once;

void cli_say(const char *fmt, ...)
{
    struct buf text = BUF_INIT, line = BUF_INIT;
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&text, fmt, ap);
    va_end(ap);
    buf_adds(&line, "joblog: ");
    term_clean(&line, text.data, text.len, TERM_COLOR_DROP, NULL);
    buf_addc(&line, '\n');
    if (write(STDERR_FILENO, line.data, line.len) < 0)
        errno = 0; /* nobody to tell */
    buf_release(&text);
    buf_release(&line);
}

static const char *setting(const char *given, const char *variable, const char *fallback)
{
    const char *v = given ? given : getenv(variable);

    return v && *v ? v : fallback;
}

int cli_server(const struct args_common *o, struct http_server *ret)
{
    char why[256];
    const char *url = setting(o->url, "JOBLOG_URL", CLI_URL_DEFAULT);

    memset(ret, 0, sizeof *ret);
    ret->token = setting(NULL, "JOBLOG_TOKEN", NULL);
    ret->project = setting(o->project, "JOBLOG_PROJECT", NULL);
    ret->cacert = setting(o->cacert, "JOBLOG_CACERT", NULL);
    ret->cert = setting(NULL, "JOBLOG_CERT", NULL);
    ret->key = setting(NULL, "JOBLOG_KEY", ret->cert); /* one file may hold both */
    if (http_server_parse(ret, url, why, sizeof why) < 0) {
        cli_say("%s: %s (--url or JOBLOG_URL)", url, why);
        return ERR_INVALID;
    }
    if (ret->project && !id_valid(ret->project, strlen(ret->project))) {
        cli_say("%s is no project: letters, digits, '.', '_', '-', at most %d", ret->project,
                ID_BYTES_MAX);
        return ERR_INVALID;
    }
    if (ret->token && strpbrk(ret->token, "\r\n \t")) {
        cli_say("JOBLOG_TOKEN holds a space or a line end");
        return ERR_INVALID;
    }
    if (ret->token && !strncmp(ret->token, SECRET_TOKEN, SECRET_PREFIX_BYTES) &&
        secret_check(SECRET_TOKEN, ret->token, strlen(ret->token)) < 0) {
        cli_say("JOBLOG_TOKEN is mistyped or cut short: its checksum does not match");
        return ERR_INVALID;
    }
    return 0;
}

int cli_check_job(const char *job)
{
    if (id_valid(job, strlen(job)))
        return 0;
    cli_say("%s is no job id: letters, digits, '.', '_', '-', at most %d", job, ID_BYTES_MAX);
    return ERR_INVALID;
}

void cli_job_path(struct buf *out, const struct http_server *s, const char *job, const char *tail)
{
    buf_addf(out, "/v1/jobs/%s%s", job, tail);
    if (s->project)
        http_arg(out, "project", s->project);
}

int cli_complain(const struct http_server *s, const char *job, int err, const struct http_reply *r)
{
    struct json_tree *root = NULL;
    const char *message = NULL;

    if (err == ERR_CANCELLED)
        return CLI_EXIT_INTERRUPTED;
    if (err < 0) {
        cli_say("cannot reach %s: %s. Start a server with `make run` or name another one with "
                "JOBLOG_URL.",
                s->url, r->error[0] ? r->error : err_text(err));
        return CLI_EXIT_CANNOT;
    }
    if (json_tree_parse_own(r->body.data ? r->body.data : "", r->body.len, &root) == 0)
        json_tree_get_str(root, "message", &message);
    switch (r->status) {
    case 401:
        cli_say("%s wants a token: set JOBLOG_TOKEN (%s)", s->url, message ? message : "401");
        break;
    case 403:
        cli_say("the token does not allow this: %s", message ? message : "403");
        break;
    case 404:
        if (job)
            cli_say("there is no job %s%s%s on %s", job, s->project ? " in project " : "",
                    s->project ? s->project : "", s->url);
        else
            cli_say("%s does not know this request: is it a joblog server?", s->url);
        break;
    default:
        cli_say("%s answered %ld: %s", s->url, r->status, message ? message : "no reason given");
    }
    json_tree_free(&root);
    if (r->status == 400)
        return CLI_EXIT_USAGE;
    return CLI_EXIT_CANNOT;
}

int cli_get_json(const struct http_server *s, const char *job, const char *path, int64_t timeout_us,
                 int quiet, struct json_tree **ret_root)
{
    struct http_reply r = {0};
    int err = http_call(s, "GET", path, NULL, timeout_us, &r), code = CLI_EXIT_CANNOT;

    if (err < 0 || r.status != 200) {
        if (!quiet)
            code = cli_complain(s, job, err, &r);
    } else if (json_tree_parse_own(buf_cstr(&r.body), r.body.len, ret_root) < 0) {
        if (!quiet)
            cli_say("%s answered something that is no JSON", s->url);
    } else {
        code = CLI_EXIT_OK;
    }
    http_reply_release(&r);
    return code;
}

int cli_exit_of_state(const char *text)
{
    enum job_state s;

    if (!text || state_parse(text, strlen(text), &s) < 0)
        return CLI_EXIT_CANNOT;
    switch (s) {
    case STATE_COMPLETED:
        return CLI_EXIT_OK;
    case STATE_FAILED:
        return CLI_EXIT_FAILED;
    case STATE_STOPPED:
        return CLI_EXIT_STOPPED;
    case STATE_DEPLOY_FAILED:
        return CLI_EXIT_DEPLOY_FAILED;
    default:
        return CLI_EXIT_CANNOT;
    }
}

const char *cli_short_state(const char *text)
{
    enum job_state s;

    if (!text)
        return "?";
    return state_parse(text, strlen(text), &s) < 0 ? text : state_short(s);
}

char *cli_thousands(uint64_t v, char out[32])
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)v), at = 0;

    for (int i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

/* ---- signals ---- */

/* Atomic, not sig_atomic_t: threads of their own read what the handler wrote in the main one. */
static atomic_int caught, resized, stop_asked;
static int wake_pipe[2] = {-1, -1};

static void on_signal(int sig)
{
    int saved = errno;

    if (sig == SIGWINCH)
        resized = 1;
    else if (sig == SIGTSTP)
        stop_asked = 1;
    else
        caught = sig;
    if (write(wake_pipe[1], "!", 1) < 0)
        errno = saved; /* full: it is readable already */
    errno = saved;
}

void cli_catch_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal}; /* no SA_RESTART: a blocked write must end */

    CHECK(pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) == 0);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGHUP, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
}

void cli_catch_terminal_signals(void)
{
    struct sigaction sa = {.sa_handler = on_signal};

    sigaction(SIGWINCH, &sa, NULL);
    sigaction(SIGTSTP, &sa, NULL);
}

unsigned cli_take_signals(void)
{
    unsigned bits = 0;
    char bytes[64];

    while (!caught && read(wake_pipe[0], bytes, sizeof bytes) > 0) {
    }
    if (atomic_exchange(&resized, 0))
        bits |= CLI_SIGNAL_RESIZED;
    if (atomic_exchange(&stop_asked, 0))
        bits |= CLI_SIGNAL_STOP;
    return bits;
}

void cli_suspend(void)
{
    struct sigaction was, sa = {.sa_handler = SIG_DFL};

    stop_asked = 0;
    sigaction(SIGTSTP, &sa, &was);
    raise(SIGTSTP);
    sigaction(SIGTSTP, &was, NULL);
}

int cli_interrupted(void)
{
    return caught;
}

int cli_wake_fd(void)
{
    return wake_pipe[0];
}

int cli_write(int fd, const void *data, size_t len)
{
    const char *p = data;

    while (len) {
        ssize_t n;

        n = write(fd, p, len);
        if (n >= 0) {
            p += n;
            len -= (size_t)n;
            if (!len)
                break;
        }
        if (caught)
            return ERR_CANCELLED;
        if (n >= 0)
            continue;
        if (errno == EAGAIN) {
            struct pollfd pfd = {.fd = fd, .events = POLLOUT};
            poll(&pfd, 1, 1000);
        } else if (errno == EPIPE) {
            return ERR_CLOSED;
        } else if (errno != EINTR) {
            cli_say("cannot write the output: %s", strerror(errno));
            return ERR_IO;
        } else if (stop_asked) {
            cli_suspend(); /* the terminal takes nothing now: it cannot be tidied up before */
        }
    }
    return 0;
}

static int print_as(const void *data, size_t len, enum term_color color)
{
    struct term t;
    struct buf safe = BUF_INIT;
    int err;

    term_init(&t, STDOUT_FILENO, "never");
    if (!t.is_tty)
        return cli_write(STDOUT_FILENO, data, len);
    err = term_clean(&safe, data, len, color, NULL);
    if (err >= 0)
        err = cli_write(STDOUT_FILENO, safe.data ? safe.data : "", safe.len);
    buf_release(&safe);
    return err;
}

int cli_print(const void *data, size_t len)
{
    return print_as(data, len, TERM_COLOR_DROP);
}

int cli_print_colored(const void *data, size_t len)
{
    return print_as(data, len, TERM_COLOR_KEEP);
}

void cli_die_of_pipe(void)
{
    if (pager_terminal() >= 0) {
        pager_finish(); /* the person has seen enough */
        _exit(CLI_EXIT_OK);
    }
    signal(SIGPIPE, SIG_DFL);
    raise(SIGPIPE);
    _exit(128 + SIGPIPE);
}

const char *cli_label_value(const char *text)
{
    const char *eq = strchr(text, '=');

    if (eq && eq != text)
        return eq;
    cli_say("--label: %s is not K=V", text);
    return NULL;
}

int cli_label_args(struct buf *path, const struct args_list *labels)
{
    for (unsigned i = 0; i < labels->count; i++) {
        const char *text = labels->items[i], *eq = cli_label_value(text);
        struct buf key = BUF_INIT;

        if (!eq)
            return ERR_INVALID;
        buf_addf(&key, "label.%.*s", (int)(eq - text), text);
        http_arg(path, buf_cstr(&key), eq + 1);
        buf_release(&key);
    }
    return 0;
}

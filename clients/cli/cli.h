/*
 * clients/cli/cli.h -- what the commands of joblog share: exit codes, the server they talk to, how they complain.
 */
#ifndef CLIENTS_CLI_CLI_H
#define CLIENTS_CLI_CLI_H

#include "base/buf.h"
#include "base/json_tree.h"
#include "clients/cli/args.h"
#include "clients/cli/http.h"

#include <stdint.h>

enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_FAILED = 1, /* the job failed; or the request was refused */
    CLI_EXIT_USAGE = 2,
    CLI_EXIT_STOPPED = 3,
    CLI_EXIT_DEPLOY_FAILED = 4,
    CLI_EXIT_CANNOT = 5,        /* incomplete, or could not go on */
    CLI_EXIT_CANNOT_EXEC = 126, /* run: the command may not be executed */
    CLI_EXIT_NO_COMMAND = 127,  /* run: there is no such command */
    CLI_EXIT_INTERRUPTED = 130,
};

#define CLI_URL_DEFAULT "http://127.0.0.1:8000"
#define CLI_CALL_US 30000000 /* an ordinary request may take this long */

/* A thread hangs: main leaves by _exit, for destructors would run under it. */
extern int cli_exit_at_once;

/* The commands; main.c lists them. */
extern const struct args_command cli_run, cli_ship, cli_tail, cli_logs, cli_jobs, cli_top, cli_show, cli_why,
    cli_state, cli_stop, cli_rm, cli_rules, cli_receivers, cli_events, cli_token, cli_ping, cli_completion;
extern const struct args_command *const cli_commands[]; /* NULL-terminated */

/* "joblog: …\n" on stderr, in one write; control characters of the text are escaped. */
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The server from options and environment (JOBLOG_URL, JOBLOG_TOKEN, JOBLOG_PROJECT, JOBLOG_CACERT). ERR_INVALID was said. */
int cli_server(const struct args_common *o, struct http_server *ret);
/* ERR_INVALID was said. */
int cli_check_job(const char *job);
/* "/v1/jobs/J" + tail, with ?project= when one is set. */
void cli_job_path(struct buf *out, const struct http_server *s, const char *job, const char *tail);

/* Say what went wrong with a call and return the exit code: err of http_call, else the status and error body. */
int cli_complain(const struct http_server *s, const char *job, int err, const struct http_reply *r);
/* GET path and parse it. 0, or the exit code after complaining (quietly when quiet). */
int cli_get_json(const struct http_server *s, const char *job, const char *path, int64_t timeout_us,
                 int quiet, struct json_tree **ret_root);

/* Exit code of a terminal state by its full name; CLI_EXIT_CANNOT for others. */
int cli_exit_of_state(const char *state);
/* "TRAINING_JOB_FAILED" -> "FAILED"; borrowed. */
const char *cli_short_state(const char *state);
/* 12345 -> "12,345". Returns out. */
char *cli_thousands(uint64_t v, char out[32]);

/* SIGINT, SIGTERM, SIGHUP end the wait: cli_interrupted() is the signal, cli_wake_fd() becomes readable. SIGPIPE is ignored. */
void cli_catch_signals(void);
int cli_interrupted(void);
int cli_wake_fd(void);
/* The terminal's signals, too: SIGWINCH and SIGTSTP wake, and are done by who takes them. */
void cli_catch_terminal_signals(void);
enum cli_signal { CLI_SIGNAL_RESIZED = 1, CLI_SIGNAL_STOP = 2 };
/* What came since the last call, as bits; cli_wake_fd() is no longer readable for it. */
unsigned cli_take_signals(void);
/* Stop as SIGTSTP would have; returns when somebody says go on. */
void cli_suspend(void);
/* All of it to fd. ERR_CLOSED: the reader has gone; ERR_CANCELLED: interrupted, and it does not go at
 * once; ERR_IO (was said). */
int cli_write(int fd, const void *data, size_t len);
/* A whole document to stdout, made safe when that is a terminal. As cli_write. */
int cli_print(const void *data, size_t len);
/* The same of rows that have colours, which stay. */
int cli_print_colored(const void *data, size_t len);
/* The reader of stdout has gone: end as SIGPIPE would, or well when it was a pager. */
_Noreturn void cli_die_of_pipe(void);

struct term;
/* One alert as a row for people, newline included: joblog events, joblog rules test. */
void cli_alert_row(struct buf *out, const struct term *t, const struct json_tree *alert);

/* The '=' of a --label K=V, K not empty; NULL after saying what is wrong with it. */
const char *cli_label_value(const char *text);
/* &label.K=V for each of them. ERR_INVALID after saying which is none. */
int cli_label_args(struct buf *path, const struct args_list *labels);

#endif

#!/bin/sh
# scripts/man-joblogd.sh -- joblogd(8) on stdout; the options come from the program itself.
set -eu
cat <<'PAGE'
.TH JOBLOGD 8 "" joblog "System Administration"
.SH NAME
joblogd \- the log of a training job, live and for ever
.SH SYNOPSIS
.B joblogd
.RB [ \-\-config
.IR FILE ]
.RI [ OPTION ]...
.SH DESCRIPTION
Takes log lines and state changes of training jobs over HTTP and WebSocket into Redis streams, fans
them out to everyone who follows, and settles them into zstd archives. One process, one port; it
starts and supervises its own redis-server unless
.B \-\-redis
names another.
.PP
Every option is a flag, a variable and a line of the configuration file; flags beat variables beat the file.
.SH OPTIONS
PAGE
"${B:-build}/joblogd" --print-man-options
cat <<'PAGE'
.SH SIGNALS
.B SIGTERM
and
.B SIGINT
drain: no new connections, what was taken is finished, followers are told to reconnect (1012), exit 0. A second signal ends at once.
.SH EXIT STATUS
0 after a drain, 1 when it could not start, 2 for bad options.
.SH FILES
.I DATA/joblogd.lock
one instance per data directory;
.I DATA/redis
the embedded Redis;
.I DATA/archive/PROJECT/JOB
segments.
.SH SEE ALSO
.BR joblog (1)
PAGE

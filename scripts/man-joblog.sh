#!/bin/sh
# scripts/man-joblog.sh -- joblog(1) on stdout; the commands' texts come from the program's own --help.
set -eu
joblog=${B:-build}/joblog
literal() { echo .nf; sed 's/\\/\\\\/g; s/-/\\-/g; s/^\./\\\&./; s/^'"'"'/\\\&'"'"'/'; echo .fi; }
cat <<'PAGE'
.TH JOBLOG 1 "" joblog "User Commands"
.SH NAME
joblog \- run, ship, follow and read the logs of training jobs
.SH SYNOPSIS
.B joblog
.I COMMAND
.RI [ OPTION ]...
.SH DESCRIPTION
Talks to a joblogd over HTTP and WebSocket.
PAGE
"$joblog" --help | literal
echo '.SH COMMANDS'
for command in run ship tail logs jobs show state rm completion; do
  echo ".SS $command"
  "$joblog" "$command" --help | literal
done
cat <<'PAGE'
.SH EXIT STATUS
.B tail
and
.B logs \-f
0 COMPLETED, 1 FAILED, 2 usage, 3 STOPPED, 4 DEPLOY_FAILED, 5 the tail ended incomplete or could not go on, 130 interrupted.
.B run
exits as its command did (128 and the signal's number when it was killed).
The others: 0, 1 when the server refused, 2 usage, 5 when the server could not be reached.
.SH SEE ALSO
.BR joblogd (8)
PAGE

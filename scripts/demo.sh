#!/bin/bash
# scripts/demo.sh -- start joblogd on a free port, run the sample job on 8 ranks, follow it to its end.
#
# The exit code of the demo is 0 when the job failed as it should (tail's exit code 1).
set -eu
cd "$(dirname "$0")/.."
b=${B:-build} ranks=8 job=demo
data=$(mktemp -d /tmp/joblog-demo.XXXXXX)
log=$data/joblogd.log
"$b/joblogd" --listen 127.0.0.1:0 --data "$data" --log-format json 2>"$log" &
server=$!
finish() {
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  rm -rf "$data"
}
trap finish EXIT
deadline=$((SECONDS + 20))
until address=$(sed -n 's/.*"msg":"listening".*"address":"\([^"]*\)".*/\1/p' "$log") && [ -n "$address" ] &&
      curl -fsS -o /dev/null "http://$address/readyz" 2>/dev/null; do
  if [ $SECONDS -ge $deadline ] || ! kill -0 "$server" 2>/dev/null; then
    echo "joblogd did not come up:" >&2; cat "$log" >&2; exit 1
  fi
  read -rt 0.1 <> <(:) || true
done
export JOBLOG_URL=http://$address
echo "joblogd serves $JOBLOG_URL (its own Redis inside, data in $data)"
echo "\$ joblog tail $job          # and in the background: joblog run --job $job --ranks $ranks -- sample_job.py, 8 times"
echo
"$b/joblog" state "$job" CREATED >/dev/null 2>&1 || curl -fsS -o /dev/null -X POST "$JOBLOG_URL/v1/jobs" -d "{\"id\":\"$job\",\"ranks\":$ranks}"
pids=()
for rank in $(seq 0 $((ranks - 1))); do
  RANK=$rank WORLD_SIZE=$ranks "$b/joblog" run --job "$job" --ranks "$ranks" -- \
    python3 scripts/sample_job.py >/dev/null 2>&1 &
  pids+=($!)
done
code=0
"$b/joblog" tail "$job" -n all || code=$?
for p in "${pids[@]}"; do wait "$p" || true; done
echo
echo "tail ended with exit code $code (1: the job failed)"
echo
echo "Which rank failed first, and why? \$ joblog why $job"
echo
"$b/joblog" why "$job" --no-pager --color auto
echo
echo "The same over HTTP:  curl -N $JOBLOG_URL/v1/jobs/$job/tail  and  …/postmortem   (\`make run\` starts a service that stays)"
[ "$code" = 1 ]

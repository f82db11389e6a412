-- stream/script.lua -- every change of one job, atomically. Ops, keys and fields: docs/format-redis.md.
--
-- KEYS log meta prod rank   ARGV op bell ...
-- op may carry what the node knows the log to hold, "append 812 1764…": a seq, and the epoch it was seen in (0: any).
-- Numbers stay below 2^53 (C sees to it); producer epochs may be any u64 and are compared as text.
-- Checks come before the first write: a refused op changes nothing but a counter.
local LOG, META, PROD, RANK = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local OP, FLOOR, FLOOR_EPOCH = string.match(ARGV[1], '^(%S+) ?(%d*) ?(%d*)$')
local BELL = ARGV[2]
local MISSING_MAX = 1024
local call = redis.call

local function int(n) return string.format('%.0f', n) end
local function num(s) return s and tonumber(s) or 0 end

-- Redis asks about maxmemory at a script's first write only. HDEL is let through always, so after it
-- small bookkeeping (seal, state, archive marks) works in a full Redis too.
local function even_when_full() call('HDEL', META, '-') end

-- a < b for canonical decimals of any length
local function older(a, b)
  if #a ~= #b then return #a < #b end
  return a < b
end

local function ring(text) call('PUBLISH', BELL, text) end

-- Redis holds less than the node knows: history was lost, and a number must not be given a second time. nil when not so.
-- A job that is gone has lost nothing that was seen of it (it was deleted), unless the archive has it.
local function went_back(seq, epoch)
  if FLOOR == '' or (FLOOR_EPOCH ~= '0' and FLOOR_EPOCH ~= epoch) or num(seq) >= tonumber(FLOOR) then return nil end
  return { 'BACK', seq or '0', epoch or '0' }
end

-- ---- receive times: no two records of a job share a nanosecond (docs/format-redis.md) ----
-- The earliest time the next frame may have. A log without the field was written before it was kept.
local function recv_floor(next_us, seq, updated_us)
  if next_us then return tonumber(next_us) end
  return tonumber(seq) > 0 and num(updated_us) + 5 or 0
end

local function recv_span(count) return math.ceil(count / 1000) end

-- The header with its time moved on.
local function recv_shift(h, by_us)
  if by_us == 0 then return h end
  local head, recv, rest = string.match(h, '^(%d+ %d+ )(%d+)(.*)$')
  return head .. int(tonumber(recv) + by_us) .. rest
end

-- ---- producers: "epoch last rank fin[ fin_us[/exit_code/signal]]" ----
local function producer_get(pid)
  local v = call('HGET', PROD, pid)
  if not v then return nil end
  local epoch, last, rank, fin, how = string.match(v, '^(%d+) (%d+) (-?%d+) (%S+) ?(%S*)$')
  return { epoch = epoch, last = tonumber(last), rank = rank, fin = fin, how = how }
end

local function producer_set(pid, p)
  local how = p.how and p.how ~= '' and ' ' .. p.how or ''
  call('HSET', PROD, pid, p.epoch .. ' ' .. int(p.last) .. ' ' .. p.rank .. ' ' .. p.fin .. how)
end

local function producer_done(p)
  return p ~= nil and p.fin ~= '-' and p.last >= tonumber(p.fin)
end

-- nprod and nfin after `before` (nil: new) became `after`
local function producer_count(was_there, was_done, after)
  if not was_there then call('HINCRBY', META, 'nprod', 1) end
  local is_done = producer_done(after)
  if is_done ~= was_done then call('HINCRBY', META, 'nfin', is_done and 1 or -1) end
end

-- ---- sealing ----
local function list_missing(ranks)
  local missing, seen, seen_count, nameless = {}, {}, 0, 0
  local function see(rank)
    local r = tonumber(rank)
    if r >= 0 and r < ranks and not seen[r] then seen[r] = true; seen_count = seen_count + 1 end
  end
  local all = call('HGETALL', PROD)
  for i = 1, #all, 2 do
    local _, last, rank, fin = string.match(all[i + 1], '^(%d+) (%d+) (-?%d+) (%S+)')
    if fin == '-' or tonumber(last) < tonumber(fin) then table.insert(missing, all[i]) end
    if rank == '-1' then nameless = nameless + 1 else see(rank) end
  end
  table.sort(missing)
  if ranks > 0 then
    for _, rank in ipairs(call('HKEYS', RANK)) do see(rank) end
    local lacking = ranks - seen_count - nameless
    for r = 0, ranks - 1 do
      if lacking <= 0 then break end
      if not seen[r] then table.insert(missing, 'rank ' .. int(r)); lacking = lacking - 1 end
    end
  end
  return missing
end

-- 1 when the job is sealed after this
local function try_seal(now, deadline_over)
  local m = call('HMGET', META, 'ended_us', 'sealed', 'nprod', 'nfin', 'ranks', 'anon', 'seq', 'rebuilt')
  if m[2] then return 1 end
  if not m[1] then return 0 end
  local nprod, nfin, ranks = num(m[3]), num(m[4]), num(m[5])
  local all_said
  if nprod > 0 or ranks > 0 then all_said = nfin == nprod and nfin >= ranks else all_said = num(m[6]) == 0 end
  if m[8] then all_said = false end
  if not all_said and not deadline_over then return 0 end
  local missing = all_said and {} or list_missing(ranks)
  if m[8] then table.insert(missing, 'producers of before the rebuild') end
  local quoted = {}
  for i = 1, math.min(#missing, MISSING_MAX) do quoted[i] = '"' .. missing[i] .. '"' end
  call('HSET', META, 'sealed', '1', 'sealed_seq', m[7], 'sealed_us', now,
    'complete', #missing == 0 and '1' or '0', 'missing', '[' .. table.concat(quoted, ',') .. ']')
  ring('S' .. m[7])
  return 1
end

-- ---- creation ----
-- run, in which history of Redis the log is known to be whole (stream/witness.h), must be there before another node can ask: so
-- it is not left to the node's next command.
local function create(now, state)
  call('HSET', META, 'epoch', now, 'seq', '0', 'state', state, 'created_us', now, 'updated_us', now,
    'hist', '1', 'h1', state .. ' ' .. now .. ' 0 - -1 ', 'recv_next_us', now,
    'run', string.match(call('INFO', 'replication'), 'master_replid:(%x+)') or '')
  if state == 'RUNNING' then call('HSET', META, 'started_us', now) end
end

-- Record 1 of a job that does not begin with lines: the state it begins in.
local function first_record(now, state, h, d)
  call('XADD', LOG, '1-0', 'h', h, 'd', d)
  call('HSET', META, 'seq', '1', 'h1', state .. ' ' .. now .. ' 1 - -1 ', 'recv_next_us', int(tonumber(now) + 1))
end

-- ---- append ----
-- by_us moves the times of all frames on; span is what they take together.
local function store_frames(at, seq, by_us)
  local nframes, span = tonumber(ARGV[at]), 0
  for i = 0, nframes - 1 do
    local f = at + 1 + i * 3
    local count = tonumber(ARGV[f + 2])
    seq = seq + count
    span = span + recv_span(count)
    call('XADD', LOG, int(seq) .. '-0', 'h', recv_shift(ARGV[f], by_us), 'd', ARGV[f + 1])
  end
  return seq, span
end

-- last_seq is that of the batch: exact when the batch is of one rank. Two calls whatever the number of ranks.
local function count_ranks(at, seq, recv_us)
  local nranks = tonumber(ARGV[at])
  if nranks == 0 then return end
  local names, after = {}, {}
  for i = 1, nranks do names[i] = ARGV[at + i * 3 - 2] end
  local held = call('HMGET', RANK, unpack(names))
  for i = 1, nranks do
    local lines = held[i] and tonumber(string.match(held[i], '^%d+')) or 0
    after[i * 2 - 1] = names[i]
    after[i * 2] = int(lines + tonumber(ARGV[at + i * 3 - 1])) .. ' ' .. seq .. ' ' .. ARGV[at + i * 3] .. ' ' .. recv_us
  end
  call('HSET', RANK, unpack(after))
end

-- held: l0 and on as read, from m[at]; what changes is added to the fields of an HSET.
local function count_levels(set, text, m, at)
  local level = 0
  for count in string.gmatch(text, '%d+') do
    if count ~= '0' then
      set[#set + 1] = 'l' .. level
      set[#set + 1] = int(num(m[at + level]) + tonumber(count))
    end
    level = level + 1
  end
end

-- Where the batch stands against what is held: nil to store it, else the answer.
local function check_producer(p, epoch, first, last, lines, is_gap)
  if p and older(epoch, p.epoch) then return { 'FENCED', p.epoch, p.last } end
  local held = p and p.epoch == epoch and p.last or 0
  if lines == 0 or last <= held then return nil end
  if first > held + 1 then
    even_when_full()
    call('HINCRBY', META, 'gaps', 1)
    return { 'GAP', held + 1 }
  end
  if first <= held and not is_gap then return { 'CUT', held } end
  return nil
end

local function append()
  local now, may_create, pid, epoch, first, last, is_gap, fin, recv_us, lines, bytes, levels = unpack(ARGV, 3, 14)
  local created = 0
  local how
  first, last, lines = tonumber(first), tonumber(last), tonumber(lines)
  fin, how = string.match(fin, '^([^/]+)(.*)$') -- "600/137/9": the exit code and signal of its process
  local m = call('HMGET', META, 'seq', 'state', 'sealed', 'epoch', 'lines', 'bytes', 'batches', 'anon', 'ended_us',
    'recv_next_us', 'updated_us', 'l0', 'l1', 'l2', 'l3', 'l4', 'l5', 'l6', 'l7')
  local back = went_back(m[1], m[4])
  if back then return back end
  if not m[1] and may_create ~= '1' then return { 'NEED_INDEX' } end
  local p = pid ~= '' and producer_get(pid) or nil
  local same = p and p.epoch == epoch
  local held = same and p.last or 0
  local repeated = pid ~= '' and lines > 0 and last <= held
  if m[3] and not repeated and not (lines == 0 and same) then
    even_when_full()
    if lines > 0 then call('HINCRBY', META, 'refused', lines) end
    return { 'SEALED', m[2] }
  end
  if pid ~= '' then
    local answer = check_producer(p, epoch, first, last, lines, is_gap == '1')
    if answer then return answer end
  end
  if not m[1] then
    create(now, 'RUNNING')
    created = 1
    m = { '0', 'RUNNING', false, now, false, false, false, false, false, now, now }
  end
  local at_us = 0
  local word, old_seq, seq, accepted, duplicates = 'OK', tonumber(m[1]), tonumber(m[1]), 0, 0
  if repeated then
    word, duplicates = 'DUP', lines
    even_when_full()
    call('HINCRBY', META, 'duplicates', lines)
  elseif lines > 0 then
    local frames_at, span = 16 + tonumber(ARGV[15]) * 3, 0
    local given_us = tonumber(recv_us)
    at_us = math.max(given_us, recv_floor(m[10], old_seq, m[11]))
    seq, span = store_frames(frames_at, seq, at_us - given_us)
    accepted = lines
    count_ranks(15, int(seq), int(at_us))
    local set = { 'seq', int(seq), 'updated_us', now, 'recv_next_us', int(at_us + span), 'lines', int(num(m[5]) + lines),
      'bytes', int(num(m[6]) + tonumber(bytes)), 'batches', int(num(m[7]) + 1),
      'anon', int(num(m[8]) + (pid == '' and lines or 0)) }
    count_levels(set, levels, m, 12)
    call('HSET', META, unpack(set))
  end
  if pid ~= '' and not m[3] then
    local after = { epoch = epoch, last = repeated and held or math.max(last, held), rank = ARGV[#ARGV], fin = '-' }
    if lines == 0 then after.last = held end
    if p and after.rank == '-1' then after.rank = p.rank end
    if same then after.fin, after.how = p.fin, p.how end
    if fin ~= '-' and fin ~= after.fin then after.fin, after.how = fin, recv_us .. how end
    if not repeated or after.fin ~= p.fin then
      even_when_full()
      local was_done = producer_done(p)
      producer_set(pid, after)
      producer_count(p ~= nil, was_done, after)
    end
    held = after.last
  end
  if seq > old_seq or created == 1 then ring(int(seq)) end
  local sealed = m[9] and not m[3] and try_seal(now, false) or 0
  return { word, seq > old_seq and old_seq + 1 or 0, seq > old_seq and seq or 0, accepted, duplicates, held, m[2], sealed,
    created, m[4], int(at_us) }
end

-- Redis runs this text from the top at every call: the op that counts goes before the others are made.
if OP == 'append' then return append() end

local ops = {}

function ops.create()
  local now, may_create, state, ranks, name, labels, extra, h, d = unpack(ARGV, 3)
  if call('EXISTS', META) == 1 then return { 'OK', 0 } end
  if may_create ~= '1' then return { 'NEED_INDEX' } end
  create(now, state)
  if tonumber(ranks) > 0 then call('HSET', META, 'ranks', ranks) end
  if name ~= '' then call('HSET', META, 'name', name) end
  if labels ~= '' then call('HSET', META, 'labels', labels) end
  if extra ~= '' then call('HSET', META, 'extra', extra) end
  first_record(now, state, h, d)
  ring('1')
  return { 'OK', 1 }
end

function ops.hello()
  local now, may_create, pid, epoch, rank, ranks, stop_grace_us, h, d = unpack(ARGV, 3)
  local created = 0
  local m = call('HMGET', META, 'state', 'sealed', 'ranks', 'epoch', 'stop_grace_us')
  if not m[1] then
    if may_create ~= '1' then return { 'NEED_INDEX' } end
    create(now, 'RUNNING')
    first_record(now, 'RUNNING', h, d)
    ring('1')
    created = 1
    m = { 'RUNNING', false, false, now, false }
  end
  local p = producer_get(pid)
  local sealed = m[2] and 1 or 0
  if p and older(epoch, p.epoch) then return { 'FENCED', p.epoch, p.last, m[1], sealed, created, m[4] } end
  if sealed == 1 then
    local held = p and p.epoch == epoch and p.last or 0
    return { 'OK', epoch, held, m[1], 1, created, m[4] }
  end
  if tonumber(ranks) > num(m[3]) then call('HSET', META, 'ranks', ranks) end
  if tonumber(stop_grace_us) > num(m[5]) then call('HSET', META, 'stop_grace_us', stop_grace_us) end
  local was_done = producer_done(p)
  local after = { epoch = epoch, last = 0, rank = rank, fin = '-' }
  if p and rank == '-1' then after.rank = p.rank end
  if p and p.epoch == epoch then after.last, after.fin, after.how = p.last, p.fin, p.how end
  producer_set(pid, after)
  producer_count(p ~= nil, was_done, after)
  return { 'OK', epoch, after.last, m[1], 0, created, m[4] }
end

-- ---- states ----
function ops.state()
  local now, to, allowed, terminal, drain_us, at_us, rank, exit_code, message, h, d = unpack(ARGV, 3)
  local m = call('HMGET', META, 'state', 'seq', 'hist', 'started_us', 'epoch', 'recv_next_us', 'updated_us', 'stop_grace_us')
  local from = m[1]
  if not from then return { 'GONE' } end
  if from == to then return { 'REPEAT', from, m[2] } end
  if not string.find(allowed, ',' .. from .. ',', 1, true) then return { 'BAD', from } end
  local seq, hist = tonumber(m[2]) + 1, tonumber(m[3]) + 1
  local drain_until = 0
  local recv_us = math.max(tonumber(now), recv_floor(m[6], m[2], m[7]))
  even_when_full()
  call('XADD', LOG, int(seq) .. '-0', 'h', recv_shift(h, recv_us - tonumber(now)), 'd', d)
  call('HSET', META, 'state', to, 'seq', int(seq), 'updated_us', now, 'recv_next_us', int(recv_us + 1), 'hist', int(hist),
    'h' .. int(hist), to .. ' ' .. at_us .. ' ' .. int(seq) .. ' ' .. exit_code .. ' ' .. rank .. ' ' .. message)
  if to == 'RUNNING' and not m[4] then call('HSET', META, 'started_us', at_us) end
  if terminal == '1' then
    local drain = tonumber(drain_us)
    if to == 'STOPPED' then drain = drain + num(m[8]) end
    drain_until = tonumber(now) + drain
    call('HSET', META, 'ended_us', at_us, 'drain_until_us', int(drain_until), 'drain_us', int(drain))
    if exit_code ~= '-' then call('HSET', META, 'exit_code', exit_code) end
    if message ~= '' and (to == 'FAILED' or to == 'DEPLOY_FAILED') then
      call('HSET', META, 'error_message', message)
    end
  end
  ring(int(seq))
  if to == 'STOPPED' then call('PUBLISH', 'jl:stops', string.match(BELL, '{(.-)}')) end
  return { 'OK', seq, from, try_seal(now, false), drain_until, m[5], int(recv_us) }
end

-- ARGV now_us, clock_slack_us: more than that left above the whole drain time means that the clock was set back meanwhile; the
-- drain time then begins anew, for nobody waits a year for the end of a job.
function ops.seal()
  local now, slack = ARGV[3], ARGV[4]
  local m = call('HMGET', META, 'state', 'ended_us', 'sealed', 'sealed_seq', 'drain_until_us', 'drain_us')
  if not m[1] then return { 'GONE' } end
  if m[3] then return { 'SEALED', m[4] } end
  if not m[2] then return { 'LIVE' } end
  even_when_full()
  if m[6] and num(m[5]) - tonumber(now) > num(m[6]) + tonumber(slack) then
    m[5] = int(tonumber(now) + num(m[6]))
    call('HSET', META, 'drain_until_us', m[5])
  end
  if try_seal(now, tonumber(now) >= num(m[5])) == 0 then return { 'LATER', m[5] } end
  return { 'SEALED', call('HGET', META, 'sealed_seq') }
end

-- ---- reading, archive marks, life of the log ----
function ops.get()
  local meta = call('HGETALL', META)
  if #meta == 0 then return { 'GONE' } end
  if ARGV[3] ~= '1' then return { 'OK', meta, {}, {} } end
  return { 'OK', meta, call('HGETALL', PROD), call('HGETALL', RANK) }
end

-- A lease that ends later than one taken now by a clock this much ahead was dated before a clock was set back: it is over.
local LEASE_SLACK_US = 60000000

function ops.lease()
  local now, token, lease_us, node = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
  local m = call('HMGET', META, 'state', 'lease', 'lease_until_us', 'lease_node')
  if not m[1] then return { 'GONE' } end
  local held = num(m[2])
  if held ~= token or token == 0 then
    -- A node that was killed takes its own lease back; the new token fences what is left of it.
    local left = num(m[3]) - now
    if left > 0 and left <= lease_us + LEASE_SLACK_US and (node == '' or m[4] ~= node) then return { 'BUSY' } end
    held = math.max(held + 1, now) -- one that Redis has lost is never given out again
  end
  even_when_full()
  call('HSET', META, 'lease', int(held), 'lease_until_us', int(now + lease_us), 'lease_node', node)
  return { 'OK', held }
end

local function first_held(seq)
  local first = call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
  if not first then return seq + 1 end
  local last = tonumber(string.match(first[1], '^%d+'))
  local count = string.match(first[2][2], '^%d+ (%d+)') -- none: a damaged header (stream/read.c)
  return last - (tonumber(count) or 1) + 1
end

-- The time of the next entry that has one, after a damaged header.
local function next_time(id)
  for _, e in ipairs(call('XRANGE', LOG, '(' .. id, '+', 'COUNT', 8)) do
    local recv = string.match(e[2][2], '^%d+ %d+ (%d+)')
    if recv then return recv end
  end
end

-- The entry that holds seq (or the next one): its first record, count and receive time; nil when none.
local function entry_at(seq)
  local e = call('XRANGE', LOG, int(seq) .. '-0', '+', 'COUNT', 1)[1]
  if not e then return nil end
  local count, recv = string.match(e[2][2], '^%d+ (%d+) (%d+)')
  count = tonumber(count) or 1
  if not recv then recv = next_time(e[1]) end
  return tonumber(string.match(e[1], '^%d+')) - count + 1, count, num(recv)
end

-- The last entry received at us or before, found by halving; {} when none is held.
local function entry_before(us, from, to)
  local found = {}
  while from <= to do
    local first, count, recv = entry_at(math.floor((from + to) / 2))
    if first and recv <= us then
      found = { first, count, int(recv) }
      from = first + count
    else
      to = first and first - 1 or from - 1
    end
  end
  return found
end

-- ARGV: close, then pairs t us | s seq. Closing: what is appended from now on is of a later millisecond
-- than all that is there.
function ops.place()
  local m = call('HMGET', META, 'epoch', 'seq', 'sealed', 'recv_next_us', 'updated_us')
  if not m[1] then return { 'GONE' } end
  local seq = tonumber(m[2])
  local held = first_held(seq)
  local answer = { 'OK', m[1], m[2], held }
  for i = 4, #ARGV, 2 do
    local v = tonumber(ARGV[i + 1])
    if ARGV[i] == 't' then
      table.insert(answer, entry_before(v, held, seq))
    else
      local first, count, recv = entry_at(v)
      table.insert(answer, first and first <= v and { first, count, int(recv) } or {})
    end
  end
  if ARGV[3] == '1' and not m[3] then
    local floor_us = recv_floor(m[4], seq, m[5])
    local next_ms_us = (math.floor((floor_us - 1) / 1000) + 1) * 1000
    if next_ms_us > floor_us then
      even_when_full()
      call('HSET', META, 'recv_next_us', int(next_ms_us))
    end
  end
  return answer
end

function ops.archived()
  local token, upto, trim_upto, cold, epoch = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], ARGV[8]
  local m = call('HMGET', META, 'state', 'lease', 'seq', 'archived_upto', 'sealed', 'trimmed_upto', 'epoch')
  if not m[1] then return { 'GONE' } end
  if num(m[2]) ~= token then return { 'FENCED' } end
  -- Read in another epoch: records of these numbers may have been lost and given out anew meanwhile. What archived_upto covers
  -- the log was restored from.
  if m[7] ~= epoch and num(m[4]) < upto then return { 'RESET' } end
  local seq, trimmed = tonumber(m[3]), num(m[6])
  local archived = math.max(num(m[4]), math.min(upto, seq))
  even_when_full()
  call('HSET', META, 'archived_upto', int(archived))
  trim_upto = math.min(trim_upto, archived)
  if trim_upto > trimmed then
    call('XTRIM', LOG, 'MINID', '=', int(trim_upto + 1) .. '-0')
    trimmed = first_held(seq) - 1
    call('HSET', META, 'trimmed_upto', int(trimmed))
  end
  local is_cold = cold == '1' and m[5] and archived == seq
  if is_cold then call('HDEL', META, 'lease_until_us') end
  return { 'OK', archived, trimmed, is_cold and 1 or 0 }
end

-- Records were lost, or the whole job. Where the archive (past_seq > 0) holds more, the hashes become what they were at
-- past_seq and the log goes on after it; else only the epoch changes, if it is still old_epoch.
-- ARGV now old_epoch past_seq past_epoch recv_next_us drain_until, then meta, prod, rank: count {field value}…
function ops.restore()
  local now, old_epoch, past_seq, past_epoch, recv_next, drain_until = unpack(ARGV, 3, 8)
  local m = call('HMGET', META, 'seq', 'epoch')
  local epoch = int(math.max(num(m[2]) + 1, tonumber(past_epoch) + 1, tonumber(now)))
  if m[1] and tonumber(m[1]) >= tonumber(past_seq) then
    if m[2] ~= old_epoch then return { 'OK', m[2], m[1], 0, 0, m[1], 0 } end
    even_when_full()
    call('HSET', META, 'epoch', epoch)
    ring('E' .. epoch)
    return { 'OK', epoch, m[1], 0, 1, m[1], 0 }
  end
  if past_seq == '0' then return { 'GONE' } end
  even_when_full()
  call('DEL', LOG, META, PROD, RANK)
  local at = 9
  for _, key in ipairs({ META, PROD, RANK }) do
    local count = tonumber(ARGV[at])
    for i = 1, count do call('HSET', key, ARGV[at + 2 * i - 1], ARGV[at + 2 * i]) end
    at = at + 1 + 2 * count
  end
  call('HSET', META, 'epoch', epoch, 'lease', now, 'recv_next_us', int(math.max(tonumber(recv_next), tonumber(now))))
  ring('E' .. epoch)
  return { 'OK', epoch, past_seq, 1, 0, m[1] or '0', drain_until }
end

function ops.delete()
  local existed = call('DEL', META)
  call('DEL', LOG, PROD, RANK, (string.gsub(LOG, ':log$', ':node')))
  ring('D')
  return { 'OK', existed }
end

local GUARDED = { create = 1, hello = 1, state = 1, seal = 1, lease = 1, archived = 1 }
if GUARDED[OP] and FLOOR ~= '' then
  local m = call('HMGET', META, 'seq', 'epoch')
  local back = went_back(m[1], m[2])
  if back then return back end
end
return ops[OP]()

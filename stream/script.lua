-- stream/script.lua -- every change of one job, atomically. Ops, keys and fields: docs/format-redis.md.
--
-- KEYS log meta prod rank   ARGV op bell ...
-- Numbers stay below 2^53 (C sees to it); producer epochs may be any u64 and are compared as text.
-- Checks come before the first write: a refused op changes nothing but a counter.
local LOG, META, PROD, RANK = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local OP, BELL = ARGV[1], ARGV[2]
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

-- ---- producers: "epoch last rank fin" ----
local function producer_get(pid)
  local v = call('HGET', PROD, pid)
  if not v then return nil end
  local epoch, last, rank, fin = string.match(v, '^(%d+) (%d+) (-?%d+) (%S+)$')
  return { epoch = epoch, last = tonumber(last), rank = rank, fin = fin }
end

local function producer_set(pid, p)
  call('HSET', PROD, pid, p.epoch .. ' ' .. int(p.last) .. ' ' .. p.rank .. ' ' .. p.fin)
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
    local _, last, rank, fin = string.match(all[i + 1], '^(%d+) (%d+) (-?%d+) (%S+)$')
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
  local m = call('HMGET', META, 'ended_us', 'sealed', 'nprod', 'nfin', 'ranks', 'anon', 'seq')
  if m[2] then return 1 end
  if not m[1] then return 0 end
  local nprod, nfin, ranks = num(m[3]), num(m[4]), num(m[5])
  local all_said
  if nprod > 0 or ranks > 0 then all_said = nfin == nprod and nfin >= ranks else all_said = num(m[6]) == 0 end
  if not all_said and not deadline_over then return 0 end
  local missing = all_said and {} or list_missing(ranks)
  local quoted = {}
  for i = 1, math.min(#missing, MISSING_MAX) do quoted[i] = '"' .. missing[i] .. '"' end
  call('HSET', META, 'sealed', '1', 'sealed_seq', m[7], 'sealed_us', now,
    'complete', #missing == 0 and '1' or '0', 'missing', '[' .. table.concat(quoted, ',') .. ']')
  ring('S' .. m[7])
  return 1
end

-- ---- creation ----
local function create(now, state)
  call('HSET', META, 'epoch', now, 'seq', '0', 'state', state, 'created_us', now, 'updated_us', now,
    'hist', '1', 'h1', state .. ' ' .. now .. ' 0 - -1 ')
  if state == 'RUNNING' then call('HSET', META, 'started_us', now) end
end

-- ---- append ----
local function store_frames(at, seq)
  local nframes = tonumber(ARGV[at])
  for i = 0, nframes - 1 do
    local f = at + 1 + i * 3
    seq = seq + tonumber(ARGV[f + 2])
    call('XADD', LOG, int(seq) .. '-0', 'h', ARGV[f], 'd', ARGV[f + 1])
  end
  return seq
end

-- last_seq is that of the batch: exact when the batch is of one rank
local function count_ranks(at, seq, recv_us)
  local nranks = tonumber(ARGV[at])
  for i = 0, nranks - 1 do
    local f = at + 1 + i * 3
    local held = call('HGET', RANK, ARGV[f])
    local lines = held and tonumber(string.match(held, '^%d+')) or 0
    call('HSET', RANK, ARGV[f],
      int(lines + tonumber(ARGV[f + 1])) .. ' ' .. int(seq) .. ' ' .. ARGV[f + 2] .. ' ' .. recv_us)
  end
  return at + 1 + nranks * 3
end

local function count_levels(text)
  local level = 0
  for count in string.gmatch(text, '%d+') do
    if count ~= '0' then call('HINCRBY', META, 'l' .. level, count) end
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
  first, last, lines = tonumber(first), tonumber(last), tonumber(lines)
  local m = call('HMGET', META, 'seq', 'state', 'sealed', 'epoch', 'lines', 'bytes', 'batches', 'anon', 'ended_us')
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
    m = { '0', 'RUNNING', false, now, false, false, false, false, false }
  end
  local word, old_seq, seq, accepted, duplicates = 'OK', tonumber(m[1]), tonumber(m[1]), 0, 0
  if repeated then
    word, duplicates = 'DUP', lines
    even_when_full()
    call('HINCRBY', META, 'duplicates', lines)
  elseif lines > 0 then
    local frames_at = 16 + tonumber(ARGV[15]) * 3
    seq = store_frames(frames_at, seq)
    accepted = lines
    count_ranks(15, seq, recv_us)
    count_levels(levels)
    call('HSET', META, 'seq', int(seq), 'updated_us', now, 'lines', int(num(m[5]) + lines),
      'bytes', int(num(m[6]) + tonumber(bytes)), 'batches', int(num(m[7]) + 1),
      'anon', int(num(m[8]) + (pid == '' and lines or 0)))
  end
  if pid ~= '' and not m[3] then
    local after = { epoch = epoch, last = repeated and held or math.max(last, held), rank = ARGV[#ARGV], fin = '-' }
    if lines == 0 then after.last = held end
    if p and after.rank == '-1' then after.rank = p.rank end
    if same then after.fin = p.fin end
    if fin ~= '-' then after.fin = fin end
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
    created, m[4] }
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
  if h then
    call('XADD', LOG, '1-0', 'h', h, 'd', d)
    call('HSET', META, 'seq', '1', 'h1', state .. ' ' .. now .. ' 1 - -1 ')
  end
  ring(h and '1' or '0')
  return { 'OK', 1 }
end

function ops.hello()
  local now, may_create, pid, epoch, rank, ranks = unpack(ARGV, 3)
  local created = 0
  local m = call('HMGET', META, 'state', 'sealed', 'ranks', 'epoch')
  if not m[1] then
    if may_create ~= '1' then return { 'NEED_INDEX' } end
    create(now, 'RUNNING')
    ring('0')
    created = 1
    m = { 'RUNNING', false, false, now }
  end
  local p = producer_get(pid)
  local sealed = m[2] and 1 or 0
  if p and older(epoch, p.epoch) then return { 'FENCED', p.epoch, p.last, m[1], sealed, created, m[4] } end
  if sealed == 1 then
    local held = p and p.epoch == epoch and p.last or 0
    return { 'OK', epoch, held, m[1], 1, created, m[4] }
  end
  if tonumber(ranks) > num(m[3]) then call('HSET', META, 'ranks', ranks) end
  local was_done = producer_done(p)
  local after = { epoch = epoch, last = 0, rank = rank, fin = '-' }
  if p and rank == '-1' then after.rank = p.rank end
  if p and p.epoch == epoch then after.last = p.last; after.fin = p.fin end
  producer_set(pid, after)
  producer_count(p ~= nil, was_done, after)
  return { 'OK', epoch, after.last, m[1], 0, created, m[4] }
end

-- ---- states ----
function ops.state()
  local now, to, allowed, terminal, drain_us, at_us, rank, exit_code, message, h, d = unpack(ARGV, 3)
  local m = call('HMGET', META, 'state', 'seq', 'hist', 'started_us', 'epoch')
  local from = m[1]
  if not from then return { 'GONE' } end
  if from == to then return { 'REPEAT', from, m[2] } end
  if not string.find(allowed, ',' .. from .. ',', 1, true) then return { 'BAD', from } end
  local seq, hist = tonumber(m[2]) + 1, tonumber(m[3]) + 1
  local drain_until = 0
  even_when_full()
  call('XADD', LOG, int(seq) .. '-0', 'h', h, 'd', d)
  call('HSET', META, 'state', to, 'seq', int(seq), 'updated_us', now, 'hist', int(hist),
    'h' .. int(hist), to .. ' ' .. at_us .. ' ' .. int(seq) .. ' ' .. exit_code .. ' ' .. rank .. ' ' .. message)
  if to == 'RUNNING' and not m[4] then call('HSET', META, 'started_us', at_us) end
  if terminal == '1' then
    drain_until = tonumber(now) + tonumber(drain_us)
    call('HSET', META, 'ended_us', at_us, 'drain_until_us', int(drain_until))
    if exit_code ~= '-' then call('HSET', META, 'exit_code', exit_code) end
    if message ~= '' and (to == 'FAILED' or to == 'DEPLOY_FAILED') then
      call('HSET', META, 'error_message', message)
    end
  end
  ring(int(seq))
  return { 'OK', seq, from, try_seal(now, false), drain_until, m[5] }
end

function ops.seal()
  local now = ARGV[3]
  local m = call('HMGET', META, 'state', 'ended_us', 'sealed', 'sealed_seq', 'drain_until_us')
  if not m[1] then return { 'GONE' } end
  if m[3] then return { 'SEALED', m[4] } end
  if not m[2] then return { 'LIVE' } end
  even_when_full()
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

function ops.lease()
  local now, token, lease_us = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
  local m = call('HMGET', META, 'state', 'lease', 'lease_until_us')
  if not m[1] then return { 'GONE' } end
  local held = num(m[2])
  if held ~= token or token == 0 then
    if num(m[3]) > now then return { 'BUSY' } end
    held = held + 1
  end
  even_when_full()
  call('HSET', META, 'lease', int(held), 'lease_until_us', int(now + lease_us))
  return { 'OK', held }
end

local function first_held(seq)
  local first = call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
  if not first then return seq + 1 end
  local last = tonumber(string.match(first[1], '^%d+'))
  return last - tonumber(string.match(first[2][2], '^%d+ (%d+)')) + 1
end

function ops.archived()
  local token, upto, trim_upto, cold = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]
  local m = call('HMGET', META, 'state', 'lease', 'seq', 'archived_upto', 'sealed', 'trimmed_upto')
  if not m[1] then return { 'GONE' } end
  if num(m[2]) ~= token then return { 'FENCED' } end
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

function ops.reset_epoch()
  local m = call('HMGET', META, 'epoch')
  if not m[1] then return { 'GONE' } end
  if m[1] ~= ARGV[3] then return { 'OK', m[1], 0 } end
  local epoch = int(tonumber(m[1]) + 1)
  even_when_full()
  call('HSET', META, 'epoch', epoch)
  ring('E' .. epoch)
  return { 'OK', epoch, 1 }
end

function ops.delete()
  local existed = call('DEL', META)
  call('DEL', LOG, PROD, RANK)
  ring('D')
  return { 'OK', existed }
end

return ops[OP]()

-- alert/script.lua -- rules, alerts of jobs, the feed and its deliveries: every step atomic. Keys and ops: docs/format-redis.md.
--
-- KEYS[1] one key of the slot worked in: jl:{P/J}:alert (lease commit renew release) or one of jl:{alert}:*
-- ARGV    op …   Times are microseconds; numbers stay below 2^53.
local KEY, OP = KEYS[1], ARGV[1]
local A = 'jl:{alert}:'
local BELL = A .. 'bell'
local call = redis.call

local function int(n) return string.format('%.0f', n) end
local function num(s) return s and tonumber(s) or 0 end

-- As in stream/script.lua: after a HDEL the rest is let through in a full Redis too.
local function even_when_full() call('HDEL', A .. 'queued', '-') end

-- What clocks of nodes may differ by; what lies further ahead was dated before a clock was set back.
local CLOCK_SLACK_US = 60000000

-- ---- alerts of one job ----

-- now token ttl node created -> OK token epoch upto state c n pub {n json}…, BUSY until, DONE, OLD
local function lease()
  local now, token, ttl, node, created = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
  local m = call('HMGET', KEY, 'created', 'done', 'token', 'until', 'epoch', 'upto', 'state', 'c', 'n', 'pub', 'node')
  if m[1] and tonumber(m[1]) > created then return { 'OLD' } end
  if m[1] and tonumber(m[1]) < created then
    call('DEL', KEY)
    m = {}
  end
  if m[2] then return { 'DONE' } end
  local held = m[3] or '0'
  if held ~= token or token == '0' then
    local left = num(m[4]) - now
    if left > 0 and left <= ttl + CLOCK_SLACK_US and m[11] ~= node then return { 'BUSY', m[4] } end
    held = int(tonumber(held) + 1)
  end
  call('HSET', KEY, 'created', int(created), 'token', held, 'until', int(now + ttl), 'node', node)
  call('PEXPIRE', KEY, 2592000000)
  local out = { 'OK', held, m[5] or '', m[6] or '0', m[7] or '', m[8] or '0', m[9] or '0', m[10] or '0' }
  for n = num(m[10]) + 1, num(m[9]) do
    table.insert(out, int(n))
    table.insert(out, call('HGET', KEY, 'p' .. int(n)) or '')
  end
  return out
end

-- now token ttl c epoch upto state pub final {json}… -> OK n, FENCED. c: 1 more than the last one; the same again is a repeat.
local function commit()
  local now, token, ttl, c, epoch, upto, state, pub, final = unpack(ARGV, 2, 10)
  local m = call('HMGET', KEY, 'token', 'c', 'n', 'pub')
  if m[1] ~= token then return { 'FENCED' } end
  if num(m[2]) == tonumber(c) then return { 'OK', num(m[3]) } end
  if num(m[2]) ~= tonumber(c) - 1 then return { 'FENCED' } end
  local n = num(m[3])
  if #ARGV == 10 then call('HDEL', KEY, '-') end -- without alerts it is let through in a full Redis
  for i = 11, #ARGV do
    n = n + 1
    call('HSET', KEY, 'p' .. int(n), ARGV[i])
  end
  for i = num(m[4]) + 1, tonumber(pub) do call('HDEL', KEY, 'p' .. int(i)) end
  call('HSET', KEY, 'epoch', epoch, 'upto', upto, 'state', state, 'c', c, 'n', int(n), 'pub', pub,
    'until', int(tonumber(now) + tonumber(ttl)))
  if final == '1' and tonumber(pub) == n then
    call('HSET', KEY, 'done', '1')
    call('HDEL', KEY, 'state')
    call('PEXPIRE', KEY, 604800000)
  else
    call('PEXPIRE', KEY, 2592000000)
  end
  return { 'OK', n }
end

-- now token ttl pub -> OK, FENCED: the lease lasts longer; alerts up to pub are in the feed
local function renew()
  local now, token, ttl, pub = unpack(ARGV, 2, 5)
  local m = call('HMGET', KEY, 'token', 'pub')
  if m[1] ~= token then return { 'FENCED' } end
  call('HDEL', KEY, '-')
  for i = num(m[2]) + 1, tonumber(pub) do call('HDEL', KEY, 'p' .. int(i)) end
  call('HSET', KEY, 'until', int(tonumber(now) + tonumber(ttl)), 'pub', int(math.max(num(m[2]), tonumber(pub))))
  return { 'OK' }
end

-- token -> OK
local function release()
  if call('HGET', KEY, 'token') == ARGV[2] then call('HDEL', KEY, 'until') end
  return { 'OK' }
end

-- ---- deliveries: a lane is "receiver|project/job", what waits in it "<id> <queued_us> <body>" ----
local QUEUE_MAX, QUEUE_BYTES_MAX = 10000, 67108864 -- of one receiver
local DEAD_MAX, DEAD_BYTES_MAX = 10000, 67108864 -- of all

local function lane_key(lane) return A .. 'lane:' .. lane end
local function receiver_of(lane) return string.match(lane, '^([^|]*)|') end

local function fields_of(e)
  local f = {}
  for k = 1, #e[2], 2 do f[e[2][k]] = e[2][k + 1] end
  return f
end

local function unbury(id, f)
  call('XDEL', A .. 'dead', id)
  call('DECRBY', A .. 'dead_bytes', #f.d)
end

-- The oldest go when there are too many.
local function bury(lane, elem, why, tries, now)
  call('XADD', A .. 'dead', '*', 'lane', lane, 'd', elem, 'why', why, 'tries', tries, 'at', int(now))
  call('INCRBY', A .. 'dead_bytes', #elem)
  for _ = 1, 4 do
    if call('XLEN', A .. 'dead') <= DEAD_MAX and num(call('GET', A .. 'dead_bytes')) <= DEAD_BYTES_MAX then return end
    local e = call('XRANGE', A .. 'dead', '-', '+', 'COUNT', 1)[1]
    if e then unbury(e[1], fields_of(e)) end
  end
end

local function count_queued(receiver, count, bytes)
  call('HINCRBY', A .. 'queued', receiver, count)
  call('HINCRBY', A .. 'queued_bytes', receiver, bytes)
end

local function has_room(receiver, bytes)
  local count = num(call('HGET', A .. 'queued', receiver))
  return count == 0 or (count < QUEUE_MAX and num(call('HGET', A .. 'queued_bytes', receiver)) + bytes <= QUEUE_BYTES_MAX)
end

-- visible 0: somebody will claim it; else it is claimed for that long with the token when nothing waits before it: true then
local function push(lane, elem, now, visible, token)
  local receiver = receiver_of(lane)
  if not has_room(receiver, #elem) then
    bury(lane, elem, 'the queue of the receiver is full', '0', now)
    return false
  end
  count_queued(receiver, 1, #elem)
  if call('RPUSH', lane_key(lane), elem) ~= 1 then return false end
  call('ZADD', A .. 'due:' .. receiver, int(now + visible), lane)
  if visible > 0 then call('HSET', A .. 'claim', lane, token) end
  return visible > 0
end

-- The first of the lane, taken out; nil: there is none.
local function pop(lane)
  local elem = call('LPOP', lane_key(lane))
  if elem then count_queued(receiver_of(lane), -1, -#elem) end
  return elem
end

-- When the clock was set back, what it had dated is due as much earlier: nobody waits a year for a page.
local function look_at_clock(now)
  local was = num(call('GET', A .. 'now'))
  if was - now > CLOCK_SLACK_US then
    for _, receiver in ipairs(call('HKEYS', A .. 'queued')) do
      local due = A .. 'due:' .. receiver
      for _, lane in ipairs(call('ZRANGEBYSCORE', due, '(' .. int(now), '+inf')) do call('ZINCRBY', due, int(now - was), lane) end
    end
  end
  call('SET', A .. 'now', int(now))
end

-- now token {receiver slots visible_us}… -> OK next_us {lane tries elem}…
local function claim()
  local now, token = tonumber(ARGV[2]), ARGV[3]
  local out, soonest = { 'OK', 0 }, 0
  even_when_full()
  look_at_clock(now)
  for i = 4, #ARGV, 3 do
    local due = A .. 'due:' .. ARGV[i]
    if ARGV[i + 1] ~= '0' then
      for _, lane in ipairs(call('ZRANGEBYSCORE', due, '-inf', int(now), 'LIMIT', 0, ARGV[i + 1])) do
        local elem = call('LINDEX', lane_key(lane), 0)
        if elem then
          call('ZADD', due, int(now + tonumber(ARGV[i + 2])), lane)
          call('HSET', A .. 'claim', lane, token)
          table.insert(out, lane)
          table.insert(out, call('HGET', A .. 'tries', lane) or '0')
          table.insert(out, elem)
        else
          call('ZREM', due, lane)
        end
      end
    end
    local first = call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
    if first and (soonest == 0 or tonumber(first) < soonest) then soonest = tonumber(first) end
  end
  out[2] = int(soonest)
  return out
end

-- The receiver takes again: lanes that wait for their next try need not wait longer.
local function hurry(due, now)
  for _, lane in ipairs(call('ZRANGEBYSCORE', due, '(' .. int(now), '+inf', 'LIMIT', 0, 100)) do
    if call('HEXISTS', A .. 'claim', lane) == 0 then call('ZADD', due, int(now), lane) end
  end
end

-- now visible_us token lane head sent|later|back|dead arg -> OK elem tries (the next of the lane, claimed; '' none), STALE
-- head: how the delivery begins; when another one is first, this is a repeat. arg: of later and back when to try again, of dead why
local function finish()
  local now, visible, token, lane, head, outcome, arg = unpack(ARGV, 2, 8)
  local due = A .. 'due:' .. receiver_of(lane)
  if call('HGET', A .. 'claim', lane) ~= token then return { 'STALE' } end
  even_when_full()
  local elem = call('LINDEX', lane_key(lane), 0)
  if elem and string.sub(elem, 1, #head) == head then
    local tries = call('HGET', A .. 'tries', lane) or '0'
    if outcome == 'later' or outcome == 'back' then
      if outcome == 'later' then call('HINCRBY', A .. 'tries', lane, 1) end
      call('ZADD', due, arg, lane)
      call('HDEL', A .. 'claim', lane)
      return { 'OK', '' }
    end
    pop(lane)
    if outcome == 'dead' then bury(lane, elem, arg, int(num(tries) + 1), tonumber(now)) end
    if outcome == 'sent' and tries ~= '0' then hurry(due, tonumber(now)) end
    call('HDEL', A .. 'tries', lane)
    elem = call('LINDEX', lane_key(lane), 0)
  end
  if elem then
    call('ZADD', due, int(tonumber(now) + tonumber(visible)), lane)
    return { 'OK', elem, call('HGET', A .. 'tries', lane) or '0' }
  end
  call('ZREM', due, lane)
  call('HDEL', A .. 'claim', lane)
  return { 'OK', '' }
end

-- now receiver why max only_gone -> OK moved: what waits for the receiver goes to the dead letters
local function flush()
  local now, receiver, why, max = tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])
  local due, moved = A .. 'due:' .. receiver, 0
  if ARGV[6] == '1' and call('HEXISTS', A .. 'receivers', receiver) == 1 then return { 'OK', 0 } end
  even_when_full()
  for _, lane in ipairs(call('ZRANGE', due, 0, max - 1)) do
    local tries = call('HGET', A .. 'tries', lane) or '0'
    while moved < max do
      local elem = pop(lane)
      if not elem then break end
      bury(lane, elem, why, tries, now)
      moved = moved + 1
    end
    call('HDEL', A .. 'tries', lane)
    call('HDEL', A .. 'claim', lane)
    if call('EXISTS', lane_key(lane)) == 0 then call('ZREM', due, lane) end
    if moved >= max then break end
  end
  if call('EXISTS', due) == 0 then
    call('HDEL', A .. 'queued', receiver)
    call('HDEL', A .. 'queued_bytes', receiver)
  end
  return { 'OK', moved }
end

-- now again|drop {id}… -> OK moved: dead letters back to the end of their lanes, or away for good
local function replay()
  local now, moved, again = tonumber(ARGV[2]), 0, ARGV[3] == 'again'
  even_when_full()
  for i = 4, #ARGV do
    local e = call('XRANGE', A .. 'dead', ARGV[i], ARGV[i])[1]
    local f = e and fields_of(e)
    if f and (not again or has_room(receiver_of(f.lane), #f.d)) then
      unbury(ARGV[i], f)
      if again then
        -- queued now: it is given all of its time once more
        push(f.lane, (string.gsub(f.d, '^(%S+) %d+ ', '%1 ' .. int(now) .. ' ', 1)), now, 0)
      end
      moved = moved + 1
    end
  end
  if moved > 0 and again then call('PUBLISH', BELL, 'd') end
  return { 'OK', moved }
end

-- What lasts is told to Alertmanager again and again: "<lane> <fingerprint>" -> what was sent.
-- now job {receiver}… -> OK standing pushed: into lanes of these receivers that are empty
local function refresh()
  local now, key, pushed, is_asked, is_empty = tonumber(ARGV[2]), A .. 'standing:' .. ARGV[3], 0, {}, {}
  for i = 4, #ARGV do is_asked[ARGV[i]] = true end
  local all = call('HGETALL', key)
  for i = 1, #all, 2 do
    local lane = string.match(all[i], '^(.*) ')
    if is_asked[receiver_of(lane)] then
      if is_empty[lane] == nil then is_empty[lane] = call('EXISTS', lane_key(lane)) == 0 end
      if is_empty[lane] then
        push(lane, all[i + 1], now, 0)
        pushed = pushed + 1
      end
    end
  end
  if #all > 0 then call('PEXPIRE', key, 2592000000) end
  if pushed > 0 then call('PUBLISH', BELL, 'd') end
  return { 'OK', #all / 2, pushed }
end

-- standing: '' nothing, '+' and its fingerprint: it lasts from now on, '-': it is over
local function stand(job, lane, elem, standing)
  local key, field = A .. 'standing:' .. job, lane .. ' ' .. string.sub(standing, 2)
  if string.sub(standing, 1, 1) == '-' then
    call('HDEL', key, field)
  elseif standing ~= '' then
    call('HSET', key, field, elem)
    call('PEXPIRE', key, 2592000000)
  end
end

-- ---- the feed ----

-- Oldest first, a few at a time: one call never does much more than it adds.
local function trim(now, count_max, bytes_max, age_us)
  local events = A .. 'events'
  for _ = 1, 64 do
    local e = call('XRANGE', events, '-', '+', 'COUNT', 1)[1]
    if not e then return end
    local f = fields_of(e)
    if call('XLEN', events) <= count_max and num(call('GET', A .. 'bytes')) <= bytes_max and
        tonumber(f.at) >= now - age_us then return end
    call('XDEL', events, e[1])
    call('DECRBY', A .. 'bytes', #f.d)
  end
end

-- Over its limit in this clock hour?
local function capped(rule, max, now)
  if rule == '' or max == '0' then return false end
  local hour = math.floor(now / 3600000000)
  local h, count = string.match(call('HGET', A .. 'cap', rule) or '', '^(%d+) (%d+)$')
  count = num(h) == hour and tonumber(count) or 0
  if count >= tonumber(max) then return true end
  call('HSET', A .. 'cap', rule, hour .. ' ' .. int(count + 1))
  return false
end

-- now count_max bytes_max age_us job created kind token nitems {n type at json rule max ndeliveries {lane elem standing visible}…}…
-- -> OK last_number taken capped {lane elem}… (claimed with the token). kind: state or alert, each with numbers of its own from 1.
local function publish()
  local now, job, created, kind = tonumber(ARGV[2]), ARGV[6], ARGV[7], ARGV[8]
  local mark = A .. 'mark:' .. job
  local m = call('HMGET', mark, 'created', kind)
  if m[1] and tonumber(m[1]) > tonumber(created) then return { 'OK', 0, 0, 0 } end
  local last = m[1] == created and num(m[2]) or 0
  if m[1] and m[1] ~= created then call('DEL', mark) end
  local at, taken, over, seq, queued, claimed = 11, 0, 0, num(call('GET', A .. 'seq')), false, {}
  for _ = 1, tonumber(ARGV[10]) do
    local n, typ, when, json, rule, max, count = unpack(ARGV, at, at + 6)
    if tonumber(n) > last then
      last = tonumber(n)
      taken = taken + 1
      seq = seq + 1
      local is_over = capped(rule, max, now)
      if is_over then over = over + 1 end
      call('XADD', A .. 'events', int(seq) .. '-0', 'j', job, 't', typ, 'at', when, 'd', json, 'x', is_over and '1' or '0')
      call('INCRBY', A .. 'bytes', #json)
      for i = 0, tonumber(count) - 1 do
        local lane, elem, standing, visible = unpack(ARGV, at + 7 + i * 4, at + 10 + i * 4)
        if not is_over or string.sub(standing, 1, 1) == '-' then stand(job, lane, elem, standing) end
        if not is_over then
          if push(lane, elem, now, tonumber(visible), ARGV[9]) then
            table.insert(claimed, lane)
            table.insert(claimed, elem)
          else
            queued = true
          end
        end
      end
    end
    at = at + 7 + tonumber(count) * 4
  end
  if taken > 0 then
    call('SET', A .. 'seq', int(seq))
    call('HSET', mark, 'created', created, kind, int(last))
    call('PEXPIRE', mark, 2592000000)
    call('SETNX', A .. 'epoch', int(now))
    trim(now, tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]))
    call('PUBLISH', BELL, (queued and 'd' or 'e') .. int(seq))
  end
  return { 'OK', seq, taken, over, unpack(claimed) }
end

if OP == 'commit' then return commit() end
if OP == 'claim' then return claim() end
if OP == 'finish' then return finish() end
if OP == 'publish' then return publish() end
if OP == 'lease' then return lease() end

local ops = { renew = renew, release = release, flush = flush, replay = replay, refresh = refresh }

-- ---- rules and receivers: "revision json" under "scope/id" ----

-- hash field expected json max -> OK revision, EXISTS, GONE, CHANGED revision, LIMIT. expected: '-' any, '0' new, else its revision
function ops.put()
  local hash, field, expected, json, max = A .. ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
  local old = call('HGET', hash, field)
  local revision = old and string.match(old, '^%d+') or '0'
  if expected == '0' and old then return { 'EXISTS' } end
  if expected ~= '-' and expected ~= '0' and not old then return { 'GONE' } end
  if expected ~= '-' and expected ~= revision then return { 'CHANGED', revision } end
  if not old and call('HLEN', hash) >= max then return { 'LIMIT' } end
  revision = int(call('INCR', A .. 'version'))
  call('HSET', hash, field, revision .. ' ' .. json)
  call('PUBLISH', BELL, 'v' .. revision)
  return { 'OK', revision }
end

-- hash field -> OK existed
function ops.del()
  even_when_full()
  local existed = call('HDEL', A .. ARGV[2], ARGV[3])
  if existed == 1 then call('PUBLISH', BELL, 'v' .. int(call('INCR', A .. 'version'))) end
  return { 'OK', existed }
end

-- known -> OK version [rules] [receivers] (empty when version is known)
function ops.load()
  local version = call('GET', A .. 'version') or '0'
  if version == ARGV[2] then return { 'OK', version, {}, {}, 0 } end
  return { 'OK', version, call('HGETALL', A .. 'rules'), call('HGETALL', A .. 'receivers'), 1 }
end

-- score (KEYS[1] jl:unfed) member: done with it, unless it was marked again
function ops.fed()
  if call('ZSCORE', KEY, ARGV[3]) == ARGV[2] then return { 'OK', call('ZREM', KEY, ARGV[3]) } end
  return { 'OK', 0 }
end

return ops[OP]()

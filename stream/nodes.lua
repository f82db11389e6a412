-- stream/nodes.lua -- one sample of a node, kept bounded. Fields and limits: docs/format-redis.md.
--
-- KEYS meta node   ARGV replica about sample nodes_max node_samples_max job_samples_max
-- A node's samples stand in blocks of 32 lines. When it has more than its share of the job's, every two
-- neighbours become their mean, and from then on as many samples as one of them stands for make a new one.
-- Those that do not make one yet are pending: their mean is the newest point.
local META, NODE = KEYS[1], KEYS[2]
local replica, about, sample = ARGV[1], ARGV[2], ARGV[3]
local BLOCK = 32
local call = redis.call

local m = call('HMGET', META, 'epoch', 'sealed')
if not m[1] then return 'GONE' end
if m[2] then return 'SEALED' end

local function words(text)
  local list = {}
  for w in string.gmatch(text, '%S+') do list[#list + 1] = w end
  return list
end

-- The mean of a (standing for na) and b (nb), at the time of b.
local function mean(a, na, b, nb)
  local out = { b[1] }
  for i = 2, #b do
    local x, y = tonumber(a[i]), tonumber(b[i])
    if x and y then out[i] = string.format('%.0f', (x * na + y * nb) / (na + nb)) else out[i] = y and b[i] or a[i] or '-' end
  end
  return out
end

local function block_field(k) return 'b ' .. replica .. ' ' .. string.format('%.0f', k) end

local function read_lines(count)
  local lines = {}
  for k = 0, math.floor((count - 1) / BLOCK) do
    for line in string.gmatch(call('HGET', NODE, block_field(k)) or '', '[^\n]+') do lines[#lines + 1] = line end
  end
  return lines
end

local function write_lines(lines, old_count)
  local blocks = math.ceil(#lines / BLOCK)
  for k = 0, blocks - 1 do
    call('HSET', NODE, block_field(k), table.concat(lines, '\n', k * BLOCK + 1, math.min(#lines, (k + 1) * BLOCK)) .. '\n')
  end
  for k = blocks, math.floor((old_count - 1) / BLOCK) do call('HDEL', NODE, block_field(k)) end
end

local stride, count = 1, 0
local s = call('HGET', NODE, 's ' .. replica)
if s then
  stride, count = string.match(s, '^(%d+) (%d+)$')
  stride, count = tonumber(stride), tonumber(count)
else
  if tonumber(call('HGET', NODE, '#') or '0') >= tonumber(ARGV[4]) then return 'FULL' end
  call('HINCRBY', NODE, '#', 1)
end
if call('HGET', NODE, 'n ' .. replica) ~= about then call('HSET', NODE, 'n ' .. replica, about) end

local fresh, of = words(sample), 1
local pending = call('HGET', NODE, 'p ' .. replica)
if pending then
  local old = words(pending)
  local n = tonumber(table.remove(old, 1))
  fresh, of = mean(old, n, fresh, 1), n + 1
end
if of < stride then
  call('HSET', NODE, 'p ' .. replica, string.format('%.0f', of) .. ' ' .. table.concat(fresh, ' '))
else
  call('HDEL', NODE, 'p ' .. replica)
  local field = block_field(math.floor(count / BLOCK))
  call('HSET', NODE, field, (call('HGET', NODE, field) or '') .. table.concat(fresh, ' ') .. '\n')
  count = count + 1
end

local nodes = tonumber(call('HGET', NODE, '#'))
local share = math.max(64, math.min(tonumber(ARGV[5]), math.floor(tonumber(ARGV[6]) / nodes)))
while count > share do
  local lines, half = read_lines(count), {}
  for i = 1, #lines - 1, 2 do half[#half + 1] = table.concat(mean(words(lines[i]), 1, words(lines[i + 1]), 1), ' ') end
  if #lines % 2 == 1 then half[#half + 1] = lines[#lines] end
  write_lines(half, count)
  count, stride = #half, stride * 2
end
call('HSET', NODE, 's ' .. replica, string.format('%.0f %.0f', stride, count))
return 'OK'

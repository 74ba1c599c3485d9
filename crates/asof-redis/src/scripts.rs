//! The scripts that write, each one round trip that the server does as a whole.
//!
//! Calls to one bucket are numbered. `mark` is the number of the last one, so a call that is sent again, because nobody knows
//! whether it came through, does nothing the second time; and a server that lost calls is found out by its mark. `fence`
//! holds the epoch of the one process that may write: calls of an earlier one are refused.
//!
//! A reply begins with a letter: `K` done, `D` done before, `B` the server is behind (the mark follows), `F` fenced off by a
//! later epoch, `C` something else stands there than was read (the number of the change follows).

use redis::Script;

/// What every call asks first. KEYS: mark, fence. ARGV: epoch, number of the call.
const PROLOGUE: &str = r"
local fence = tonumber(redis.call('GET', KEYS[2]) or '0')
local epoch = tonumber(ARGV[1])
if fence > epoch then return {'F', fence} end
local mark = tonumber(redis.call('GET', KEYS[1]) or '0')
local number = tonumber(ARGV[2])
if fence < epoch or mark < number - 1 then return {'B', mark} end
if mark >= number then return {'D', mark} end
";

/// Conditional changes of one bucket. KEYS: mark, fence, undo, then for each change value, previous, index. ARGV: epoch,
/// number, title of the unit (empty: none), then for each change letter, beginning expected (empty: nothing stands there),
/// length expected (-1: any), payload, time to live in milliseconds (0: for ever), member.
///
/// `V` another value, the one before is kept aside; `T` the same with a value that says that nothing is left; `S` a first
/// value; `A` bytes behind the value; `R` the same content in other bytes; `D` nothing, also not aside or in the index; `U`
/// back to the value kept aside.
///
/// What most changes need is asked and done for all of them in one command each: going over to a command costs a script more
/// than the command.
const CHANGE: &str = r"
local title = ARGV[3]
local count = (#KEYS - 3) / 3
local fresh = {}
for c = 0, count - 1 do
  local a, key = 4 + c * 6, KEYS[4 + c * 3]
  local expected, length = ARGV[a + 1], tonumber(ARGV[a + 2])
  if ARGV[a] ~= 'D' then
    if expected == '' then
      fresh[#fresh + 1] = key
    elseif redis.call('GETRANGE', key, 0, #expected - 1) ~= expected then
      return {'C', c}
    end
    if length >= 0 and redis.call('STRLEN', key) ~= length then return {'C', c} end
  end
end
if #fresh > 0 and redis.call('EXISTS', unpack(fresh)) > 0 then
  for c = 0, count - 1 do
    local a, key = 4 + c * 6, KEYS[4 + c * 3]
    if ARGV[a] ~= 'D' and ARGV[a + 1] == '' and redis.call('EXISTS', key) == 1 then return {'C', c} end
  end
end
local undo, aside, put = {}, {}, {}
for c = 0, count - 1 do
  local a, k = 4 + c * 6, 4 + c * 3
  local letter = ARGV[a]
  undo[#undo + 1] = letter .. KEYS[k]
  if letter == 'S' or (ARGV[a + 1] == '' and (letter == 'V' or letter == 'T')) then
    aside[#aside + 1] = KEYS[k + 1]
    put[#put + 1] = KEYS[k]
    put[#put + 1] = ARGV[a + 3]
  end
end
if title ~= '' then
  if redis.call('LINDEX', KEYS[3], 0) ~= title then
    redis.call('UNLINK', KEYS[3])
    redis.call('RPUSH', KEYS[3], title)
  end
  redis.call('RPUSH', KEYS[3], unpack(undo))
end
if #put > 0 then
  redis.call('UNLINK', unpack(aside))
  redis.call('MSET', unpack(put))
end
local members = {}
for c = 0, count - 1 do
  local a, k = 4 + c * 6, 4 + c * 3
  local letter, expected, payload = ARGV[a], ARGV[a + 1], ARGV[a + 3]
  local live, member = tonumber(ARGV[a + 4]), ARGV[a + 5]
  local key, previous, index = KEYS[k], KEYS[k + 1], KEYS[k + 2]
  local left = -2
  if (letter == 'V' or letter == 'T') and expected ~= '' then
    redis.call('RENAME', key, previous)
    redis.call('SET', key, payload)
  elseif letter == 'A' then
    left = redis.call('PTTL', key)
    redis.call('APPEND', key, payload)
  elseif letter == 'R' then
    left = redis.call('PTTL', key)
    redis.call('SET', key, payload)
  elseif letter == 'D' then
    redis.call('UNLINK', key, previous)
    redis.call('ZREM', index, member)
  elseif letter == 'U' then
    if redis.call('EXISTS', previous) == 1 then
      redis.call('RENAME', previous, key)
    else
      redis.call('UNLINK', key)
      redis.call('ZREM', index, member)
    end
  end
  if live > 0 and left ~= -1 then redis.call('PEXPIRE', key, math.max(live, left)) end
  if letter == 'S' or (letter == 'V' and (expected == '' or string.byte(expected, 2) == 3)) then
    local of = members[index] or {}
    of[#of + 1] = 0
    of[#of + 1] = member
    members[index] = of
  end
end
for index, of in pairs(members) do redis.call('ZADD', index, unpack(of)) end
redis.call('SET', KEYS[1], ARGV[2])
return {'K', number}
";

/// Changes of the journal. KEYS: mark, fence, then those of the commands. ARGV: epoch, number, then for each command its
/// name, the place of its key, the count of its other arguments, and these.
const JOURNAL: &str = r"
local at = 3
while at <= #ARGV do
  local count = tonumber(ARGV[at + 2])
  redis.call(ARGV[at], KEYS[tonumber(ARGV[at + 1])], unpack(ARGV, at + 3, at + 2 + count))
  at = at + 3 + count
end
redis.call('SET', KEYS[1], ARGV[2])
return {'K', number}
";

/// What was kept aside goes, once the unit is readable. KEYS: fence, undo, then for each change value, previous, index.
/// ARGV: epoch, time to live of what says that nothing is left in milliseconds, then for each change letter and member.
const CLEAN: &str = r"
if tonumber(redis.call('GET', KEYS[1]) or '0') ~= tonumber(ARGV[1]) then return {'F', 0} end
local aside = {KEYS[2]}
for c = 0, (#KEYS - 2) / 3 - 1 do
  local k = 3 + c * 3
  aside[#aside + 1] = KEYS[k + 1]
  if ARGV[3 + c * 2] == 'T' then
    redis.call('PEXPIRE', KEYS[k], ARGV[2])
    redis.call('ZREM', KEYS[k + 2], ARGV[4 + c * 2])
  end
end
redis.call('UNLINK', unpack(aside))
return {'K', 0}
";

/// Takes a bucket for an epoch. KEYS: mark, fence, undo. ARGV: epoch. Answers the mark, and the title of the unit that was
/// being written.
const CLAIM: &str = r"
local fence = tonumber(redis.call('GET', KEYS[2]) or '0')
if fence > tonumber(ARGV[1]) then return {'F', fence} end
redis.call('SET', KEYS[2], ARGV[1])
return {'K', tonumber(redis.call('GET', KEYS[1]) or '0'), redis.call('LINDEX', KEYS[3], 0)}
";

/// Takes the store, or says who has it. KEYS: hold, fence. ARGV: holder, how long the hold lasts in milliseconds, the least
/// epoch. An epoch is the server's time in milliseconds, or one more than the one before: unique also after a failover.
const ACQUIRE: &str = r"
local held = redis.call('GET', KEYS[1])
if held and string.sub(held, 1, #ARGV[1]) ~= ARGV[1] then return {'H', held, redis.call('PTTL', KEYS[1])} end
local time = redis.call('TIME')
local epoch = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
epoch = math.max(epoch, tonumber(redis.call('GET', KEYS[2]) or '0') + 1, tonumber(ARGV[3]))
local text = string.format('%.0f', epoch)
redis.call('SET', KEYS[2], text)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {'K', epoch, false}
";

/// Goes on holding the store, or lets it go (0 milliseconds). KEYS: hold, fence. ARGV: holder, milliseconds, epoch.
const HOLD: &str = r"
if tonumber(redis.call('GET', KEYS[2]) or '0') > tonumber(ARGV[3]) then return {'F', 0} end
local held = redis.call('GET', KEYS[1])
if ARGV[2] == '0' then
  if held == ARGV[1] then redis.call('DEL', KEYS[1]) end
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return {'K', 0}
";

/// All scripts, made once.
#[derive(Debug)]
pub(crate) struct Scripts {
    pub(crate) change: Script,
    pub(crate) journal: Script,
    pub(crate) clean: Script,
    pub(crate) claim: Script,
    pub(crate) acquire: Script,
    pub(crate) hold: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            change: Script::new(&format!("{PROLOGUE}{CHANGE}")),
            journal: Script::new(&format!("{PROLOGUE}{JOURNAL}")),
            clean: Script::new(CLEAN),
            claim: Script::new(CLAIM),
            acquire: Script::new(ACQUIRE),
            hold: Script::new(HOLD),
        }
    }

    /// The texts, to be loaded into a server.
    pub(crate) fn texts() -> [String; 6] {
        let plain = [CLEAN, CLAIM, ACQUIRE, HOLD].map(str::to_owned);
        let [clean, claim, acquire, hold] = plain;
        [format!("{PROLOGUE}{CHANGE}"), format!("{PROLOGUE}{JOURNAL}"), clean, claim, acquire, hold]
    }
}

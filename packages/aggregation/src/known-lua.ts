// The part of the apply script that keeps the filter of known visitors (visitors.ts). A session is asked about when it
// begins, and once more when it is identified: an unknown device of a known user is a returning one.
import { bitsPerVisitor, firstLayerVisitors, probesPerVisitor, visitorLayers } from './visitors.ts'

/**
 * Adds the visitors asked about (\`asks\`: session by number, with \`hashes\` and \`steps\`) and tells of each session in
 * \`hints\` whether it is new; among the writes, before the sessions.
 */
export const tellLua = `
local hints = {}
local function probe(l, which, isSet)
  local key, size, found = 'known:' .. base .. ':' .. l, ${firstLayerVisitors * bitsPerVisitor} * 4 ^ l, {}
  local op = isSet and 'SET' or 'GET'
  for first = 1, #which, 400 do
    local args, n, last = {}, 0, math.min(first + 399, #which)
    for j = first, last do
      local hash, step = hashes[which[j]], steps[which[j]]
      for k = 0, ${probesPerVisitor - 1} do
        args[n + 1], args[n + 2], args[n + 3] = op, 'u1', (hash + k * step) % size
        n = n + 3
        if isSet then
          n = n + 1
          args[n] = 1
        end
      end
    end
    local got = call('BITFIELD', key, unpack(args))
    for j = first, last do
      local at, all = (j - first) * ${probesPerVisitor}, true
      for k = 1, ${probesPerVisitor} do all = all and got[at + k] == 1 end
      found[j] = all
    end
  end
  return found
end
if #asks > 0 then
  local left, isKnown = {}, {}
  for n = 1, #asks do left[n] = n end
  for l = 0, math.min(layer, ${visitorLayers - 1}) do
    local found, unknown = probe(l, left, l == layer), {}
    for j, n in ipairs(left) do
      if found[j] then isKnown[n] = true else unknown[#unknown + 1] = n end
    end
    left = unknown
    if #left == 0 then break end
  end
  if layer < ${visitorLayers} and #left > 0 then
    known = known + #left
    if known >= ${firstLayerVisitors} * 4 ^ layer then layer, known = layer + 1, 0 end
    call('HSET', meta, 'layer', layer, 'known', known)
  end
  for n, i in ipairs(asks) do
    if isKnown[n] then hints[i] = '0'
    elseif not hints[i] and isNew[i] ~= '0' then hints[i] = layer < ${visitorLayers} and '1' or '' end
  end
end`

// Which ids name somebody. Placeholders that clients send by mistake ("null", "guest") would make one person of many,
// so they count as no id at all. The warehouse has the same list (schemas/clickhouse); a test compares them.

/** What anonymous persons are called: `anon:` and their id. User ids of this form name nobody, or the two would mix. */
export const anonymousPrefix = 'anon:'

/** Refused as they are, as all capitals, and with a capital first. */
const words = (
  'null nil none undefined nan true false guest anonymous anon unknown unset empty nobody user userid user_id uid id ' +
  'distinct_id distinctid anonymousid anonymous_id visitor email map default not_authenticated unauthenticated n/a na'
).split(' ')

const marks = [
  ' 0 -1 - -- ? . _ * [] {} () "" \'\' (null) <null> "null" NaN userId anonymousId distinctId deviceId',
  '[object_Object] [object_object] 00000000-0000-0000-0000-000000000000'
]
  .join(' ')
  .split(' ')
  .map((mark) => mark.replace('object_', 'object '))

/** Every refused id, each once, in the order of their bytes. */
export const refusedIds: readonly string[] = [
  ...new Set([...words.flatMap((word) => [word, word.toUpperCase(), capitalized(word)]), ...marks, ' '])
].sort(compareIds)

const refused: ReadonlySet<string> = new Set(refusedIds)

/** Whether an event's `userId` names a user: not empty, not refused, and not of the form of anonymous persons. */
export function namesUser(userId: string): boolean {
  return !refused.has(userId) && !userId.startsWith(anonymousPrefix)
}

/** Whether an event's `anonymousId` names a device: neither empty nor refused. */
export function namesDevice(anonymousId: string): boolean {
  return !refused.has(anonymousId)
}

/** The order of the bytes of two texts in UTF-8, as the warehouse compares them: below, above or equal to zero. */
export function compareIds(left: string, right: string): number {
  const length = Math.min(left.length, right.length)
  for (let at = 0; at < length; at++) {
    const [one, other] = [left.charCodeAt(at), right.charCodeAt(at)]
    if (one === other) continue
    // A surrogate stands for a code point above U+FFFF, whatever its own number is.
    const [isHigh, isOtherHigh] = [isSurrogate(one), isSurrogate(other)]
    return isHigh === isOtherHigh ? one - other : isHigh ? 1 : -1
  }
  return left.length - right.length
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff
}

function capitalized(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1)
}

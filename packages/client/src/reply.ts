// What a reply says about each event that was sent. Pure. Nothing but the gateway's own words makes an event stored: a
// 200 page of a captive portal, or a reply that lacks an event, is a reason to send again.
import { membersOf, textOf } from './json.ts'

/** What becomes of one event that was sent. `unsent`: the request never stood for it; it costs no attempt. */
export type Verdict =
  | { readonly kind: 'accepted' | 'duplicate' | 'unsent' }
  | { readonly kind: 'rejected'; readonly code: string; readonly pointer?: string | undefined }
  | { readonly kind: 'retry'; readonly code: string }

const unexpected: Verdict = { kind: 'retry', code: 'unexpected_reply' }

/** The status of a request that got no reply; its body is `{ code: 'network' | 'timeout' }`. */
export const noReply = 0

/** The verdict of the reply to one event: its HTTP status and its body as a value (undefined: not JSON). */
export function readSingle(status: number, body: unknown, eventId: string): Verdict {
  if (status === 409) return { kind: 'duplicate' }
  const said = membersOf(body)
  const mine = said['eventId'] === undefined || said['eventId'] === eventId
  return (status < 300 && mine ? readStatus(said['status']) : undefined) ?? readProblem(status, body)
}

/** The verdict of each event of a batch, in their order. The items of the reply count; without any, its status. */
export function readBatch(status: number, body: unknown, eventIds: readonly string[]): readonly Verdict[] {
  const { items } = membersOf(body)
  if (!Array.isArray(items)) {
    const verdict = readProblem(status, body)
    return eventIds.map(() => verdict)
  }
  return eventIds.map((eventId, index) => readItem(itemOf(items, eventId, index, eventIds.length)))
}

/** The item at the event's place, unless it names another event; then the item that names this one. */
function itemOf(items: readonly unknown[], eventId: string, index: number, count: number): unknown {
  const named = (item: unknown): unknown => membersOf(item)['eventId']
  const placed = items[index]
  if (named(placed) === eventId || (items.length === count && named(placed) === undefined)) return placed
  return items.find((item) => named(item) === eventId)
}

function readItem(item: unknown): Verdict {
  const { status, code, pointer } = membersOf(item)
  if (status === 'rejected') return { kind: 'rejected', code: textOf(code) ?? 'rejected', pointer: textOf(pointer) }
  if (status === 'retry') return { kind: 'retry', code: textOf(code) ?? 'retry' }
  return readStatus(status) ?? unexpected
}

function readStatus(status: unknown): Verdict | undefined {
  return status === 'accepted' || status === 'duplicate' ? { kind: status } : undefined
}

function readProblem(status: number, body: unknown): Verdict {
  if (status !== noReply && status < 400) return unexpected
  const { code: said, pointer } = membersOf(body)
  const code = textOf(said) ?? `http_${status}`
  // 408 says that the request did not arrive as a whole, so unlike other 4xx it is not about the event.
  const again = status === noReply || status >= 500 || status === 429 || status === 408
  return again ? { kind: 'retry', code } : { kind: 'rejected', code, pointer: textOf(pointer) }
}

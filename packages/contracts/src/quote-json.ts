// Short texts as JSON. Most are ids and words without a character that JSON writes otherwise; looking at them takes less
// time than the way into the serialiser and back.

/** Above it the serialiser is faster. */
const longest = 64

/** What JSON.stringify makes of `text`. */
export function quoteJson(text: string): string {
  if (text.length > longest) return JSON.stringify(text)
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    // Control characters, quotation mark, backslash; of half surrogate pairs only the serialiser knows.
    if (code < 0x20 || code === 0x22 || code === 0x5c || (code >= 0xd800 && code < 0xe000)) return JSON.stringify(text)
  }
  return `"${text}"`
}

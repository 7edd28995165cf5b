// Error texts quote data. What goes into a dead-letter header loses what could identify a person or open a door.

const rules: readonly (readonly [RegExp, string])[] = [
  [/[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+/g, '[email]'],
  [/\b\d{1,3}(?:\.\d{1,3}){3}\b/g, '[ip]'],
  [/\b(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}\b/gi, '[ip]'],
  [/\/\/[^\s/:@]+:[^\s/@]+@/g, '//[credentials]@'],
  [/\b(bearer|basic)\s+\S+/gi, '$1 [secret]'],
  [/\bmr_[ws]_[A-Za-z0-9]+/g, '[key]'],
  [/[A-Za-z0-9+/_]{32,}={0,2}/g, '[token]']
]

/** `text` without addresses, credentials and key-like strings, on one line, cut to `maxBytes` of UTF-8. */
export function redact(text: string, maxBytes: number): string {
  let clean = text.slice(0, maxBytes * 4)
  for (const [pattern, replacement] of rules) clean = clean.replace(pattern, replacement)
  const bytes = Buffer.from(clean.replace(/[\s\p{Cc}]+/gu, ' ').trim())
  if (bytes.byteLength <= maxBytes) return bytes.toString()
  let end = maxBytes
  // A UTF-8 character is not cut: bytes 10xxxxxx continue one.
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

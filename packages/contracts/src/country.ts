// Country codes as headers of a proxy and databases of addresses give them.

/** `text` as an ISO 3166-1 alpha-2 code in capitals; empty when it is none, or the code for an unknown country (XX). */
export function countryCode(text: string | undefined): string {
  if (text === undefined || text.length !== 2) return ''
  const code = text.toUpperCase()
  return isCapital(code.charCodeAt(0)) && isCapital(code.charCodeAt(1)) && code !== 'XX' ? code : ''
}

function isCapital(code: number): boolean {
  return code >= 65 && code <= 90
}

// JSON that is neither an event nor an answer of the engine: parts of an address, and texts that were written by us.

/** The value of `text`; undefined when it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

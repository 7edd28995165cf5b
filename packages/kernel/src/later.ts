// What is opened when it is first needed: what is away when a process starts is a wait then, not a reason to die.

/** What `open` resolves with, opened by the first call and shared by all; one that cannot open it throws, and the next tries. */
export function later<T>(open: () => Promise<T>): () => Promise<T> {
  let opening: Promise<T> | undefined
  return () => {
    if (opening === undefined) {
      opening = open()
      opening.catch(() => {
        opening = undefined
      })
    }
    return opening
  }
}

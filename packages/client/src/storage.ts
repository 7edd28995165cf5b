// Storage that may be full, forbidden or broken: none of it may stop the client, whose truth is in memory.

/** Where the client keeps things between runs: localStorage, or anything with the same calls. */
export interface ClientStorage {
  getItem(key: string): string | null
  setItem(key: string, value: string): void
  removeItem?(key: string): void
}

/** The same without errors. */
export interface SafeStorage {
  read(key: string): string | undefined
  /** False when it was not written. An undefined value removes the key. */
  write(key: string, value: string | undefined): boolean
}

/** Wraps `storage`; without one nothing is ever found or written. */
export function createSafeStorage(storage: ClientStorage | undefined): SafeStorage {
  const attempt = <T>(work: () => T): T | undefined => {
    try {
      return work()
    } catch {
      return undefined
    }
  }
  return {
    read: (key) => attempt(() => storage?.getItem(key)) ?? undefined,
    write: (key, value) =>
      attempt(() => {
        if (storage === undefined) return false
        if (value !== undefined || storage.removeItem === undefined) storage.setItem(key, value ?? '')
        else storage.removeItem(key)
        return true
      }) ?? false
  }
}

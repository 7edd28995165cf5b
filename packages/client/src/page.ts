// The page that a client runs in, as far as it needs one: where the visitor is, and whether the page goes away.
// The types are structural, so that the sources need neither the DOM library nor a browser.

/** Where the visitor is. Texts are cut to what an event may hold. */
export interface Visit {
  readonly url: string
  readonly path: string
  readonly title: string
  readonly referrer: string
  /** The query of the address, with its question mark. */
  readonly search: string
  readonly locale: string | undefined
}

/** A web page. Tests and other hosts (an app shell) may bring their own. */
export interface Page {
  visit(): Visit
  /** False only when the device surely has no network. */
  isOnline(): boolean
  /** Hands bytes over to the browser, which sends them even if the page ends; false when it refuses. */
  sendBeacon(url: string, body: string): boolean
  /** Calls `hidden` when the page may be about to end and `online` when the network is back, until the returned call. */
  watch(on: { hidden(): void; online(): void }): () => void
}

type Listen = (type: string, run: () => void) => void

/** The globals of a browser that are used. */
export interface BrowserGlobals {
  readonly document?: {
    readonly visibilityState: string
    readonly title: string
    readonly referrer: string
    readonly addEventListener: Listen
    readonly removeEventListener: Listen
  }
  readonly location?: { readonly href: string; readonly pathname: string; readonly search: string }
  readonly navigator?: {
    readonly onLine?: boolean
    readonly language?: string
    sendBeacon?(url: string, body: string): boolean
  }
  readonly addEventListener?: Listen
  readonly removeEventListener?: Listen
}

/** The page of `globals`; undefined where there is none, as in Node and in workers. */
export function browserPage(globals: BrowserGlobals): Page | undefined {
  const { document, location } = globals
  if (document === undefined || location === undefined) return undefined
  return {
    visit: () => ({
      url: location.href.slice(0, 8_192),
      path: location.pathname.slice(0, 4_096),
      title: document.title.slice(0, 1_024),
      referrer: document.referrer.slice(0, 8_192),
      search: location.search,
      locale: globals.navigator?.language
    }),
    isOnline: () => globals.navigator?.onLine !== false,
    // The browser throws on a body beyond its quota in some versions and returns false in others.
    sendBeacon(url, body) {
      try {
        return globals.navigator?.sendBeacon?.(url, body) ?? false
      } catch {
        return false
      }
    },
    watch({ hidden, online }) {
      const changed = (): void => {
        if (document.visibilityState === 'hidden') hidden()
      }
      const listeners = [
        [document, 'visibilitychange', changed],
        [globals, 'pagehide', hidden],
        [globals, 'online', online]
      ] as const
      for (const [target, type, run] of listeners) target.addEventListener?.(type, run)
      return () => {
        for (const [target, type, run] of listeners) target.removeEventListener?.(type, run)
      }
    }
  }
}

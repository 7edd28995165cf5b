// A headless Chromium for a test: started on a profile of its own, driven over its DevTools protocol.
// https://chromedevtools.github.io/devtools-protocol/
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { systemClock, withDeadline } from '@millrace/kernel'
import { eventually } from '@millrace/testkit/eventually'
import { openDevtools } from './devtools.ts'
import type { Devtools } from './devtools.ts'

/** A tab. */
export interface Tab {
  /** The value of an expression in the page, awaited when it is a promise; throws what the page throws. */
  evaluate<T>(expression: string): Promise<T>
  /** Closes the tab as a visitor does: the page hears `pagehide` and nothing of it runs afterwards. */
  close(): Promise<void>
}

export interface Browser extends AsyncDisposable {
  /** Opens `url`; resolves when its modules have run and `window.ready` is true. */
  open(url: string): Promise<Tab>
}

const startMs = 30_000

/** Starts the browser; it and its profile are gone when it is disposed. */
export async function openChromium(): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), 'millrace-chromium-'))
  const child = spawn('chromium', [...flags, `--user-data-dir=${profile}`, 'about:blank'], {
    stdio: ['ignore', 'ignore', 'pipe']
  })
  const devtools = await openDevtools(await addressOf(child))
  return {
    open: (url) => openTab(devtools, url),
    async [Symbol.asyncDispose]() {
      const exited = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : undefined
      await devtools.send('Browser.close').catch(() => child.kill('SIGKILL'))
      await exited
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    }
  }
}

/** Root may not use the sandbox, and a test machine has little shared memory and no need of a network. */
const flags = [
  '--headless=new',
  '--no-sandbox',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--no-first-run',
  '--remote-debugging-port=0'
]

async function addressOf(child: ChildProcess): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  child.once('error', () => reject(new Error('chromium is missing; run: sudo apt-get install -y chromium')))
  child.once('exit', (code) => reject(new Error(`chromium ended with ${code} before it was ready`)))
  if (child.stderr !== null) {
    createInterface({ input: child.stderr }).on('line', (line) => {
      const address = /^DevTools listening on (ws:.*)$/.exec(line)?.[1]
      if (address !== undefined) resolve(address)
    })
  }
  return await withDeadline(promise, startMs, systemClock, 'the start of chromium')
}

async function openTab(devtools: Devtools, url: string): Promise<Tab> {
  const { targetId } = await devtools.send<{ targetId: string }>('Target.createTarget', { url })
  const { sessionId } = await devtools.send<{ sessionId: string }>('Target.attachToTarget', { targetId, flatten: true })
  const evaluate = async <T>(expression: string): Promise<T> => {
    const params = { expression, awaitPromise: true, returnByValue: true }
    const answer = await devtools.send<Evaluation<T>>('Runtime.evaluate', params, sessionId)
    if (answer.exceptionDetails !== undefined) throw new Error(answer.exceptionDetails.exception?.description)
    return answer.result.value
  }
  // While the page loads, an evaluation may hit the document before it.
  await eventually(`the modules of ${url}`, () => evaluate<boolean>('window.ready === true').catch(() => false))
  return { evaluate, close: async () => void (await devtools.send('Page.close', {}, sessionId)) }
}

interface Evaluation<T> {
  readonly result: { readonly value: T }
  readonly exceptionDetails?: { readonly exception?: { readonly description?: string } }
}

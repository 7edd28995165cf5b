// The in-process ClickHouse engine behind a small interface: one session per request so that no setting can leak into
// the next, a bound on what runs at once, and KILL by the id the client chose.
import { Session } from 'chdb'
import { literal } from './statement.ts'
import { createReload } from './reload.ts'
import type { EngineRequest } from './request.ts'

/** An error of the engine with ClickHouse's numeric code. */
export class EngineError extends Error {
  readonly code: number
  constructor(code: number, message: string, options?: { cause: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** What a statement read and wrote, for X-ClickHouse-Summary. */
export interface Work {
  readonly readRows: number
  readonly readBytes: number
  readonly writtenRows: number
  readonly writtenBytes: number
}

/** A session prepared for one request. */
export interface EngineSession {
  /** Runs a statement to its end. */
  run(sql: string, format: string): Promise<{ readonly body: Uint8Array; readonly work: Work }>
  /** Rows of a SELECT as the engine produces them. */
  stream(sql: string, format: string): AsyncIterator<Uint8Array>
  /** Inserts rows given as bytes of a line format. */
  insert(target: { table: string; columns: readonly string[] | undefined; format: string }, rows: Buffer): Promise<Work>
}

export interface Engine extends AsyncDisposable {
  readonly version: string
  /** Whether a query with this id is running. */
  isRunning(queryId: string): boolean
  /** Runs `work` on a session with the settings of `request`; waits while too many others run. */
  use<T>(request: EngineRequest, work: (session: EngineSession) => Promise<T>): Promise<T>
  /** Stops the query with this id; resolves whether or not there was one. */
  kill(queryId: string): Promise<void>
  /** Loads those dictionaries anew whose tables changed since; resolves with their number. */
  reloadDictionaries(): Promise<number>
}

export interface EngineOptions {
  readonly dataDir: string
  /** Server configuration, which names the users file with the row filters. */
  readonly configFile: string
  readonly maxConcurrent: number
}

/** Opens the engine on a data folder. Only one process may hold a folder; the engine throws when another does. */
export function openEngine(options: EngineOptions): Engine {
  const connectionArgs = [`--config-file=${options.configFile}`]
  const root = new Session(options.dataDir, { connectionArgs })
  const version = root.query('SELECT version()', 'TabSeparated').trim()
  const kept = new Map<string, Session>()
  const running = new Set<string>()
  const gate = createGate(options.maxConcurrent)

  // The engine chooses its own query ids; `workload`, a setting without effect here, carries the client's.
  const kill = async (queryId: string): Promise<void> => {
    const victims = `SELECT query_id FROM system.processes WHERE Settings['workload'] = ${literal(queryId)}`
    await root.queryAsync(`KILL QUERY WHERE query_id IN (${victims}) ASYNC`).catch(() => {})
  }

  const open = (sessionId: string | undefined): Session => {
    const existing = sessionId === undefined ? undefined : kept.get(sessionId)
    if (existing !== undefined) return existing
    const session = new Session(options.dataDir)
    if (sessionId !== undefined) kept.set(sessionId, session)
    return session
  }

  return {
    version,
    isRunning: (queryId) => running.has(queryId),
    kill,
    reloadDictionaries: createReload(async (sql) => (await root.queryAsync(sql, { format: 'TabSeparated' })).text()),
    use: async (request, work) => {
      running.add(request.queryId)
      await gate.enter()
      const session = open(request.sessionId)
      try {
        await session.queryAsync(prelude(request)).catch(rethrow)
        return await work(wrap(session))
      } finally {
        running.delete(request.queryId)
        gate.leave()
        if (request.sessionId === undefined) session.close()
      }
    },
    [Symbol.asyncDispose]: async () => {
      for (const session of kept.values()) session.close()
      root.close()
    }
  }
}

/**
 * The statement that gives a fresh session the settings of a request. Readonly comes last: from then on neither the
 * statement nor a SET can change what stands before it, log_comment (which the row filters read) above all.
 */
export function prelude(request: EngineRequest): string {
  const use =
    request.database === undefined || request.database === 'default'
      ? ''
      : `USE \`${request.database.replaceAll('`', '')}\`; `
  const settings = [
    `log_comment = ${literal(request.logComment)}`,
    `workload = ${literal(request.queryId)}`,
    ...request.settings.map(([name, value]) => `${name} = ${literal(value)}`)
  ]
  if (request.readonly !== '0') settings.push(`readonly = ${literal(request.readonly)}`)
  return `${use}SET ${settings.join(', ')}`
}

function wrap(session: Session): EngineSession {
  return {
    run: async (sql, format) => {
      const result = await session.queryAsync(sql, { format }).catch(rethrow)
      const work = { readRows: result.rowsRead, readBytes: result.bytesRead, writtenRows: 0, writtenBytes: 0 }
      return { body: result.bytes(), work }
    },
    stream: async function* (sql, format) {
      try {
        for await (const chunk of session.queryStream(sql, { format })) yield chunk.raw()
      } catch (error) {
        rethrow(error)
      }
    },
    insert: async ({ table, columns, format }, rows) => {
      // The format was matched against the engine's own closed list by insertTarget.
      const parameters = {
        table,
        format: format as 'JSONEachRow',
        values: rows,
        ...(columns === undefined ? {} : { columns })
      }
      const result = await session.insert(parameters).catch(rethrow)
      return { readRows: 0, readBytes: 0, writtenRows: result.rowsWritten, writtenBytes: result.bytesWritten }
    }
  }
}

function rethrow(error: unknown): never {
  const text = error instanceof Error ? error.message : String(error)
  const own = (error as { clickhouseCode?: unknown }).clickhouseCode
  const code = typeof own === 'number' ? own : Number(/Code: (\d+)/.exec(text)?.[1] ?? 1000)
  throw new EngineError(code, text, { cause: error })
}

/** At most `places` inside; the others wait in order. */
function createGate(places: number): { enter(): Promise<void>; leave(): void } {
  let inside = 0
  const waiting: (() => void)[] = []
  return {
    enter: async () => {
      if (inside >= places) await new Promise<void>((resolve) => waiting.push(resolve))
      else inside++
    },
    leave: () => {
      const next = waiting.shift()
      if (next === undefined) inside--
      else next()
    }
  }
}

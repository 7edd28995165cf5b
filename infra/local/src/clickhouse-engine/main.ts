// The ClickHouse engine as a process: `node main.ts <settings.json>`. Prints `ready <port>` once it answers; SIGTERM and
// SIGINT close the engine in order. The launcher sets UV_THREADPOOL_SIZE, which bounds the queries that run at once.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { openEngine } from './engine.ts'
import type { Engine } from './engine.ts'
import { createEngineServer } from './server.ts'
import { serverXml, usersXml } from './users-config.ts'

/** What the settings file holds. */
export interface EngineSettings {
  readonly dataFolder: string
  /** 0 = any free port. */
  readonly port: number
  readonly user: string
  readonly password: string
  readonly maxConcurrent?: number
  /** The users file, as XML; without it that of users-config.ts. Everybody is its user `default`. */
  readonly users?: string
}

const settings = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as EngineSettings
mkdirSync(settings.dataFolder, { recursive: true })
const usersFile = join(settings.dataFolder, 'users.xml')
const configFile = join(settings.dataFolder, 'config.xml')
writeFileSync(usersFile, settings.users ?? usersXml())
writeFileSync(configFile, serverXml(usersFile))

const engine = openEngine({
  dataDir: join(settings.dataFolder, 'data'),
  configFile,
  maxConcurrent: settings.maxConcurrent ?? 16
})
const server = createEngineServer({ engine, user: settings.user, password: settings.password })
server.listen(settings.port, '127.0.0.1')
await once(server, 'listening')
const reloading = startDictionaryReload(engine)
process.stdout.write(`ready ${(server.address() as AddressInfo).port}\n`)

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
clearInterval(reloading)
server.close()
server.closeAllConnections()
await engine[Symbol.asyncDispose]()
process.exit(0)

/**
 * This engine never refreshes a dictionary by its LIFETIME, which a real server does. A fifth of the time at most goes
 * into it, however long a load takes.
 */
function startDictionaryReload(target: Engine): NodeJS.Timeout {
  let notBefore = 0
  return setInterval(() => {
    const startedAt = performance.now()
    if (startedAt < notBefore) return
    notBefore = Number.POSITIVE_INFINITY
    void target.reloadDictionaries().finally(() => {
      const endedAt = performance.now()
      notBefore = endedAt + 4 * (endedAt - startedAt)
    })
  }, 1_000)
}

import { describe, expect, it, onTestFinished } from 'vitest'
import { AppError, createManualClock } from '@millrace/kernel'
import { bindMetrics, createRegistry, createSilentLogger } from '@millrace/observability'
import { replicaMetrics } from './metrics.ts'
import { createPostgresReads } from './postgres-reads.ts'
import type { Queryable } from './postgres-run.ts'

type Mode = 'up' | 'down' | 'hangs'

/** A primary that writes one byte a second, and replicas that have replayed what the test says. */
function setup(count = 1, atFirst: Mode = 'up') {
  const clock = createManualClock()
  const start = clock.monotonic()
  const seconds = (): number => Math.floor((clock.monotonic() - start) / 1_000)
  const lsnOf = (at: number): string => `0/${(at + 1).toString(16).toUpperCase()}`
  const asked: string[] = []
  const serve = (name: string, lsn: () => string, mode: () => Mode, standby = (): boolean => true): Queryable => ({
    query: async <R>(text: string) => {
      if (mode() === 'hangs') return await new Promise<never>(() => undefined)
      if (mode() === 'down') throw new AppError('PIPE_POSTGRES_UNAVAILABLE', 'down')
      if (text.includes('wal')) return [{ lsn: lsn(), standby: standby() } as R]
      asked.push(name)
      if (text === 'wrong') throw new AppError('PIPE_POSTGRES_REFUSED', 'wrong')
      return [{ name } as R]
    }
  })
  const primary = { mode: atFirst }
  const servers = Array.from({ length: count }, (_, index) => ({
    name: `replica ${index}`,
    mode: 'up' as Mode,
    behind: 0,
    standby: true
  }))
  const registry = createRegistry()
  const reads = createPostgresReads(
    servers.map((each) =>
      serve(
        each.name,
        () => lsnOf(seconds() - each.behind),
        () => each.mode,
        () => each.standby
      )
    ),
    {
      primary: serve(
        'primary',
        () => lsnOf(seconds()),
        () => primary.mode
      ),
      maxLagMs: 5_000,
      clock,
      log: createSilentLogger(),
      metrics: bindMetrics(replicaMetrics, registry)
    }
  )
  onTestFinished(async () => {
    const ended = reads[Symbol.asyncDispose]()
    await clock.advance(2_000)
    await ended
  })
  const who = async (): Promise<unknown> => (await reads.query('SELECT name'))[0]?.['name']
  const series = async (name: string): Promise<readonly string[]> =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith(name))
  return { clock, start, primary, servers, reads, who, asked, series }
}

describe('createPostgresReads', () => {
  it('asks the primary until a replica has been checked, then the replicas in turn', async () => {
    const { who, clock, series } = setup(2)
    expect(await who()).toBe('primary')
    await clock.advance(0)
    expect([await who(), await who(), await who()]).toEqual(['replica 0', 'replica 1', 'replica 0'])
    expect(await series('analytics_replica_reads_total')).toEqual([
      'analytics_replica_reads_total{store="postgres",from="primary"} 1',
      'analytics_replica_reads_total{store="postgres",from="replica"} 3'
    ])
  })

  it('leaves out a replica that is behind by more than the bound, counts it, and takes it back', async () => {
    const { who, clock, servers, reads, series } = setup()
    await clock.advance(20_000)
    const [replica] = servers
    if (replica === undefined) throw new Error('no replica')
    replica.behind = 4
    await clock.advance(1_000)
    expect(await who()).toBe('replica 0')
    replica.behind = 6
    await clock.advance(1_000)
    expect(await who()).toBe('primary')
    await expect(reads.check()).rejects.toThrow('replica 0: behind')
    expect(await series('analytics_replica_left_out_total')).toEqual([
      'analytics_replica_left_out_total{store="postgres",reason="behind"} 1'
    ])
    expect(await series('analytics_replica_behind_seconds')).toEqual([
      'analytics_replica_behind_seconds{store="postgres"} 6'
    ])
    replica.behind = 0
    await clock.advance(1_000)
    expect(await who()).toBe('replica 0')
    await reads.check()
  })

  it('does not ask a replica whose checks have stopped for longer than the bound', async () => {
    const { who, clock, servers } = setup()
    await clock.advance(20_000)
    // Neither the primary nor the replica says anything: the process itself stood still would look the same.
    for (const server of servers) server.mode = 'hangs'
    await clock.advance(7_000)
    for (const server of servers) server.mode = 'up'
    expect(await who()).toBe('primary')
  })

  it.each(['down', 'hangs'] as const)(
    'asks the primary at once when a replica is %s, and leaves it out',
    async (mode) => {
      const { who, clock, servers, reads } = setup()
      await clock.advance(1_500)
      for (const server of servers) server.mode = mode
      const answer = who()
      await clock.advance(mode === 'down' ? 0 : 500)
      expect(await answer).toBe('primary')
      await expect(reads.check()).rejects.toThrow(mode === 'down' ? /failed|away/ : /slow|away/)
      expect(await who()).toBe('primary')
    }
  )

  it('goes on with replicas that had everything while the primary is away', async () => {
    const { who, clock, servers, primary, reads, start } = setup(2)
    await clock.advance(20_000)
    const [whole, late] = servers
    if (whole === undefined || late === undefined) throw new Error('no replicas')
    late.behind = 3
    await clock.advance(1_000)
    primary.mode = 'down'
    // Nothing is written any more, and nothing arrives.
    whole.behind = -1_000
    late.behind = 1_000
    await clock.advance(60_000)
    expect([await who(), await who()]).toEqual(['replica 0', 'replica 0'])
    // That was known of it when the primary answered last.
    expect(await reads.ask('SELECT name')).toMatchObject({ from: 'replica', checkedAtMs: start + 21_000 })
  })

  it('takes the primary for away after three checks without an answer, not after two', async () => {
    const { who, clock, reads, start } = setup(1, 'down')
    await clock.advance(1_999)
    await expect(who()).rejects.toMatchObject({ code: 'PIPE_POSTGRES_UNAVAILABLE' })
    await clock.advance(1)
    // Nothing is known of the replica but that nothing is known that it lacks.
    expect(await reads.ask('SELECT name')).toMatchObject({ from: 'replica', checkedAtMs: start })
  })

  it('says until when what it read is whole', async () => {
    const { clock, servers, reads, start } = setup()
    await clock.advance(20_000)
    const [replica] = servers
    if (replica === undefined) throw new Error('no replica')
    replica.behind = 3
    await clock.advance(1_000)
    expect(await reads.ask('SELECT name')).toMatchObject({ from: 'replica', checkedAtMs: start + 18_000 })
    replica.mode = 'down'
    expect(await reads.ask('SELECT name')).toMatchObject({ from: 'primary', checkedAtMs: start + 21_000 })
  })

  it('asks the next replica when one fails while the primary is away', async () => {
    const { who, clock, servers, primary } = setup(2)
    await clock.advance(2_500)
    primary.mode = 'down'
    await clock.advance(3_000)
    const [first, second] = servers
    if (first === undefined || second === undefined) throw new Error('no replicas')
    first.mode = 'down'
    expect([await who(), await who()]).toEqual(['replica 1', 'replica 1'])
    second.mode = 'down'
    await expect(who()).rejects.toMatchObject({ code: 'PIPE_POSTGRES_UNAVAILABLE' })
  })

  it('does not read from a server that takes writes itself', async () => {
    const { who, clock, servers, reads } = setup()
    for (const server of servers) server.standby = false
    await clock.advance(2_000)
    expect(await who()).toBe('primary')
    await expect(reads.check()).rejects.toThrow('no_replica')
  })

  it('throws what is wrong with a statement without asking another server', async () => {
    const { reads, clock, asked } = setup()
    await clock.advance(1_000)
    await expect(reads.query('wrong')).rejects.toMatchObject({ code: 'PIPE_POSTGRES_REFUSED' })
    expect(asked).toEqual(['replica 0'])
    await reads.check()
  })

  it('is the primary when there are no replicas', async () => {
    const { reads, who, series } = setup(0)
    expect(await who()).toBe('primary')
    await reads.check()
    expect(await series('analytics_replica_reads_total{')).toEqual([])
  })
})

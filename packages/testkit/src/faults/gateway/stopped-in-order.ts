// The gateway is stopped in order twenty times under load: no connection is reset, nothing is lost. One kind of reset is
// nobody's to prevent: the kernel has completed a connection, and the port closes before the process accepts it. Clients
// see that at the first use of a connection, as they see a refused one.
import type { FaultCase } from '../fault-case.ts'
import { complain, openRig } from './rig.ts'

const stops = 20
const neverTaken: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ECONNRESET at first use'])

export const stoppedInOrder: FaultCase = {
  name: 'stopped-in-order',
  title: 'the gateway stopped with SIGTERM and started again, 20 times',
  counters: ['stopped under load', 'repeat recognised'],
  async run(context) {
    const { counters } = context
    await using rig = await openRig(context)
    for (let stop = 0; stop < stops; stop++) {
      await rig.traffic.moves(100)
      await rig.gateway.restart()
      counters.count('stopped under load')
      rig.over()
    }
    await rig.traffic.moves(300)
    const verdict = await rig.judge({
      further: (ledger) =>
        complain(
          'edge',
          'a connection that was reset',
          ledger.filter(({ end, code }) => end === 'timeout' || (end === 'cut' && !neverTaken.has(code)))
        )
    })
    counters.count('repeat recognised', rig.traffic.load.counts().duplicates)
    return verdict
  }
}

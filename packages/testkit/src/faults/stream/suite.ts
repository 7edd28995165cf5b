// What live windows and sessions promise under faults: they equal a recount of the log.
import type { FaultSuite } from '../fault-case.ts'
import { behind } from './behind.ts'
import { builderKilled } from './builder-killed.ts'
import { failedOver } from './failed-over.ts'
import { members } from './members.ts'
import { millionValues } from './million-values.ts'
import { postgresAway } from './postgres-away.ts'
import { rebuilt } from './rebuilt.ts'
import { redisFlushed } from './redis-flushed.ts'
import { redisHurt } from './redis-hurt.ts'
import { shuffled } from './shuffled.ts'
import { tellingKilled } from './telling-killed.ts'
import { topicsChanged } from './topics-changed.ts'
import { torn } from './torn.ts'
import { wildClients } from './wild-clients.ts'
import { zombie } from './zombie.ts'

export const streamSuite: FaultSuite = {
  name: 'stream',
  cases: [
    shuffled,
    behind,
    redisHurt,
    redisFlushed,
    zombie,
    tellingKilled,
    members,
    postgresAway,
    wildClients,
    millionValues,
    rebuilt,
    builderKilled,
    torn,
    failedOver,
    topicsChanged
  ],
  bugs: [
    { bug: 'aggregator-get-set-sessions', case: shuffled.name },
    { bug: 'aggregator-seen-expires', case: shuffled.name },
    { bug: 'aggregator-late-by-the-clock', case: behind.name },
    { bug: 'aggregator-without-cap', case: millionValues.name },
    { bug: 'aggregator-trusts-commit', case: redisHurt.name },
    { bug: 'aggregator-confirms-blindly', case: tellingKilled.name }
  ]
}

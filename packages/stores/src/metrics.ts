// Series of whoever reads from several servers of one store.
import { counter, gauge } from '@millrace/observability'

export const replicaMetrics = {
  reads: counter({
    name: 'analytics_replica_reads_total',
    help: 'Reads that any server of a store may answer, by the one that did: a replica, or the primary in its place.',
    labels: ['store', 'from']
  }),
  leftOut: counter({
    name: 'analytics_replica_left_out_total',
    help: 'Times that a server was left out: away (no answer to a check), behind, slow or failed (a read), no_replica (it takes writes).',
    labels: ['store', 'reason']
  }),
  usable: gauge({
    name: 'analytics_replicas_usable',
    help: 'Servers that reads are given to now; fewer than are configured is a reason to look.',
    labels: ['store'],
    across: 'average'
  }),
  configured: gauge({
    name: 'analytics_replicas_configured',
    help: 'Servers that reads may be given to, by the settings of the service.',
    labels: ['store'],
    across: 'average'
  }),
  behind: gauge({
    name: 'analytics_replica_behind_seconds',
    help: 'What the slowest replica that answers is behind; 600 and more are not told apart, and 0 when none answers.',
    labels: ['store'],
    across: 'max'
  })
}

// Series of the processor beside those of the consumer runtime.
import { counter } from '@millrace/observability'

export const processorMetrics = {
  produced: counter({
    name: 'analytics_processed_events_produced_total',
    help: 'Enriched events acknowledged by the processed topics; a repeated batch counts again.'
  }),
  producedBytes: counter({
    name: 'analytics_processed_bytes_produced_total',
    help: 'Bytes of those events before compression.'
  }),
  refused: counter({
    name: 'analytics_processed_events_refused_total',
    help: 'Enriched events that the processed topic refused for good, by reason.',
    labels: ['reason']
  })
}

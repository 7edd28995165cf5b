// The consumer runtime: joins a group and keeps batches moving until it is stopped or fails.
import type { Consumer, ConsumerDef, ConsumerDeps } from './definition.ts'

/** Joins the group of `def` and consumes in the background until disposed. */
export function startConsumer<Item>(_def: ConsumerDef<Item>, _deps: ConsumerDeps): Promise<Consumer> {
  throw new Error('not built yet')
}

// Stores that ops looks at besides those that it works with.
import { str } from '@millrace/config'

export const watchedStoreFields = {
  REDIS_DEDUP_URL: str({
    doc: 'Redis of the deduplication role, whose memory and evictions ops shows; empty: not.',
    default: ''
  }),
  REDIS_CACHE_URL: str({
    doc: 'Redis of the cache role, whose memory and evictions ops shows; empty: not.',
    default: ''
  })
}

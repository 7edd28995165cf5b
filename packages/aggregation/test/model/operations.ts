// The reducers as one value, so that a planted bug is another value.
import { apply } from '../../src/apply.ts'
import { close, remove } from '../../src/close.ts'
import { confirmSession, confirmWindow, readSession, readWindow } from '../../src/emit.ts'
import { abortEpoch, beginRebuild, checkEpoch, flip, initEpoch, replaceEpoch, seal, unseal } from '../../src/epochs.ts'
import { compareLog } from '../../src/log-identity.ts'

export const operations = {
  apply,
  close,
  remove,
  readWindow,
  confirmWindow,
  readSession,
  confirmSession,
  initEpoch,
  beginRebuild,
  seal,
  unseal,
  flip,
  replaceEpoch,
  abortEpoch,
  checkEpoch,
  compareLog
}

export type Operations = typeof operations

// Draws ports for a test and keeps running, as a launcher does between choosing its ports and its end.
import { freePorts } from '../src/listen.ts'

process.once('disconnect', () => process.exit())
process.send?.(await freePorts(60))

// Rows of events for tests of the fold.
import type { EventRow } from '@millrace/contracts'
import { digestOf } from '../src/fold.ts'
import type { FoldItem } from '../src/fold.ts'

/** A row that differs from an empty one in `change`; appended one second after its own time. */
export function rowOf(change: Partial<EventRow> & Pick<EventRow, 'eventId' | 'timestamp'>): EventRow {
  const appendedAt = change.appendedAt ?? change.timestamp + 1_000
  return {
    projectId: 'p',
    eventType: 'page_view',
    userId: '',
    anonymousId: '',
    sessionId: '',
    sentAt: null,
    receivedAt: appendedAt,
    appendedAt,
    latenessMs: appendedAt - change.timestamp,
    url: '',
    path: '',
    referrer: '',
    title: '',
    campaignSource: '',
    campaignMedium: '',
    campaignName: '',
    campaignTerm: '',
    campaignContent: '',
    trafficSource: 'direct',
    userAgent: '',
    deviceType: '',
    os: '',
    browser: '',
    isBot: false,
    ip: '',
    country: '',
    locale: '',
    libraryName: '',
    libraryVersion: '',
    properties: '{}',
    schemaVersion: 0,
    enrichVersion: 1,
    topic: 'events.p',
    partition: 0,
    offset: 0n,
    version: '0',
    ...change
  }
}

/** The item of a row. */
export function itemOf(row: EventRow, dependsOnReceipt = false): FoldItem {
  return { row, digest: digestOf(row.eventId), dependsOnReceipt }
}

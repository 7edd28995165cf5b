// Bounds of free-form JSON, checked by a loop: recursion over a client's nesting is how a process is taken down.

/** A broken bound and the RFC 6901 pointer to where it is broken. */
export interface JsonViolation {
  readonly code: 'too_deep' | 'too_many_keys' | 'number_out_of_range' | 'forbidden_key'
  readonly pointer: string
}

export interface JsonLimits {
  /** Levels of objects and arrays; the value itself is level 1. */
  readonly maxDepth: number
  /** Keys of all objects together. */
  readonly maxKeys: number
}

interface Frame {
  readonly value: object
  readonly depth: number
  readonly parent: Frame | undefined
  readonly key: string
}

/** The first broken bound inside `value` (a parsed JSON object or array), or undefined. `key` names it in pointers. */
export function checkJsonLimits(value: object, key: string, limits: JsonLimits): JsonViolation | undefined {
  const open: Frame[] = [{ value, depth: 1, parent: undefined, key }]
  let keys = 0
  for (let frame = open.pop(); frame !== undefined; frame = open.pop()) {
    if (frame.depth > limits.maxDepth) return { code: 'too_deep', pointer: pointerOf(frame) }
    const names = Array.isArray(frame.value) ? undefined : Object.keys(frame.value)
    const members: readonly unknown[] = Array.isArray(frame.value) ? frame.value : Object.values(frame.value)
    keys += names?.length ?? 0
    if (keys > limits.maxKeys) return { code: 'too_many_keys', pointer: pointerOf(frame) }
    for (let index = 0; index < members.length; index++) {
      const member = members[index]
      const name = names?.[index]
      if (name === '__proto__' || (name === 'constructor' && hasPrototype(member))) {
        return { code: 'forbidden_key', pointer: pointerOf(frame, name) }
      }
      // Written so that NaN would fail too; Infinity is what JSON.parse makes of 1e999.
      if (typeof member === 'number' && !(Math.abs(member) <= Number.MAX_SAFE_INTEGER)) {
        return { code: 'number_out_of_range', pointer: pointerOf(frame, name ?? String(index)) }
      }
      if (typeof member === 'object' && member !== null) {
        open.push({ value: member, depth: frame.depth + 1, parent: frame, key: name ?? String(index) })
      }
    }
  }
  return undefined
}

/** One segment of an RFC 6901 pointer, with its slash. */
export function pointerSegment(key: string): string {
  return `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

function hasPrototype(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype')
}

function pointerOf(frame: Frame, key?: string): string {
  let pointer = key === undefined ? '' : pointerSegment(key)
  for (let at: Frame | undefined = frame; at !== undefined; at = at.parent) pointer = pointerSegment(at.key) + pointer
  return pointer
}

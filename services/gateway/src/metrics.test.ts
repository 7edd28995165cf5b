import { describe, expect, it } from 'vitest'
import { createBoundedChildren, createChildren } from './metrics.ts'

function counts() {
  const seen: Record<string, number> = {}
  const looked: string[] = []
  const child = (value: string) => {
    looked.push(value)
    return (count: number) => void (seen[value] = (seen[value] ?? 0) + count)
  }
  return { seen, looked, child }
}

describe('createBoundedChildren', () => {
  it('counts the first values by name and later ones together', () => {
    const { seen, child } = counts()
    const count = createBoundedChildren(2, child)
    for (const type of ['a', 'b', 'c', 'a', 'd']) count(type)
    expect(seen).toEqual({ a: 2, b: 1, other: 2 })
  })
})

describe('createChildren', () => {
  it('looks a series up once', () => {
    const { seen, looked, child } = counts()
    const count = createChildren(child)
    count('a')
    count('a', 2)
    count('b')
    expect({ seen, looked }).toEqual({ seen: { a: 3, b: 1 }, looked: ['a', 'b'] })
  })
})

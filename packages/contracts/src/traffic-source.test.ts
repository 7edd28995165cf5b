import { describe, expect, it } from 'vitest'
import { classifyTraffic, pathOf } from './traffic-source.ts'

const visit = { source: '', medium: '', referrer: '', url: 'https://www.shop.example/p/1' }

describe('classifyTraffic', () => {
  it.each([
    [{ medium: 'cpc', referrer: 'https://www.google.com/' }, 'paid'],
    [{ medium: 'Email' }, 'email'],
    [{ medium: 'social' }, 'social'],
    [{ medium: 'affiliate' }, 'affiliate'],
    [{ medium: 'organic' }, 'search'],
    [{ source: 'flyer' }, 'campaign'],
    [{ medium: 'constructor' }, 'campaign'],
    [{ referrer: 'https://www.google.co.uk/search?q=x' }, 'search'],
    [{ referrer: 'https://duckduckgo.com' }, 'search'],
    [{ referrer: 'https://google.evil.example/' }, 'search'],
    [{ referrer: 'https://m.facebook.com/x' }, 'social'],
    [{ referrer: 'https://notfacebook.com/x' }, 'referral'],
    [{ referrer: 'https://shop.example:8443/cart' }, 'internal'],
    [{ referrer: 'https://blog.example/post' }, 'referral'],
    [{ referrer: 'android-app://com.mail' }, 'referral'],
    [{ referrer: 'not a url' }, 'direct'],
    [{}, 'direct']
  ])('puts %j into %s', (change, expected) => {
    expect(classifyTraffic({ ...visit, ...change })).toBe(expected)
  })
})

describe('pathOf', () => {
  it.each([
    ['https://shop.example/p/1?x=/y#z', '/p/1'],
    ['https://shop.example/p#a?b', '/p'],
    ['https://shop.example', ''],
    ['https://shop.example?x=/y', ''],
    ['//shop.example/a', '/a'],
    ['/a/b?c', '/a/b'],
    ['/a//b', '/a//b'],
    ['shop', ''],
    ['', '']
  ])('of %s is %j', (url, path) => {
    expect(pathOf(url)).toBe(path)
  })
})

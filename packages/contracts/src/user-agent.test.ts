import { describe, expect, it } from 'vitest'
import { scanUserAgent } from './user-agent.ts'

const webkit = 'AppleWebKit/537.36 (KHTML, like Gecko)'

describe('scanUserAgent', () => {
  it.each([
    [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${webkit} Chrome/126.0 Safari/537.36`, 'desktop', 'Windows', 'Chrome'],
    [
      `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${webkit} Chrome/126.0 Safari/537.36 Edg/126.0`,
      'desktop',
      'Windows',
      'Edge'
    ],
    [`Mozilla/5.0 (X11; Linux x86_64) ${webkit} Chrome/126.0 Safari/537.36 OPR/111.0`, 'desktop', 'Linux', 'Opera'],
    [`Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${webkit} Chrome/126.0 Safari/537.36`, 'desktop', 'ChromeOS', 'Chrome'],
    ['Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0', 'desktop', 'Linux', 'Firefox'],
    [
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1 Version/17.5 Safari/605.1',
      'desktop',
      'macOS',
      'Safari'
    ],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1 Version/17.5 Mobile/15E Safari/604.1',
      'mobile',
      'iOS',
      'Safari'
    ],
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1 CriOS/126.0 Mobile/15E Safari/604.1',
      'mobile',
      'iOS',
      'Chrome'
    ],
    [
      'Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1 Version/17.5 Mobile/15E Safari/604.1',
      'tablet',
      'iOS',
      'Safari'
    ],
    [
      `Mozilla/5.0 (Linux; Android 14; Pixel 8) ${webkit} Chrome/126.0 Mobile Safari/537.36`,
      'mobile',
      'Android',
      'Chrome'
    ],
    [
      `Mozilla/5.0 (Linux; Android 14; SM-X910) ${webkit} SamsungBrowser/25.0 Chrome/121.0 Safari/537.36`,
      'tablet',
      'Android',
      'Samsung Internet'
    ],
    [
      `Mozilla/5.0 (Linux; Android 9; CUBOT P30) ${webkit} Chrome/126.0 Mobile Safari/537.36`,
      'mobile',
      'Android',
      'Chrome'
    ],
    [
      'Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) AppleWebKit/537.36 Version/7.0 TV Safari/537.36',
      'tv',
      'Linux',
      'Safari'
    ],
    [
      'Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko',
      'desktop',
      'Windows',
      'Internet Explorer'
    ],
    ['something else', '', '', ''],
    ['', '', '', '']
  ])('reads %s', (agent, deviceType, os, browser) => {
    expect(scanUserAgent(agent)).toEqual({ deviceType, os, browser, isBot: false })
  })

  it.each([
    'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
    'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/126.0 Safari/537.36',
    'curl/8.5.0',
    'python-requests/2.32',
    'facebookexternalhit/1.1'
  ])('knows the automated client %s', (agent) => {
    expect(scanUserAgent(agent)).toMatchObject({ deviceType: 'bot', isBot: true })
  })
})

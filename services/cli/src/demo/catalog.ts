// What the demo shop sells, and where its visitors come from. Data only.

export interface Product {
  readonly sku: string
  readonly name: string
  readonly category: string
  /** Price in cents. */
  readonly priceCents: number
  readonly weight: number
}

export const products: readonly Product[] = [
  { sku: 'tent-2', name: 'Trail tent, 2 persons', category: 'tents', priceCents: 24_900, weight: 5 },
  { sku: 'tent-4', name: 'Family tent, 4 persons', category: 'tents', priceCents: 49_900, weight: 2 },
  { sku: 'bag-down', name: 'Down sleeping bag', category: 'sleeping', priceCents: 18_900, weight: 4 },
  { sku: 'mat-light', name: 'Light sleeping mat', category: 'sleeping', priceCents: 7_990, weight: 7 },
  { sku: 'stove-gas', name: 'Gas stove', category: 'kitchen', priceCents: 4_990, weight: 8 },
  { sku: 'pot-set', name: 'Pot set, titanium', category: 'kitchen', priceCents: 8_450, weight: 4 },
  { sku: 'mug', name: 'Enamel mug', category: 'kitchen', priceCents: 1_290, weight: 12 },
  { sku: 'boots', name: 'Hiking boots', category: 'shoes', priceCents: 19_900, weight: 9 },
  { sku: 'sandals', name: 'River sandals', category: 'shoes', priceCents: 6_900, weight: 5 },
  { sku: 'pack-40', name: 'Backpack, 40 l', category: 'packs', priceCents: 12_900, weight: 8 },
  { sku: 'pack-65', name: 'Backpack, 65 l', category: 'packs', priceCents: 17_900, weight: 3 },
  { sku: 'lamp', name: 'Head lamp', category: 'light', priceCents: 3_990, weight: 11 }
]

export const searches = ['tent', 'sleeping bag', 'boots 43', 'stove', 'rucksack', 'waterproof', 'größe 42', 'lamp']

/** Where a visit comes from: a campaign, a referring site, or neither. */
export interface Source {
  readonly weight: number
  readonly referrer?: string
  readonly campaign?: { readonly source: string; readonly medium: string; readonly name: string }
}

export const sources: readonly Source[] = [
  { weight: 34 },
  { weight: 26, referrer: 'https://www.google.com/' },
  { weight: 6, referrer: 'https://duckduckgo.com/' },
  { weight: 5, referrer: 'https://trail-notes.example/best-tents' },
  {
    weight: 12,
    referrer: 'https://www.google.com/',
    campaign: { source: 'google', medium: 'cpc', name: 'spring-sale' }
  },
  { weight: 9, campaign: { source: 'newsletter', medium: 'email', name: 'week-12' } },
  {
    weight: 8,
    referrer: 'https://www.instagram.com/',
    campaign: { source: 'instagram', medium: 'social', name: 'summit' }
  }
]

/** A browser as it names itself. */
export interface Device {
  readonly weight: number
  readonly userAgent: string
}

export const devices: readonly Device[] = [
  {
    weight: 30,
    userAgent:
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1'
  },
  {
    weight: 25,
    userAgent:
      'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Mobile Safari/537.36'
  },
  {
    weight: 22,
    userAgent:
      'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36'
  },
  {
    weight: 10,
    userAgent:
      'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15'
  },
  { weight: 8, userAgent: 'Mozilla/5.0 (X11; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0' },
  {
    weight: 4,
    userAgent:
      'Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1'
  },
  { weight: 1, userAgent: 'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)' }
]

export const locales = ['en-US', 'en-GB', 'de-DE', 'de-CH', 'fr-FR', 'es-ES']

/** The name under which this tab joins: the person's choice, else browser and system. */

const storageKey = 'lockstep.name';

export function deviceName(): string {
  return localStorage.getItem(storageKey) ?? defaultName();
}

/** Stores a name for the next time and returns it; an empty one brings the default back. */
export function chooseDeviceName(text: string): string {
  const name = text.trim();
  if (name === '') localStorage.removeItem(storageKey);
  else localStorage.setItem(storageKey, name);
  return deviceName();
}

/** In the order in which they are looked for: Edge also claims to be Chrome, and Chrome to be Safari. */
const browsers = { 'Edg/': 'Edge', 'Firefox/': 'Firefox', 'Chrome/': 'Chrome', 'Safari/': 'Safari' };
const systems = {
  Android: 'Android',
  iPhone: 'iPhone',
  iPad: 'iPad',
  Windows: 'Windows',
  CrOS: 'ChromeOS',
  'Mac OS X': 'Mac',
  Linux: 'Linux',
};

/** "Chrome on Android". */
function defaultName(): string {
  const find = (names: Readonly<Record<string, string>>): string | undefined =>
    Object.entries(names).find(([mark]) => navigator.userAgent.includes(mark))?.[1];
  const system = find(systems);
  return `${find(browsers) ?? 'Browser'}${system === undefined ? '' : ` on ${system}`}`;
}

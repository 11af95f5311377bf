/** The name under which this tab joins: the person's choice, or by default browser and system. */

const storageKey = 'lockstep.name';

export function deviceName(): string {
  return localStorage.getItem(storageKey) ?? defaultName();
}

/** Stores a name for the next visit and returns it; an empty name restores the default. */
export function chooseDeviceName(text: string): string {
  const name = text.trim();
  if (name === '') localStorage.removeItem(storageKey);
  else localStorage.setItem(storageKey, name);
  return deviceName();
}

/** Checked in this order: Edge also claims to be Chrome, and Chrome to be Safari. */
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

/** Returns a name such as "Chrome on Android". */
function defaultName(): string {
  const find = (names: Readonly<Record<string, string>>): string | undefined =>
    Object.entries(names).find(([mark]) => navigator.userAgent.includes(mark))?.[1];
  const system = find(systems);
  return `${find(browsers) ?? 'Browser'}${system === undefined ? '' : ` on ${system}`}`;
}

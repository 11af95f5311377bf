import { expect, it } from 'vitest';
import { fleetJoinLines } from '../src/fleet.ts';

const here = 'nats://127.0.0.1:4222';
const away = 'tls://a.example:4222,tls://b.example:4222';
const only =
  'Only this machine can reach ws://x:1: use --host, or --announce behind a proxy, to let other machines join.';
const join = (place: string, run = ''): string => `Join through the fleet: npm run worker -- --fleet ${place}${run}`;

it.each([
  ['NATS here', here, {}, '127.0.0.1', [join(here)]],
  ['NATS elsewhere, an address of this machine alone', away, { run: 'a' }, '127.0.0.1', [join(away, ' --run a'), only]],
  ['an address of the network', away, {}, '0.0.0.0', [join(away)]],
  ['a proxy', away, { announce: 'wss://y' }, 'localhost', [join(away)]],
])('%s', (_title, place, options, host, lines) => {
  expect(fleetJoinLines(place, { run: undefined, announce: undefined, ...options }, { host, url: 'ws://x:1' })).toEqual(
    lines,
  );
});

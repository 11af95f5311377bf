/** Checks that copied links and commands join the run, wherever the page was opened. */
import { expect, it } from 'vitest';
import { invitationOf, joinCommand, joinLink } from '../src/panels/invite.tsx';

const run = {
  joinAddresses: ['http://10.0.0.5:7070/', 'ws://10.0.0.5:7070'],
  workerCommand: 'npm run worker -- --url',
};

it.each([
  ['on the same machine, by the address that others reach', 'http://localhost:7070/#run', 'ws://10.0.0.5:7070'],
  ['elsewhere, by the address of the page', 'http://room.local:7070/', 'ws://room.local:7070'],
  ['through a proxy, by the address of the proxy', 'https://train.example/', 'wss://train.example'],
  ['below a path of a proxy, by that path', 'https://train.example/a/#run', 'wss://train.example/a'],
])('%s', (_, page, address) => {
  expect(joinCommand(run, undefined, new URL(page))).toBe(`npm run worker -- --url ${address}`);
  const link = joinLink(run, undefined, new URL(page));
  expect(link).toBe(`${address.replace('ws', 'http')}/#join`);
});

it('carries the token, as a word of the shell, and the fingerprint of a certificate', () => {
  const secure = {
    joinAddresses: ['https://10.0.0.5:7070/', 'wss://10.0.0.5:7070/?fingerprint=ab'],
    workerCommand: 'npx lockstep worker --url',
  };
  const page = new URL('https://10.0.0.5:7070/');
  expect(joinCommand(secure, "it's", page)).toBe(
    "LOCKSTEP_TOKEN='it'\\''s' npx lockstep worker --url 'wss://10.0.0.5:7070/?fingerprint=ab'",
  );
  expect(joinLink(secure, 'a b', page)).toBe('https://10.0.0.5:7070/#join&token=a+b');
});

it.each([
  ['http://127.0.0.1:7070/', 'http://127.0.0.1:7070/', undefined, 'loopback'],
  ['http://[::1]:7070/', 'http://localhost:7070/', 'secret', 'loopback'],
  ['http://10.0.0.5:7070/', 'http://127.0.0.1:7070/', 'secret', 'open'],
  ['http://127.0.0.1:7070/', 'https://proxy.example/', 'secret', 'open'],
  ['http://10.0.0.5:7070/', 'http://10.0.0.5:7070/', undefined, 'no-token'],
])('a run at %s whose page is %s, with the token %s, invites as %s', (address, page, token, type) => {
  const place = { ...run, joinAddresses: [address], tokenNeeded: !address.includes('127.0.0.1') };
  expect(invitationOf(place, token, new URL(page))).toMatchObject({ type });
});

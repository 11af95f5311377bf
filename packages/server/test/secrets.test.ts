/** A coordinator's secrets, kept beside its checkpoints, and the addresses that carry them. */
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { hostname, type NetworkInterfaceInfo } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { prepareArguments } from '../../prepare/test/prepare-arguments.ts';
import { temporaryFolder } from '../../train/test/folder.ts';
import { tinyArgs } from '../../train/test/tiny-data.ts';
import { addressesOf, bareHost, isLoopback, reachableHost } from '../src/secrets.ts';

const folder = temporaryFolder();
const tiny = await tinyArgs(folder);

/** A run that could start; nothing listens. */
const prepared = (...args: string[]) => prepareArguments([...tiny, ...args]);
/** The token that workers need. */
const tokenOf = async (...args: string[]): Promise<string | undefined> => (await prepared(...args)).token;

const fileIn = (checkpoints: string): string => join(checkpoints, 'join-token');

describe('the token of a run that others may join', () => {
  it('is kept beside the checkpoints, for its owner alone, and is that of the run that goes on', async () => {
    const open = ['--host', '0.0.0.0', '--checkpoint', join(folder, 'kept')];
    const token = await tokenOf(...open);
    const file = fileIn(join(folder, 'kept'));
    expect(readFileSync(file, 'utf8')).toBe(`${token}\n`);
    if (process.platform !== 'win32') expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await tokenOf(...open, '--resume')).toBe(token);
    const other = await tokenOf(...open);
    expect(other).not.toBe(token);
    expect(await tokenOf(...open, '--resume')).toBe(other);
  });

  it.each<[what: string, text: string | undefined, mode: number]>([
    ['is no token', 'x', 0o600],
    ['is empty', '', 0o600],
    ['others can read', undefined, 0o604],
    ['its group can read', undefined, 0o640],
    ['its group can write', undefined, 0o620],
  ])('is made again if what was kept %s', async (what, text, mode) => {
    const checkpoints = join(folder, what);
    const open = ['--host', '0.0.0.0', '--checkpoint', checkpoints];
    const token = await tokenOf(...open);
    if (text !== undefined) writeFileSync(fileIn(checkpoints), text);
    chmodSync(fileIn(checkpoints), mode);
    const next = await tokenOf(...open, '--resume');
    expect(next).toMatch(/^[\w-]{22}$/);
    expect(next).not.toBe(token);
    expect(statSync(fileIn(checkpoints)).mode & 0o077).toBe(0);
  });

  it('has a code that stands for it, which is kept as well, even if the token was given', async () => {
    const open = ['--host', '0.0.0.0', '--token', 'secret', '--checkpoint', join(folder, 'code')];
    const { code } = await prepared(...open);
    expect(code).toMatch(/^[A-HJKMNP-Z2-9]{6}$/);
    const file = join(folder, 'code', 'join-code');
    if (process.platform !== 'win32') expect(statSync(file).mode & 0o777).toBe(0o600);
    expect((await prepared(...open, '--resume')).code).toBe(code);
    writeFileSync(file, 'ABC10L');
    expect((await prepared(...open, '--resume')).code).not.toBe('ABC10L');
    expect((await prepared(...open)).code).not.toBe(code);
    expect((await prepared('--checkpoint', join(folder, 'no code'))).code).toBeUndefined();
  });

  it('is not kept if it was given, or none is needed', async () => {
    const checkpoints = join(folder, 'none');
    expect(await tokenOf('--host', '0.0.0.0', '--token', 'secret', '--checkpoint', checkpoints)).toBe('secret');
    expect(await tokenOf('--checkpoint', checkpoints)).toBeUndefined();
    expect(readdirSync(checkpoints)).toEqual(['join-code']);
  });
});

describe('the certificate that --tls makes', () => {
  const fingerprintOf = async (...args: string[]): Promise<string | undefined> =>
    (await prepared('--tls', ...args)).tls?.fingerprint;

  it('is kept for the run that goes on, which its workers then trust', async () => {
    const checkpoints = join(folder, 'certificate');
    const fingerprint = await fingerprintOf('--checkpoint', checkpoints);
    expect(fingerprint).toMatch(/^[0-9a-f]{64}$/);
    if (process.platform !== 'win32') expect(statSync(join(checkpoints, 'certificate.json')).mode & 0o777).toBe(0o600);
    expect(await fingerprintOf('--checkpoint', checkpoints, '--resume')).toBe(fingerprint);
    expect(await fingerprintOf('--checkpoint', checkpoints)).not.toBe(fingerprint);
    // A file that holds no certificate is replaced.
    writeFileSync(join(checkpoints, 'certificate.json'), '{"key":"x","cert":"y"}');
    const next = await fingerprintOf('--checkpoint', checkpoints, '--resume');
    expect(next).toMatch(/^[0-9a-f]{64}$/);
    expect(next).not.toBe(fingerprint);
  });
});

it.each([
  ['127.0.0.1', '127.0.0.1', true],
  ['localhost', 'localhost', true],
  ['::1', '[::1]', true],
  ['[::1]', '[::1]', true],
  ['[fe80::1]', '[fe80::1]', false],
  ['192.0.2.1', '192.0.2.1', false],
  ['127.example', '127.example', false],
])('%s is %s in an address', (host, inAddress, isHere) => {
  expect(isLoopback(host)).toBe(isHere);
  const { worker, page } = addressesOf({ token: undefined, adminToken: 'a', tls: undefined }, bareHost(host), 7070);
  expect([worker, page]).toEqual([`ws://${inAddress}:7070`, `http://${inAddress}:7070/#join`]);
});

const details = { netmask: '', mac: '', cidr: null };
const ipv4 = (address: string, internal = false): NetworkInterfaceInfo => ({
  ...{ ...details, family: 'IPv4', address, internal },
});
const ipv6 = (address: string, scopeid = 0, internal = false): NetworkInterfaceInfo => ({
  ...{ ...details, family: 'IPv6', address, scopeid, internal },
});
const [local4, local6] = [ipv4('127.0.0.1', true), ipv6('::1', 0, true)];

it.each<[host: string, interfaces: NetworkInterfaceInfo[], shown: string]>([
  ['0.0.0.0', [local4, local6, ipv6('2001:db8::1'), ipv4('192.0.2.1')], '192.0.2.1'],
  ['::', [local4, local6, ipv6('2001:db8::1'), ipv4('192.0.2.1')], '192.0.2.1'],
  ['::', [local4, local6, ipv6('fe80::1', 2), ipv6('2001:db8::1')], '2001:db8::1'],
  ['0.0.0.0', [local4, local6, ipv6('2001:db8::1')], hostname()],
  ['::', [local4, local6, ipv6('fe80::1', 2)], hostname()],
])('on %s, others join at an address that they can reach: %#', (host, entries, shown) => {
  expect(reachableHost(host, { all: entries })).toBe(shown);
});

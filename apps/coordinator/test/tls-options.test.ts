import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandFailure, parseOptions, tlsOf, tlsOptions } from '@lockstep/command';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { runInside } from './processes.ts';

const folder = temporaryFolder();
const file = join(folder, 'text.pem');
writeFileSync(file, 'a text');
const tlsFrom = (...args: readonly string[]) => tlsOf(parseOptions(tlsOptions, args));

describe('the options of a certificate', () => {
  it('name files, whose texts are read', () => {
    const text = readFileSync(file, 'utf8');
    expect(tlsFrom('--tls-cert', file, '--tls-key', file)).toEqual({ cert: text, key: text });
  });

  it.each<[name: string, args: readonly string[], message: RegExp]>([
    ['a certificate alone', ['--tls-cert', file], /^--tls-cert: expected with --tls-key, got only the certificate$/],
    ['a key alone', ['--tls-key', file], /^--tls-key: expected with --tls-cert, got only the key$/],
    ['both ways', ['--tls', '--tls-cert', file, '--tls-key', file], /^--tls: expected without/],
    ['a missing file', ['--tls-cert', '/nowhere', '--tls-key', file], /^--tls-cert: \/nowhere: expected a file/],
  ])('cannot be %s', (_name, args, message) => {
    const use = (): unknown => tlsFrom(...args);
    expect(use).toThrow(CommandFailure);
    expect(use).toThrow(message);
  });

  it('are named with their files where these are no certificate with its key', async () => {
    const args = [...(await tinyArgs(folder)), '--tls-cert', file, '--tls-key', file];
    const { code, stderr } = await runInside('coordinator', ['start', ...args]);
    const sentence = `--tls-cert ${file}: expected a PEM certificate that --tls-key ${file} belongs to`;
    expect({ code, stderr }).toEqual({ code: 2, stderr: `lockstep: ${sentence}\n` });
  });
});

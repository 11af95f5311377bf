import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { readRegularFile } from '../src/read-regular-file.ts';
import { isPosix, makePipe, temporaryFolder } from './temporary-folder.ts';

const folder = temporaryFolder();
const place = (name: string): string => join(folder, name);

describe('readRegularFile', () => {
  it('reads a file, also through a link, up to the bound', () => {
    writeFileSync(place('file'), 'text');
    symlinkSync('file', place('link'));
    for (const name of ['file', 'link']) expect(Buffer.from(readRegularFile(place(name), 4)).toString()).toBe('text');
    expect(() => readRegularFile(place('file'), 3)).toThrow(/file: expected at most 0\.0 MiB, got 0\.0 MiB$/);
  });

  it.each<[what: string, path: string, message: RegExp]>([
    ['nothing', place('nothing'), /nothing: expected a file that can be read, got nothing there$/],
    ['a folder', folder, /: expected a regular file, got a folder$/],
    ['a path through a file', place('file/inside'), /inside: .* got a file where a folder is needed$/],
    ['a name that is too long', place('x'.repeat(5_000)), /^.{1,300}: .* got a name that is too long$/],
    ['a name with a NUL', place('a\0b'), /a\\u0000b: .* got a name with a NUL character$/],
    ['a name with a line break', place('a\nb'), /a\\nb: .* got nothing there$/],
  ])('refuses %s', (_what, path, message) => {
    writeFileSync(place('file'), 'text');
    expect(() => readRegularFile(path, 100)).toThrow(message);
  });

  it.runIf(existsSync('/proc/self/maps'))('reads a file that does not report its size, up to the bound', () => {
    const look = vi.fn();
    const bytes = readRegularFile('/proc/self/maps', 2 ** 24, look);
    expect(Buffer.from(bytes).toString()).toMatch(/^[0-9a-f]+-[0-9a-f]+ /);
    expect(look).toHaveBeenCalledWith(expect.any(Uint8Array), 0);
    expect(() => readRegularFile('/proc/self/maps', 100)).toThrow(/maps: expected at most 0\.0 MiB, got more$/);
  });

  it.runIf(isPosix)('refuses what could block or never end, without waiting', async () => {
    expect(() => readRegularFile(makePipe(place('pipe')), 100)).toThrow(/expected a regular file, got a named pipe$/);
    expect(() => readRegularFile('/dev/zero', 100)).toThrow(/expected a regular file, got a device$/);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(place('socket'), resolve));
    expect(() => readRegularFile(place('socket'), 100)).toThrow(/socket: .* got no process at its other end$/);
    await new Promise((resolve) => server.close(resolve));
  });
});

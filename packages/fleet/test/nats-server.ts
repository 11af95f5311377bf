/** A NATS server for a test, if the machine has the program. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Changes } from '../../protocol/test/changes.ts';

export const hasNatsServer = ((): boolean => {
  try {
    execFileSync('nats-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

export interface NatsServer {
  /** Address, such as `nats://127.0.0.1:41234`. */
  readonly url: string;
  /** Resolves when a line of the log matches, including earlier lines. */
  logged(pattern: RegExp): Promise<RegExpExecArray>;
  close(): Promise<void>;
}

/** @param args by default those of one server with JetStream on any port */
export async function startNatsServer(args?: readonly string[]): Promise<NatsServer> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-nats-'));
  const own = ['--jetstream', '--store_dir', folder, '--addr', '127.0.0.1', '--port', '-1'];
  const child = spawn('nats-server', args ?? own, { stdio: ['ignore', 'ignore', 'pipe'] });
  const logged = readLog(child);
  const close = (): Promise<void> => end(child, folder);
  try {
    await logged(/Server is ready/);
    const [, address] = await logged(/Listening for client connections on (\S+)/);
    return { url: `nats://${address}`, logged, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function readLog(child: ChildProcess): NatsServer['logged'] {
  let log = '';
  let isOver = false;
  const changes = new Changes();
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    log += text;
    changes.noted();
  });
  child.once('close', () => {
    isOver = true;
    changes.noted();
  });
  return (pattern) =>
    changes.until(() => {
      const match = pattern.exec(log);
      if (!match && isOver) throw new Error(`nats-server: expected ${pattern} in its log, got:\n${log}`);
      return match ?? undefined;
    });
}

async function end(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
}

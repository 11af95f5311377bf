/** A NATS server of the test's own, where the machine has the program. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const hasNatsServer = ((): boolean => {
  try {
    execFileSync('nats-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

export interface NatsServer {
  /** Such as `nats://127.0.0.1:41234`. */
  readonly url: string;
  close(): Promise<void>;
}

/** @param args in place of those for one server with JetStream on any port */
export async function startNatsServer(args?: readonly string[]): Promise<NatsServer> {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-nats-'));
  const own = ['--jetstream', '--store_dir', folder, '--addr', '127.0.0.1', '--port', '-1'];
  const child = spawn('nats-server', [...(args ?? own)], { stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    return { url: await urlOf(child), close: () => end(child, folder) };
  } catch (error) {
    await end(child, folder);
    throw error;
  }
}

async function urlOf(child: ChildProcess): Promise<string> {
  let [address, all] = ['', ''];
  for await (const line of createInterface({ input: child.stderr! })) {
    all += `${line}\n`;
    address = /Listening for client connections on (\S+)/.exec(line)?.[1] ?? address;
    if (line.includes('Server is ready')) {
      child.stderr!.resume();
      return `nats://${address}`;
    }
  }
  throw new Error(`nats-server: expected it to be ready, got:\n${all}`);
}

async function end(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
}

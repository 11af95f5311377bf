/** A user's project that installs our packages with plain npm. */
import { type SpawnOptionsWithoutStdio, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type PackedPackage, packAll } from './packed.ts';
import { type Registry, startRegistry } from './registry.ts';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A separate folder, and a registry with the packed packages. */
export class Project {
  readonly folder = mkdtempSync(join(tmpdir(), 'lockstep-project-'));
  readonly packed: readonly PackedPackage[];
  readonly #registry: Registry;

  private constructor(packed: readonly PackedPackage[], registry: Registry) {
    this.packed = packed;
    this.#registry = registry;
  }

  static async open(): Promise<Project> {
    const tarballs = mkdtempSync(join(tmpdir(), 'lockstep-tarballs-'));
    try {
      const packed = packAll(tarballs);
      return new Project(packed, await startRegistry(packed));
    } finally {
      rmSync(tarballs, { recursive: true, force: true });
    }
  }

  write(file: string, text: string): void {
    const path = join(this.folder, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  /** Runs a program in the project's folder, or in one inside it, to its end. */
  run(program: string, args: readonly string[], folder = '.'): Promise<Ended> {
    return endOf(this.start(program, args, folder));
  }

  /** Starts a program as a user does: without the environment variables that vitest and npm have added. */
  start(program: string, args: readonly string[], folder = '.') {
    const kept = Object.entries(process.env).filter(([name]) => !/^(npm_|VITEST|NODE_|LOCKSTEP_)/i.test(name));
    const options: SpawnOptionsWithoutStdio = {
      cwd: join(this.folder, folder),
      env: {
        ...Object.fromEntries(kept),
        npm_config_registry: this.#registry.url,
        npm_config_prefer_offline: 'true',
        npm_config_audit: 'false',
        npm_config_fund: 'false',
        npm_config_yes: 'true',
        npm_config_update_notifier: 'false',
      },
    };
    return spawn(program, args, options);
  }

  close(): void {
    this.#registry.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function endOf(child: ReturnType<Project['start']>): Promise<Ended> {
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      printed[name] += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...printed }));
  });
}

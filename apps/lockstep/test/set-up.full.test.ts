/** A clone's commands with fake package managers: what they install, build and print. */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';

const root = join(import.meta.dirname, '../../..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).devEngines.packageManager;

/** Logs its start and end, and does `work` in between; with HOLD, once the file `.tools/go` exists. */
const fake = (name: string, work: string): string => `#!/usr/bin/env node
const fs = require('node:fs');
const { join } = require('node:path');
const note = (what) => fs.appendFileSync(join(process.cwd(), '.tools', 'steps'), '${name} ' + what + '\\n');
const write = (file, text, mode) => {
  fs.mkdirSync(join(process.cwd(), file, '..'), { recursive: true });
  fs.writeFileSync(join(process.cwd(), file), text, { mode });
};
const fails = (text) => {
  console.error(text);
  process.exit(1);
};
note('begins');
const held = setInterval(() => {
  if (process.env.HOLD && !fs.existsSync('.tools/go')) return;
  clearInterval(held);
  ${work}
  note('ends');
}, 50);
`;
const turbo = fake(
  'turbo',
  `if (process.env.WITH_NPM && !fs.existsSync('.tools/seen')) {
    write('.tools/seen', '');
    write('node_modules/turbo/package.json', '{}');
    fails('ENOENT: no such file or directory');
  }`,
);
const pnpm = fake(
  'pnpm',
  `if (process.env.PNPM_FAILS) {
    write('node_modules/.pnpm/half', '');
    fails('for another reason');
  }
  write('node_modules/.modules.yaml', '');
  write('node_modules/.bin/turbo', ${JSON.stringify(turbo)}, 0o755);`,
);
const npm = fake(
  'npm',
  `if (process.env.NO_REGISTRY && process.argv.includes('--loglevel=error')) {
    fails('npm error code ECONNREFUSED\\nnpm error request to http://127.0.0.1:9/pnpm failed');
  }
  if (process.env.NO_REGISTRY) process.exit(1);
  write('.tools/node_modules/pnpm/package.json', '{ "version": "${version}" }');
  write('.tools/node_modules/.bin/pnpm', ${JSON.stringify(pnpm)}, 0o755);`,
);

const waits = 'Another command is setting up this clone; waiting for it to finish …';
const installs = 'Installing what is needed to build and run (once; fetches up to 139 MB) …';
const builds = 'Building (once) …';
const allSteps = ['npm', 'pnpm', 'turbo'].flatMap((name) => [`${name} begins`, `${name} ends`]);

class Clone {
  readonly folder = mkdtempSync(join(tmpdir(), 'lockstep-clone-'));

  constructor() {
    onTestFinished(() => rmSync(this.folder, { recursive: true, force: true }));
    chmodSync(this.folder, 0o755);
    for (const file of ['scripts', 'package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml']) {
      cpSync(join(root, file), join(this.folder, file), { recursive: true });
    }
    for (const file of ['child.mjs', 'programs.mjs']) {
      cpSync(join(root, 'apps', 'lockstep', file), join(this.folder, 'apps', 'lockstep', file));
    }
    this.write('apps/worker/dist/main.js', "console.log('runs');");
    this.write('packages/train/src/index.ts', '');
    this.write('bin/npm', npm, 0o755);
    this.write('bin/package.json', '{}');
  }

  write(file: string, text: string, mode = 0o644): void {
    mkdirSync(dirname(join(this.folder, file)), { recursive: true });
    writeFileSync(join(this.folder, file), text, { mode });
  }

  /** Starts `npm run worker`. */
  start(env: Record<string, string> = {}, as?: number) {
    const child = spawn(process.execPath, ['scripts/lockstep.mjs', 'worker'], {
      cwd: this.folder,
      env: { PATH: [join(this.folder, 'bin'), dirname(process.execPath), '/bin', '/usr/bin'].join(delimiter), ...env },
      ...(as === undefined ? {} : { uid: as, gid: as }),
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let printed = '';
    /** Resolves when the command has printed a line; fails if it ends without it. */
    const prints = async (line: string): Promise<void> => {
      while (!printed.includes(line)) {
        if (child.exitCode !== null) throw new Error(`expected ${line}, got ${printed}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        printed += text;
      });
    }
    const ended = new Promise<{ code: number | null; lines: string[] }>((resolve) => {
      child.on('close', (code) => resolve({ code, lines: printed.trimEnd().split('\n') }));
    });
    return { child, ended, prints };
  }

  run(env?: Record<string, string>, as?: number) {
    return this.start(env, as).ended;
  }

  steps(): string[] {
    const file = join(this.folder, '.tools', 'steps');
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
  }

  /** Whether a command has recorded the process group of the step that it runs now. */
  hasRecordedStep(): boolean {
    const folder = join(this.folder, '.tools', 'set-up');
    try {
      return readdirSync(folder).some((name) => {
        const group = /"group":(\d+)/.exec(readFileSync(join(folder, name), 'utf8'))?.[1];
        return group !== undefined && process.kill(-Number(group), 0);
      });
    } catch {
      // That of the step before, which has ended.
      return false;
    }
  }

  /** Resolves when a step of a command has begun, and is recorded. @param before number of steps logged earlier */
  async begun(step: string, { child }: ReturnType<Clone['start']>, before: number): Promise<void> {
    while (!this.steps().slice(before).includes(`${step} begins`) || !this.hasRecordedStep()) {
      if (child.exitCode !== null) throw new Error(`expected ${step} to begin, the command has ended`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

describe('a command in a new clone', () => {
  it('installs, builds and runs; the next one only builds what has changed', async () => {
    const clone = new Clone();
    expect(await clone.run()).toEqual({ code: 0, lines: [installs, builds, 'runs'] });
    expect(clone.steps()).toEqual(allSteps);
    expect(await clone.run()).toEqual({ code: 0, lines: ['runs'] });
    expect(clone.steps()).toEqual([...allSteps, 'turbo begins', 'turbo ends']);
    clone.write('pnpm-lock.yaml', 'changed by a pull');
    expect(await clone.run()).toEqual({ code: 0, lines: [installs, 'runs'] });
  });

  it('says that it builds only if there is something to build, however long it takes to find out', async () => {
    const clone = new Clone();
    // Every pause ends at once, as on a busy machine.
    const busy = { NODE_OPTIONS: '--import=data:text/javascript,globalThis.setTimeout=setImmediate' };
    expect((await clone.run(busy)).lines).toEqual([installs, builds, 'runs']);
    expect((await clone.run(busy)).lines).toEqual(['runs']);
    clone.write('packages/train/src/index.ts', 'changed');
    expect((await clone.run(busy)).lines).toEqual(['Building what has changed …', 'runs']);
  });

  it('waits while others install and build, each of which is done once', async () => {
    const clone = new Clone();
    const ends = await Promise.all([clone.run(), clone.run(), clone.run()]);
    const lines = ends.flatMap((end) => end.lines).filter((line) => line !== waits);
    expect(ends.map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(lines.sort()).toEqual([builds, installs, 'runs', 'runs', 'runs']);
    const again = ['turbo begins', 'turbo ends'];
    expect(clone.steps()).toEqual([...allSteps, ...again, ...again]);
  });

  it.each(['npm', 'pnpm', 'turbo'])('takes over from one that is killed in %s, when that has ended', async (step) => {
    const clone = new Clone();
    if (step !== 'npm') await clone.run();
    if (step === 'pnpm') clone.write('pnpm-lock.yaml', 'changed');
    const before = clone.steps().length;
    const first = clone.start({ HOLD: 'yes' });
    await clone.begun(step, first, before);
    first.child.kill('SIGKILL');
    const second = clone.start();
    await second.prints(waits);
    expect(clone.steps()).toHaveLength(before + 1);
    clone.write('.tools/go', '');
    expect(await second.ended).toMatchObject({ code: 0 });
    const steps = clone.steps();
    for (let index = 0; index < steps.length; index += 2) {
      expect(steps[index + 1]).toBe(steps[index]!.replace('begins', 'ends'));
    }
  });

  it.each(['notice', 'silent'])(
    'says in one sentence that there is no registry, at the log level %s',
    async (level) => {
      const { code, lines } = await new Clone().run({ NO_REGISTRY: 'yes', npm_config_loglevel: level });
      expect([code, lines]).toEqual([
        1,
        [
          installs,
          "lockstep: getting pnpm failed: the package registry http://127.0.0.1:9/ could not be reached; check the network, or npm's settings registry and proxy, and run the command again",
        ],
      ]);
    },
  );

  it('shows what a step printed that failed for another reason, and begins again next time', async () => {
    const clone = new Clone();
    const said = 'lockstep: installing the packages failed; see its output above';
    expect(await clone.run({ PNPM_FAILS: 'yes' })).toEqual({ code: 1, lines: [installs, 'for another reason', said] });
    const again = 'An earlier installation was interrupted; starting again.';
    expect(await clone.run()).toEqual({ code: 0, lines: [again, installs, builds, 'runs'] });
  });

  it('builds although another package manager comes between', async () => {
    expect(await new Clone().run({ WITH_NPM: 'yes' })).toMatchObject({ code: 0 });
  });
});

it('replaces what another package manager has put between the packages, and leaves them where they are', async () => {
  const clone = new Clone();
  await clone.run();
  clone.write('node_modules/.pnpm/one/package.json', '{}');
  for (const file of ['.package-lock.json', 'typescript/package.json', '@types/node/package.json']) {
    clone.write(`node_modules/${file}`, '{}');
  }
  const { code, lines } = await clone.run();
  expect([code, lines[0]]).toEqual([
    0,
    'Replacing what another package manager installed: this project uses the lock file of pnpm.',
  ]);
  expect(readdirSync(join(clone.folder, 'node_modules')).sort()).toEqual([
    '.bin',
    '.lockstep-built',
    '.lockstep-installed',
    '.modules.yaml',
    '.pnpm',
    '@types',
  ]);
});

describe.runIf(process.platform !== 'win32')('a clone that cannot be written', () => {
  /** Root may write anywhere, so the command runs as nobody. */
  const nobody = process.getuid?.() === 0 ? 65_534 : undefined;

  function protect(folder: string): void {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) protect(join(folder, entry.name));
    }
    chmodSync(folder, 0o555);
    onTestFinished(() => chmodSync(folder, 0o755));
  }

  const ending = (clone: Clone): string =>
    `, and ${clone.folder} cannot be written (EACCES); run the command where it can, or in a new clone`;

  it('runs a command for which everything is there', async () => {
    const clone = new Clone();
    await clone.run();
    protect(clone.folder);
    expect(await clone.run({}, nobody)).toEqual({ code: 0, lines: ['runs'] });
  });

  it.each([
    ['that lacks packages', () => {}, 'the packages that this command needs are not installed'],
    [
      'that lacks packages after a pull',
      (clone: Clone) => clone.write('pnpm-lock.yaml', 'changed'),
      'the packages that this command needs are not installed',
    ],
    [
      'that is not built',
      (clone: Clone) => rmSync(join(clone.folder, 'node_modules', '.lockstep-built')),
      'what this command runs is not built',
    ],
    [
      'whose sources are newer than the build',
      (clone: Clone) => {
        const later = new Date(Date.now() + 60_000);
        utimesSync(join(clone.folder, 'packages/train/src/index.ts'), later, later);
      },
      'the build is older than packages/train/src/index.ts',
    ],
  ])('says in one sentence what is missing and what to do: one %s', async (name, change, missing) => {
    const clone = new Clone();
    if (name !== 'that lacks packages') await clone.run();
    change(clone);
    protect(clone.folder);
    expect(await clone.run({}, nobody)).toEqual({ code: 1, lines: [`lockstep: ${missing}${ending(clone)}`] });
  });
});

describe('npm start, which installs no devDependencies, has what builds', () => {
  const manifestOf = (folder: string) => JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  const projects = ['packages', 'apps']
    .flatMap((group) => readdirSync(join(root, group)).map((name) => `${group}/${name}`))
    // Only `npm run docs` builds the reference.
    .filter((folder) => existsSync(join(root, folder, 'src')) && folder !== 'apps/reference');

  it.each(projects)('%s', (folder) => {
    const path = (name: string) => join(root, folder, name);
    const config = existsSync(path('tsconfig.build.json')) ? readFileSync(path('tsconfig.build.json'), 'utf8') : '';
    const types = /"types": \[(.*?)\]/.exec(config)?.[1]?.match(/[\w@/-]+/g) ?? [];
    const sources = readdirSync(path('src'), { recursive: true, encoding: 'utf8' }).filter((file) =>
      /\.tsx?$/.test(file),
    );
    const imported = sources
      .flatMap((file) => [
        ...readFileSync(path(join('src', file)), 'utf8').matchAll(/(?:from |import |import\()'([@a-z][\w./:-]*)'/g),
      ])
      .map(([, specifier = '']) => specifier)
      .filter((specifier) => !specifier.startsWith('node:'))
      .map((specifier) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'));
    const { name, dependencies } = manifestOf(folder);
    const installed = [name, ...Object.keys({ ...manifestOf('.').dependencies, ...dependencies })];
    const needed = [...types.map((type) => (type === 'node' ? '@types/node' : type)), ...imported];
    expect(needed.filter((module) => !installed.includes(module))).toEqual([]);
  });
});

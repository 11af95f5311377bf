/**
 * Installs the native part of @tensorflow/tfjs-node: by the package's own installation, which downloads both halves
 * from Google, or else, on Linux with x64, from the C library in PyPI's wheel of TensorFlow and the addon's source.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { root } from './project.mjs';

const require = createRequire(join(root, 'packages', 'tfjs-node', 'package.json'));

/** The wheel closest to the C library that the addon was written for. The hash makes pip refuse any other file. */
const wheel = {
  version: '2.15.1',
  hash: 'sha256:54660c074d7241a503e81edfd9f5ef5af88f64051b72e2945f26318c790f2d26',
  platform: 'manylinux_2_17_x86_64',
  /** Selects one of the release's wheels, independent of the installed Python. */
  python: '3.11',
};
const libraries = { tensorflow: 'libtensorflow_cc.so.2', tensorflow_framework: 'libtensorflow_framework.so.2' };
const workPrefix = '.building-';
/** Node-API version, as named by the addon's package.json and its loader. */
const nodeInterface = 8;

class Failure extends Error {}

/** Deadline; infinite by default. */
const giveUpAtMs = performance.now() + secondsAsked(process.argv.slice(2)) * 1000;

function secondsAsked(args) {
  if (args.length === 0) return Number.POSITIVE_INFINITY;
  const seconds = Number(args[1]);
  if (args.length === 2 && args[0] === '--within' && seconds > 0) return seconds;
  process.stderr.write(`tfjs-node: expected nothing or --within SECONDS, got ${args.join(' ')}\n`);
  process.exit(2);
}

function run(what, program, args, options = {}) {
  const leftMs = giveUpAtMs - performance.now();
  if (leftMs <= 0) throw new Failure(`${what}: there was no time left`);
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    ...(Number.isFinite(leftMs) ? { timeout: Math.ceil(leftMs) } : {}),
    ...options,
  });
  if (status === 0) return stdout;
  if (error?.code === 'ETIMEDOUT') throw new Failure(`${what} took too long`);
  const lines = `${stdout ?? ''}\n${stderr ?? ''}`.trim().split('\n');
  // If the program ends with a stack trace or a closing remark, the line that names the error is the most useful.
  const said = lines.findLast((line) => /^\w*error\b/i.test(line)) ?? lines.at(-1);
  throw new Failure(`${what} failed: ${error?.message ?? (said || `it ended with ${signal ?? `code ${status}`}`)}`);
}

/** TensorFlow's version, if a matrix product computed in a separate process is correct. */
function works() {
  const program = `
    const tf = require(process.argv[1]);
    if (tf.matMul([[1, 2]], [[3], [4]]).dataSync()[0] !== 11) throw new Error('a product was wrong');
    process.stdout.write(tf.backend().binding.TF_Version);
  `;
  const options = { cwd: join(root, 'packages', 'tfjs-node'), env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: '3' } };
  return run('loading @tensorflow/tfjs-node', process.execPath, ['-e', program, '@tensorflow/tfjs-node'], options);
}

function installAsThePackageDoes(folder) {
  const env = { ...process.env, PATH: `${join(folder, 'node_modules', '.bin')}${delimiter}${process.env.PATH}` };
  run("the package's own installation", process.execPath, [join('scripts', 'install.js')], { cwd: folder, env });
}

function buildFromWheel(folder) {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Failure(`building it here needs Linux on x64, got ${process.platform} on ${process.arch}`);
  }
  const python = ['python3', 'python'].find((name) => spawnSync(name, ['-m', 'pip', '--version']).status === 0);
  if (python === undefined) throw new Failure('building it here needs Python with pip');
  const compiler = ['g++', 'clang++', 'c++'].find((name) => spawnSync(name, ['--version']).status === 0);
  if (compiler === undefined) throw new Failure('building it here needs a C++ compiler such as g++');

  // A killed attempt leaves its folder behind.
  for (const name of fs.readdirSync(folder).filter((name) => name.startsWith(workPrefix))) {
    fs.rmSync(join(folder, name), { recursive: true, force: true });
  }
  const work = fs.mkdtempSync(join(folder, workPrefix));
  try {
    process.stderr.write(`Fetching TensorFlow ${wheel.version} from PyPI (207 MB) …\n`);
    fetchLibrary(python, work);
    process.stderr.write('Compiling the addon …\n');
    compileAddon(compiler, folder, work);
    for (const part of ['deps', 'lib']) {
      fs.rmSync(join(folder, part), { recursive: true, force: true });
      fs.renameSync(join(work, part), join(folder, part));
    }
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/** Creates `deps/lib` and `deps/include` in `work`, in the layout of the addon's own build. */
function fetchLibrary(python, work) {
  const requirements = join(work, 'requirements.txt');
  fs.writeFileSync(requirements, `tensorflow-cpu==${wheel.version} --hash=${wheel.hash}\n`);
  const target = ['--platform', wheel.platform, '--python-version', wheel.python, '--only-binary', ':all:'];
  const quiet = ['--disable-pip-version-check', '--quiet', '--no-cache-dir', '--retries', '2'];
  const args = ['-m', 'pip', 'download', ...quiet, '--no-deps', '--require-hashes', ...target, '--dest', work];
  run('fetching the wheel with pip', python, [...args, '--requirement', requirements]);
  // Extracts only what the addon needs: the whole wheel is twice as large.
  const extract = [
    'import glob, sys, zipfile',
    'wheel = zipfile.ZipFile(glob.glob(sys.argv[1] + "/*.whl")[0])',
    `wanted = ("tensorflow/include/tensorflow/", "tensorflow/include/tsl/", ${Object.values(libraries)
      .map((name) => `"tensorflow/${name}"`)
      .join(', ')})`,
    'wheel.extractall(sys.argv[1], [name for name in wheel.namelist() if name.startswith(wanted)])',
  ].join('\n');
  run('unpacking the wheel', python, ['-c', extract, work]);
  const lib = join(work, 'deps', 'lib');
  fs.mkdirSync(lib, { recursive: true });
  for (const [name, file] of Object.entries(libraries)) {
    fs.renameSync(join(work, 'tensorflow', file), join(lib, file));
    fs.symlinkSync(file, join(lib, `lib${name}.so`));
  }
  fs.renameSync(join(work, 'tensorflow', 'include'), join(work, 'deps', 'include'));
}

/** Compiles two files against two libraries, as binding.gyp does, without node-gyp and its download of headers. */
function compileAddon(compiler, folder, work) {
  const output = join(work, 'lib', `napi-v${nodeInterface}`);
  fs.mkdirSync(output, { recursive: true });
  const nodeHeaders = require('node-api-headers').include_dir;
  run('compiling the addon', compiler, [
    '-std=c++17',
    '-O2',
    '-shared',
    '-fPIC',
    `-DNAPI_VERSION=${nodeInterface}`,
    ...[dirname(folder), join(work, 'deps', 'include'), nodeHeaders].map((directory) => `-I${directory}`),
    ...['tfjs_backend.cc', 'tfjs_binding.cc'].map((file) => join(folder, 'binding', file)),
    `-L${join(work, 'deps', 'lib')}`,
    ...Object.keys(libraries).map((name) => `-l${name}`),
    '-Wl,-rpath,$ORIGIN/../../deps/lib',
    '-o',
    join(output, 'tfjs_binding.node'),
  ]);
}

function provide() {
  const folder = dirname(require.resolve('@tensorflow/tfjs-node/package.json'));
  const addon = join(folder, 'lib', `napi-v${nodeInterface}`, 'tfjs_binding.node');
  const isThere = () => {
    if (!fs.existsSync(addon)) throw new Failure('its addon is not there');
  };
  const reasons = [];
  for (const way of [isThere, installAsThePackageDoes, buildFromWheel]) {
    try {
      way(folder);
      return works();
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      reasons.push(error.message);
      // A partial installation would be worse than none.
      for (const part of ['deps', 'lib']) fs.rmSync(join(folder, part), { recursive: true, force: true });
    }
  }
  throw new Failure(reasons.join('; '));
}

try {
  process.stderr.write(`@tensorflow/tfjs-node computes with TensorFlow ${provide()}.\n`);
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  process.stderr.write(`tfjs-node: ${error.message}\n`);
  process.exitCode = 1;
}

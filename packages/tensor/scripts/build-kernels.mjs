/**
 * Compiles the AssemblyScript kernels and embeds the modules in TypeScript files, so that they load anywhere. With
 * `--with-names FILE` it writes only the module for one thread, with the names of its functions.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';
import binaryen from 'assemblyscript/binaryen';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));

const { polynomials, instructions, instructionCodes, chunkLength } = await sourceModule('src/formula.ts');
const { kernelCalls, parameterTypes } = await sourceModule('src/backends/cpu/programs.ts');
await writeIfChanged(
  `${root}kernels/generated/programs.ts`,
  `${['/** Written by scripts/build-kernels.mjs. */', ...imports(), ...polynomialLines(), ...instructionLines(), ...executeLines()].join('\n')}\n`,
);

/** Addresses of the table of constants, below the compiler's own data. */
const constantsFrom = 1024;
const constantsTo = 2048;

/** For several threads that share one memory, which may grow to the maximum that WebAssembly can address. */
const shared = ['--enable', 'threads', '--sharedMemory', '--maximumMemory', '65536'];
if (process.argv[2] === '--with-names') {
  await writeFile(process.argv[3], await compileKernels([], true));
} else {
  await embed('kernels', 'kernels', []);
  await embed('shared-kernels', 'sharedKernels', shared);
}

/** Imports a TypeScript module; Node 20 cannot do that by itself. */
async function sourceModule(path) {
  const bundle = await rolldown({ input: `${root}${path}`, logLevel: 'silent' });
  const { output } = await bundle.generate({ format: 'esm' });
  await bundle.close();
  return import(`data:text/javascript,${encodeURIComponent(output[0].code)}`);
}

function imports() {
  const long = Object.entries(instructions).flatMap(([name, { simd, vectors }]) => {
    return simd === undefined ? [`${name}Loop`] : vectors ? [`${name}4`] : [];
  });
  return [
    "import * as kernels from '../index';",
    "import { storeLanes } from '../shared';",
    `import { ${long.join(', ')} } from '../transcendental';`,
  ];
}

/**
 * A function for each polynomial, by Horner's rule. In float64 it replaces values in memory, four vectors in step: each
 * would wait for itself, and a loaded constant serves all four.
 */
function polynomialLines() {
  return Object.entries(polynomials).flatMap(([name, [first, ...rest]]) => {
    const type = name.endsWith('4') ? 'f32x4' : 'f64x2';
    const splat = (value) => `${type}.splat(${Number.isInteger(value) ? `${value}.0` : value})`;
    const step = (value, x, coefficient) =>
      `${value} = ${type}.add(${type}.mul(${value}, ${x}), ${splat(coefficient)});`;
    if (type === 'f32x4') {
      return [
        `export function ${name}Polynomial(x: v128): v128 {`,
        `  let value = ${splat(first)};`,
        ...rest.map((coefficient) => `  ${step('value', 'x', coefficient)}`),
        '  return value;',
        '}',
      ];
    }
    const vectors = [0, 1, 2, 3];
    return [
      `export function ${name}Polynomials(at: usize, end: usize): void {`,
      '  for (; at < end; at += 64) {',
      ...vectors.map((index) => `    const x${index} = v128.load(at, ${16 * index});`),
      ...vectors.map((index) => `    let value${index} = ${splat(first)};`),
      ...rest.flatMap((coefficient) =>
        vectors.map((index) => `    ${step(`value${index}`, `x${index}`, coefficient)}`),
      ),
      ...vectors.map((index) => `    v128.store(at, value${index}, ${16 * index});`),
      '  }',
      '}',
    ];
  });
}

/**
 * `runInstruction`, which runs one instruction of a map program on `count` elements. Each instruction has a loop of its
 * own text: the optimizer would merge loops that differ in a constant, and decide for every four elements what to do.
 */
function instructionLines() {
  const all = Object.entries(instructions);
  const parameters = 'target: usize, a: usize, b: usize, c: usize, count: i32';
  const loops = all.flatMap(([name, { simd, vectors = 4 }]) => {
    if (simd === undefined) return [];
    const at = (offset) => simd(['a', 'b', 'c'].map((operand) => `v128.load(${operand}, ${offset})`));
    const pass = (length) => [
      `  for (; count >= ${4 * length}; count -= ${4 * length}) {`,
      ...Array.from({ length }, (_, vector) => `    const value${vector} = ${at(16 * vector)};`),
      ...Array.from({ length }, (_, vector) => `    v128.store(target, value${vector}, ${16 * vector});`),
      ...['target', 'a', 'b', 'c'].map((pointer) => `    ${pointer} += ${16 * length};`),
      '  }',
    ];
    return [
      `function ${name}Loop(${parameters}): void {`,
      ...pass(vectors),
      ...pass(1),
      `  if (count != 0) storeLanes(target, ${at(0)}, count);`,
      '}',
    ];
  });
  const cases = all.map(([name]) => `    case ${instructionCodes[name]}: ${name}Loop(target, a, b, c, count); return;`);
  return [
    `export const chunkLength: i32 = ${chunkLength};`,
    `export const momentumStepCode: i32 = ${instructionCodes.momentumStep};`,
    ...loops,
    `export function runInstruction(code: i32, ${parameters}): void {`,
    '  switch (code) {',
    ...cases,
    '    default: unreachable();',
    '  }',
    '}',
  ];
}

/** `execute`, which runs the calls of a program. */
function executeLines() {
  const cases = Object.entries(kernelCalls).map(([kernel, parameters], code) => {
    const values = parameters.map((name, index) => {
      const offset = 4 * (index + 1);
      if (parameterTypes[name] === 'float') return `load<f32>(call, ${offset})`;
      return `load<i32>(call, ${offset})${parameterTypes[name] === 'flag' ? ' != 0' : ''}`;
    });
    const name = kernel === 'program' ? 'execute' : `kernels.${kernel}`;
    return `      case ${code}: ${name}(${values.join(', ')}); call += ${4 * (parameters.length + 1)}; break;`;
  });
  return [
    'export function execute(call: usize, end: usize): void {',
    '  while (call < end) {',
    '    switch (load<i32>(call)) {',
    ...cases,
    '      default: unreachable();',
    '    }',
    '  }',
    '}',
  ];
}

async function embed(file, name, features) {
  const code = textOf(await compileKernels(features));
  await writeIfChanged(
    `${root}src/backends/cpu/generated/${file}.ts`,
    `/** The compiled kernels, as text. Written by scripts/build-kernels.mjs. */\nexport const ${name}Text =\n  '${code}';\n`,
  );
}

/**
 * Writes bytes with the 86 digits from `(` to `~`, without the backslash. A byte below 84 is one digit, another one the
 * two digits of `byte + 84 * 85` in base 86. Gzipped, it is 9 % shorter than hexadecimal.
 */
function textOf(bytes) {
  const digit = (value) => String.fromCharCode(value + (value < 52 ? 40 : 41));
  const digits = (byte) => digit(84 + Math.floor((byte - 84) / 86)) + digit((byte - 84) % 86);
  return Array.from(bytes, (byte) => (byte < 84 ? digit(byte) : digits(byte))).join('');
}

async function compileKernels(features, hasNames = false) {
  let text;
  const options = ['-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--importMemory', '--baseDir', root];
  const places = ['--memoryBase', `${constantsTo}`, '--textFile', 'kernels.wat'];
  const { error, stdout, stderr } = await asc.main(['kernels/index.ts', ...options, ...features, ...places], {
    writeFile: (path, contents) => {
      if (path.endsWith('.wat')) text = contents;
    },
  });
  if (error || !text) {
    process.stderr.write(`${stdout}${stderr}${error?.message ?? 'no module was written'}\n`);
    process.exit(1);
  }
  const module = binaryen.parseText(withConstantsInMemory(text));
  module.setFeatures(binaryen.Features.All);
  if (!module.validate()) throw new Error('the kernels are no valid module');
  binaryen.setDebugInfo(hasNames);
  return module.emitBinary();
}

/**
 * Loads the constants of a function with a loop before the loop, from a table. V8 keeps constants in no register: since
 * Node 22 it makes a vector of them by three instructions wherever it is used.
 */
function withConstantsInMemory(text) {
  const addresses = new Map();
  let bytes = '';
  const addressOf = (words) => {
    const key = words.join(' ');
    if (!addresses.has(key)) {
      addresses.set(key, constantsFrom + bytes.length / 3);
      const little = words.flatMap((word) => [...new Uint8Array(Uint32Array.of(word).buffer)]);
      bytes += little.map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('');
    }
    return addresses.get(key);
  };
  const functions = text.split(/^(?= \(func )/m).map((part) => {
    if (!part.startsWith(' (func ') || !/^ +loop/m.test(part)) return part;
    const locals = new Map();
    const body = part.replaceAll(/v128\.const i32x4 (0x\w+) (0x\w+) (0x\w+) (0x\w+)/g, (whole, ...lanes) => {
      const [a, b, c, d] = lanes.map(Number);
      if (a !== c || b !== d || (a === 0 && b === 0)) return whole;
      const words = a === b ? [a] : [a, b];
      const name = `$constant${addressOf(words)}`;
      locals.set(name, `i32.const ${addressOf(words)} v128.load${32 * words.length}_splat local.set ${name}\n`);
      return `local.get ${name}`;
    });
    const [header] = /^.*\n(?: {2}\(local .*\n)*/.exec(body);
    const declared = [...locals.keys()].map((name) => `(local ${name} v128)\n`).join('');
    return `${header}${declared}${[...locals.values()].join('')}${body.slice(header.length)}`;
  });
  if (bytes.length / 3 > constantsTo - constantsFrom) throw new Error('the table of constants is full');
  return functions.join('').replace(/\)\s*$/, `(data (i32.const ${constantsFrom}) "${bytes}"))`);
}

/** Writes under a temporary name first, so that a concurrent reader never sees a partial file. */
async function writeIfChanged(path, text) {
  const before = await readFile(path, 'utf8').catch(() => undefined);
  if (before === text) return;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.${process.pid}`, text);
  await rename(`${path}.${process.pid}`, path);
}

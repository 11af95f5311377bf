/** Compiles the AssemblyScript kernels and embeds the modules in TypeScript files, so that they load anywhere. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));

const { polynomials, instructions, instructionCodes, chunkLength } = await sourceModule('src/formula.ts');
const { kernelCalls, parameterTypes } = await sourceModule('src/backends/cpu/programs.ts');
await writeIfChanged(
  `${root}kernels/generated/programs.ts`,
  `${['/** Written by scripts/build-kernels.mjs. */', ...imports(), ...polynomialLines(), ...instructionLines(), ...executeLines()].join('\n')}\n`,
);

/** For several threads that share one memory, which may grow to the maximum that WebAssembly can address. */
const shared = ['--enable', 'threads', '--sharedMemory', '--maximumMemory', '65536'];
await build('kernels', 'kernels', []);
await build('shared-kernels', 'sharedKernels', shared);

/** Imports a TypeScript module; Node 20 cannot do that by itself. */
async function sourceModule(path) {
  const bundle = await rolldown({ input: `${root}${path}`, logLevel: 'silent' });
  const { output } = await bundle.generate({ format: 'esm' });
  await bundle.close();
  return import(`data:text/javascript,${encodeURIComponent(output[0].code)}`);
}

function imports() {
  const long = Object.entries(instructions).flatMap(([name, { isLong }]) => (isLong ? [`${name}4`] : []));
  return [
    "import * as kernels from '../index';",
    "import { storeLanes } from '../shared';",
    `import { ${long.join(', ')} } from '../transcendental';`,
  ];
}

/** A function for each polynomial, by Horner's rule; its name ends in the number of lanes. */
function polynomialLines() {
  return Object.entries(polynomials).flatMap(([name, [first, ...rest]]) => {
    const type = name.endsWith('4') ? 'f32x4' : 'f64x2';
    const splat = (value) => `${type}.splat(${Number.isInteger(value) ? `${value}.0` : value})`;
    return [
      `export function ${name}Polynomial(x: v128): v128 {`,
      `  let value = ${splat(first)};`,
      ...rest.map((coefficient) => `  value = ${type}.add(${type}.mul(value, x), ${splat(coefficient)});`),
      '  return value;',
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
  const loops = all.flatMap(([name, { simd, isLong }]) => {
    const at = (offset) => simd(['a', 'b', 'c'].map((operand) => `v128.load(${operand}, ${offset})`));
    const pass = (vectors) => [
      `  for (; count >= ${4 * vectors}; count -= ${4 * vectors}) {`,
      ...Array.from({ length: vectors }, (_, vector) => `    v128.store(target, ${at(16 * vector)}, ${16 * vector});`),
      ...['target', 'a', 'b', 'c'].map((pointer) => `    ${pointer} += ${16 * vectors};`),
      '  }',
    ];
    return [
      `function ${name}Loop(${parameters}): void {`,
      ...(isLong ? [] : pass(4)),
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

async function build(file, name, features) {
  let binary;
  const options = ['-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--importMemory', '--baseDir', root];
  const compilation = ['kernels/index.ts', ...options, ...features, '--outFile', 'kernels.wasm'];
  const { error, stdout, stderr } = await asc.main(compilation, {
    writeFile: (path, contents) => {
      if (path.endsWith('.wasm')) binary = contents;
    },
  });
  if (error || !binary) {
    process.stderr.write(`${stdout}${stderr}${error?.message ?? 'no module was written'}\n`);
    process.exit(1);
  }
  await writeIfChanged(
    `${root}src/backends/cpu/generated/${file}.ts`,
    // Hexadecimal compresses better than base64, whose characters do not align with bytes.
    `/** The compiled kernels, in hexadecimal. Written by scripts/build-kernels.mjs. */\nexport const ${name}Hex =\n  '${Buffer.from(binary).toString('hex')}';\n`,
  );
}

/** Writes under a temporary name first, so that a concurrent reader never sees a partial file. */
async function writeIfChanged(path, text) {
  const before = await readFile(path, 'utf8').catch(() => undefined);
  if (before === text) return;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.${process.pid}`, text);
  await rename(`${path}.${process.pid}`, path);
}

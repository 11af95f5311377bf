/** Compiles the AssemblyScript kernels and embeds the modules in TypeScript files, so that they load anywhere. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = fileURLToPath(new URL('..', import.meta.url));
const generated = `${root}src/backends/cpu/generated/`;

/** For several threads that share one memory, which may grow to the maximum that WebAssembly can address. */
const shared = ['--enable', 'threads', '--sharedMemory', '--maximumMemory', '65536'];
await build('kernels', 'kernels', []);
await build('shared-kernels', 'sharedKernels', shared);

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
    `${generated}${file}.ts`,
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

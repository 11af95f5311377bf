/** Compiles the AssemblyScript kernels and embeds the module in a TypeScript file, so that it loads anywhere. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const root = fileURLToPath(new URL('..', import.meta.url));
const target = `${root}src/backends/cpu/generated/kernels.ts`;

const { error, stdout, stderr, binary } = await compile();
if (error || !binary) {
  process.stderr.write(`${stdout}${stderr}${error?.message ?? 'no module was written'}\n`);
  process.exit(1);
}
await writeIfChanged(
  target,
  `/** The compiled kernels, in base64. Written by scripts/build-kernels.mjs. */\nexport const kernelsBase64 =\n  '${Buffer.from(binary).toString('base64')}';\n`,
);

async function compile() {
  let binary;
  const options = ['-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--importMemory', '--baseDir', root];
  const result = await asc.main(['kernels/index.ts', ...options, '--outFile', 'kernels.wasm'], {
    writeFile: (name, contents) => {
      if (name.endsWith('.wasm')) binary = contents;
    },
  });
  return { ...result, binary };
}

/** Through a temporary name, so that whoever reads meanwhile finds a whole file. */
async function writeIfChanged(path, text) {
  const before = await readFile(path, 'utf8').catch(() => undefined);
  if (before === text) return;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.${process.pid}`, text);
  await rename(`${path}.${process.pid}`, path);
}

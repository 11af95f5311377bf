/** The machine of a measurement, described by what matters for comparing it with another machine. */
import { availableParallelism, cpus, release, totalmem } from 'node:os';

export type Machine = ReturnType<typeof describeMachine>;

/** One function of type (v128, v128, v128) -> v128 whose body is f32x4.relaxed_madd of its arguments. */
const relaxedMaddModule = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x08, 0x01, 0x60, 0x03, 0x7b, 0x7b, 0x7b, 0x01, 0x7b],
  ...[0x03, 0x02, 0x01, 0x00],
  ...[0x0a, 0x0d, 0x01, 0x0b, 0x00, 0x20, 0x00, 0x20, 0x01, 0x20, 0x02, 0xfd, 0x85, 0x02, 0x0b],
);

/** The only function of WebAssembly used here; its types come only with the DOM library. */
const { WebAssembly } = globalThis as unknown as { WebAssembly: { validate(module: Uint8Array): boolean } };

export function describeMachine() {
  return {
    cpu: cpus()[0]?.model.trim() || process.arch,
    /** Cores that this process may use. */
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${process.platform} ${release()} ${process.arch}`,
    node: process.version,
    v8: process.versions.v8,
    /** Whether this engine has WebAssembly's relaxed SIMD, which lets a peer fuse multiply and add. */
    relaxedSimd: WebAssembly.validate(relaxedMaddModule),
  };
}

/** Two lines printed above all figures. */
export function machineLines({ cpu, cores, memoryGiB, platform, node, v8, relaxedSimd }: Machine): string[] {
  return [
    `${cpu}, ${cores} cores, ${memoryGiB} GiB, ${platform}`,
    `Node ${node}, V8 ${v8}, WebAssembly relaxed SIMD ${relaxedSimd ? 'on' : 'off'}`,
  ];
}

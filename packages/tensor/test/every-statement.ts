/** A subset of the op examples, for devices that compile slowly. */
import type { DeviceArray, DeviceKernel, KernelSource } from '../src/backends/gpu/device.ts';
import { GpuBackend } from '../src/backends/gpu/gpu-backend.ts';
import { type ExamplesByOp, resultsOf } from './agreement.ts';
import type { Example } from './examples.ts';
import { HostDevice } from './host-device.ts';
import { type OpName, opExamples, opNames } from './op-examples.ts';

interface Recorded {
  readonly name: OpName;
  readonly example: Example;
  /**
   * Statements of the example's kernels. Statements that differ only in numbers count as equal: kernels contain sizes and
   * offsets, so almost every shape has its own.
   */
  readonly statements: ReadonlySet<string>;
}

function recordAll(): Recorded[] {
  return opNames.flatMap((name) =>
    opExamples[name].map((example) => {
      const recorder = new StatementRecorder();
      for (const tensor of resultsOf(new GpuBackend('gpu', recorder), example)) tensor.dispose();
      return { name, example, statements: recorder.statements };
    }),
  );
}

function byOp(chosen: readonly Recorded[]): ExamplesByOp {
  const examplesOf = (name: OpName) => chosen.filter((each) => each.name === name).map(({ example }) => example);
  return Object.fromEntries(opNames.map((name) => [name, examplesOf(name)])) as unknown as ExamplesByOp;
}

/** Returns the first example of each op, and every example with a kernel statement that no earlier example has. */
export function examplesOfEveryStatement(): ExamplesByOp {
  const covered = new Set<string>();
  const ops = new Set<OpName>();
  const isChosen = ({ name, statements }: Recorded): boolean => {
    const chosen = !ops.has(name) || [...statements].some((statement) => !covered.has(statement));
    ops.add(name);
    for (const statement of statements) covered.add(statement);
    return chosen;
  };
  return byOp(recordAll().filter(isChosen));
}

/** Returns few examples that together have every kernel statement, whatever their op. */
export function fewExamplesOfEveryStatement(): ExamplesByOp {
  const all = recordAll();
  const missing = new Set(all.flatMap(({ statements }) => [...statements]));
  const gain = ({ statements }: Recorded): number => [...statements].filter((each) => missing.has(each)).length;
  const chosen: Recorded[] = [];
  while (missing.size > 0) {
    const best = all.reduce((most, each) => (gain(each) > gain(most) ? each : most));
    chosen.push(best);
    for (const statement of best.statements) missing.delete(statement);
  }
  return byOp(chosen);
}

/** A device that records the statements of its kernels and computes nothing. */
class StatementRecorder extends HostDevice {
  readonly statements = new Set<string>();

  override compile(source: KernelSource): DeviceKernel {
    for (const statement of source.body.split('\n')) {
      this.statements.add(statement.trim().replace(/\d+(\.\d+)?(e[+-]?\d+)?/g, '0'));
    }
    return { source };
  }

  override run({ source }: DeviceKernel): DeviceArray {
    return this.upload(new Float32Array(source.length));
  }
}

/** Tables with one function for each kind of call. */
import type { KernelCall } from '../backend.ts';

/** The compiler refuses a table that lacks a kind. */
export type ByKind<Rest extends readonly unknown[], Result> = {
  readonly [Kind in KernelCall['kind']]: (call: Extract<KernelCall, { kind: Kind }>, ...rest: Rest) => Result;
};

/** The table's function for the call, applied to it. */
export function dispatch<Rest extends readonly unknown[], Result>(
  table: ByKind<Rest, Result>,
  call: KernelCall,
  ...rest: Rest
): Result {
  return (table[call.kind] as (call: KernelCall, ...rest: Rest) => Result)(call, ...rest);
}

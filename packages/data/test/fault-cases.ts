/** Tables of faulty data: the fault, the data, and the expected error message. */
import { readFileSync } from 'node:fs';
import type { OpenOptions } from '../src/node/open-dataset.ts';

export const golden = (name: string): Uint8Array => readFileSync(new URL(`../goldens/${name}`, import.meta.url));
export const table = 'a,b,label\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n';
export const objects = (...lines: readonly string[]): string => lines.join('\n');

/** The fault, the file's content, the error message after the file's name, and the options to open the file with. */
export type Case<Content = string | Uint8Array> = readonly [
  what: string,
  content: Content,
  message: string,
  options?: OpenOptions,
];

export function named<Content>(cases: readonly Case<Content>[]) {
  return cases.map(([what, content, message, options = {}]) => ({ what, content, message, options }));
}

/** `npm run example -- NAME`: runs and prints a chapter of the lesson, or a program that uses the library. */
import { runMain } from '@lockstep/command';
import { setEngineFlags } from '@lockstep/worker/own-process';
import { example } from './example.ts';

setEngineFlags();
await runMain('example', () => example(process.argv.slice(2)));

/** `npm run example -- NAME`: runs a chapter of the lesson, or a program that uses the library, and prints what it shows. */
import { runMain } from '@lockstep/command';
import { example } from './example.ts';

await runMain('example', () => example(process.argv.slice(2)));

/** Commands are printed as a user would type them in the folder in which the program was started. */
import { expect, it } from 'vitest';
import { commandText } from '../src/program.ts';

it.each([
  { name: 'start', args: '', inClone: 'npm start', elsewhere: 'npx lockstep start' },
  { name: 'start', args: '--single', inClone: 'npm start -- --single', elsewhere: 'npx lockstep start --single' },
  { name: 'worker', args: '', inClone: 'npm run worker', elsewhere: 'npx lockstep worker' },
  { name: 'worker', args: '--wait', inClone: 'npm run worker -- --wait', elsewhere: 'npx lockstep worker --wait' },
])('$inClone is $elsewhere outside a clone', ({ name, args, inClone, elsewhere }) => {
  expect(commandText(name, args, {})).toBe(inClone);
  expect(commandText(name, args, { LOCKSTEP_COMMAND: 'npx lockstep' })).toBe(elsewhere);
});

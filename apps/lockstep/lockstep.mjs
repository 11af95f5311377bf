#!/usr/bin/env node
/** `npx lockstep COMMAND`: runs a command's program, hands it the terminal and the signals, and exits as it does. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandLines, commands, runProgram } from './programs.mjs';

/** How a user types a command; the programs print it in their output. */
const typed = 'npx lockstep';
const oldestNode = 20;

function fail(message, code) {
  process.stderr.write(`lockstep: ${message}\n`);
  process.exit(code);
}

const own = new URL('package.json', import.meta.url);

function programOf(app) {
  const manifest =
    app === 'lockstep' ? fileURLToPath(own) : createRequire(own).resolve(`@lockstep/${app}-command/package.json`);
  return join(dirname(manifest), 'dist', 'main.js');
}

async function main([name, ...args]) {
  const [major] = process.versions.node.split('.').map(Number);
  if (major < oldestNode) fail(`expected Node ${oldestNode} or newer, got ${process.versions.node}`, 2);
  if (name === '--version') {
    process.stdout.write(`${JSON.parse(readFileSync(own, 'utf8')).version}\n`);
    return 0;
  }
  if (name === undefined || name === '--help' || name === '-h') {
    process.stdout.write(
      `${typed} COMMAND [options], with one of these commands; each has --help:\n${commandLines(commands)}`,
    );
    return name === undefined ? 2 : 0;
  }
  if (!Object.hasOwn(commands, name)) {
    fail(`expected one of the commands ${Object.keys(commands).join(', ')}, got ${name}`, 2);
  }
  const command = commands[name];
  const { code, error } = await runProgram([programOf(command.app), ...command.args, ...args], {
    env: { LOCKSTEP_COMMAND: typed, ...process.env },
  });
  if (error) fail(`could not start ${process.execPath}: ${error.message}`, 1);
  return code;
}

process.exit(await main(process.argv.slice(2)));

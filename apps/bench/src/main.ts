/** The command line of the bench. Exit code 0: measured; 1: something failed or computed wrongly; 2: a wrong command line. */
import { askQuestions, isSound } from './bench.ts';
import { helpText, parseOptions, UsageError } from './options.ts';
import { questions } from './questions/index.ts';
import { checkReportPath, writeReport } from './report.ts';
import { terminalOutput } from './terminal.ts';

const burstMs = 100;
const warmUpMs = 300;
const budgetMs = 5000;

async function main(): Promise<number> {
  try {
    const options = parseOptions(
      process.argv.slice(2),
      questions.map(({ name }) => name),
    );
    if (options.help) {
      process.stdout.write(`${helpText(questions)}\n`);
      return 0;
    }
    if (options.report !== undefined) checkReportPath(options.report);
    const chosen = questions.filter(({ name }) => options.questions.includes(name));
    const report = await askQuestions(
      chosen,
      { rounds: options.rounds, burstMs, warmUpMs, budgetMs },
      terminalOutput(),
    );
    if (options.report !== undefined) writeReport(options.report, report);
    return isSound(report) ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

process.exitCode = await main();

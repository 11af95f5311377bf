/** Asks the chosen questions, prints their tables as they are answered, and gathers the report. */
import { type CaseResult, type Effort, measureCase } from './harness.ts';
import { describeMachine } from './machine.ts';
import type { Question } from './question.ts';
import type { Report } from './report.ts';
import { caseLines, machineLines, noteLines } from './table.ts';

/** Where lines go: `print` for answers, `progress` for what passes by while one waits. */
export interface Output {
  print(line: string): void;
  progress(sentence: string): void;
}

export async function askQuestions(questions: readonly Question[], effort: Effort, output: Output): Promise<Report> {
  const startedAt = new Date();
  const machine = describeMachine();
  for (const line of machineLines(machine)) output.print(line);
  const answered = [];
  for (const question of questions) {
    const { name, title, method } = question;
    for (const line of ['', title, ...method]) output.print(line);
    const cases: CaseResult[] = [];
    for (const subject of await question.cases()) {
      const result = await measureCase(subject, effort, output.progress);
      for (const line of ['', ...caseLines(result)]) output.print(line);
      cases.push(result);
    }
    for (const line of ['', ...noteLines(cases)]) output.print(line);
    answered.push({ name, title, method, cases });
  }
  return {
    bench: 1,
    startedAt: startedAt.toISOString(),
    wallSeconds: (Date.now() - startedAt.getTime()) / 1000,
    machine,
    rounds: effort.rounds,
    questions: answered,
  };
}

/** Whether every contender that is here computed what it should: absent ones are no fault of this code. */
export function isSound(report: Report): boolean {
  return report.questions.every(({ cases }) =>
    cases.every(({ rows }) => rows.every(({ status }) => status === 'measured' || status === 'absent')),
  );
}

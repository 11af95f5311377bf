/** Asks the chosen questions, prints their answers as they come, and gathers the report. */
import { type CaseResult, type Effort, measureCase } from './harness.ts';
import { describeMachine } from './machine.ts';
import type { Fact, Inspection, Question, Race } from './question.ts';
import type { Report } from './report.ts';
import { caseLines, factLine, machineLines, noteLines } from './table.ts';
import type { Output } from './terminal.ts';

type Answers = { readonly cases: readonly CaseResult[]; readonly facts: readonly Fact[] };

export async function askQuestions(questions: readonly Question[], effort: Effort, output: Output): Promise<Report> {
  const startedAt = new Date();
  const machine = describeMachine();
  for (const line of machineLines(machine)) output.print(line);
  const answered = [];
  for (const question of questions) {
    const { name, title, method } = question;
    for (const line of ['', title, ...method]) output.print(line);
    answered.push({ name, title, method, ...(await ask(question, effort, output)) });
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

function ask(question: Question, effort: Effort, output: Output): Promise<Answers> {
  switch (question.kind) {
    case 'race':
      return race(question, effort, output);
    case 'inspection':
      return inspect(question, output);
    default:
      return question satisfies never;
  }
}

async function race(question: Race, effort: Effort, output: Output): Promise<Answers> {
  const cases: CaseResult[] = [];
  try {
    for (const subject of await question.cases()) {
      const result = await measureCase(subject, effort, output.progress);
      for (const line of ['', ...caseLines(result)]) output.print(line);
      cases.push(result);
    }
  } finally {
    await question.close?.();
  }
  for (const line of ['', ...noteLines(cases)]) output.print(line);
  return { cases, facts: [] };
}

async function inspect(question: Inspection, output: Output): Promise<Answers> {
  const facts = await question.facts(output.progress);
  for (const line of ['', ...facts.map(factLine)]) output.print(line);
  return { cases: [], facts };
}

/** Whether every contender that is here computed what it should, and every fact holds: absent ones are no fault of this code. */
export function isSound(report: Report): boolean {
  return report.questions.every(
    ({ cases, facts }) =>
      facts.every(({ holds }) => holds) &&
      cases.every(({ rows }) => rows.every(({ status }) => status === 'measured' || status === 'absent')),
  );
}

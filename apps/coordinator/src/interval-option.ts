/** The option that says how often checkpoints are taken. */
import { Expected, type Option } from '@lockstep/command';
import type { CheckpointInterval } from '@lockstep/train';

/** `50` for steps, `5m` or `0.5m` for minutes. */
export function intervalOption(description: string): Option<CheckpointInterval | undefined> {
  const parse = (text: string): CheckpointInterval => {
    const [, amount, unit] = /^(\d+(?:\.\d+)?)(m?)$/.exec(text) ?? [];
    const value = Number(amount);
    if (unit === 'm' && value > 0 && value <= 1e6) return { minutes: value };
    if (unit === '' && Number.isSafeInteger(value) && value > 0) return { steps: value };
    throw new Expected('steps like 50, or minutes like 5m');
  };
  return { placeholder: 'STEPS|MINUTES', description, fallback: undefined, defaultText: '1m', parse };
}

/** The table of questions: to add one, write its file and put it here. */
import type { Question } from '../question.ts';
import { gradientStep } from './gradient-step.ts';

export const questions: readonly Question[] = [gradientStep];

/** The table of questions: to add one, write its file and put it here. */
import type { Question } from '../question.ts';
import { cnnStep } from './cnn-step.ts';
import { gradientStep } from './gradient-step.ts';
import { heap } from './heap.ts';
import { matmul } from './matmul.ts';
import { page } from './page.ts';
import { star } from './star.ts';
import { starRoom } from './star-room.ts';

export const questions: readonly Question[] = [gradientStep, matmul, cnnStep, page, star, starRoom, heap];
